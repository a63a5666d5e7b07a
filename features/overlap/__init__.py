"""Overlap: which of our accounts a partner has too, found on its list and kept as `shared_customers` records."""
