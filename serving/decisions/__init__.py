"""The subject of kept decisions: decisions, the current score of each lead, the rescore queue, the sealed chain."""
