"""The subject of rescoring: scoring leads again after a new fact, a promotion or a night."""
