"""The subject of personal data: export, erasure and retention."""
