"""Promotion: guard-rails, the comparison with the champion, and the registry of versions."""
