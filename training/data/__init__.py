"""The data of a training: labelled snapshots, their features as a matrix, and the splits in time."""
