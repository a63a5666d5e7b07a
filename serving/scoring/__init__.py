"""The subject of scoring: from a request or a stored lead to a decision."""
