"""The subject of leads: submitting a lead, its aliases, duplicates, and its page."""
