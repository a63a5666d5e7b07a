"""The subject of kept decisions: the decisions, the current score of each lead, the rescore queue, and the sealed chain."""
