"""The subject of replay: making a kept decision again."""
