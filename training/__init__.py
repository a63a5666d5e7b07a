"""From records to a published model: worlds, imports, snapshots, the ladder, evaluation, promotion, the registry."""
