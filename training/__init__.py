"""From records to a published model: worlds, imports, snapshots, the ladder, evaluation, promotion, the registry."""

MODEL_NAME = "eql-close-probability"
"""The registered model."""
