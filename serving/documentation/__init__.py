"""The subject of the documentation pages."""
