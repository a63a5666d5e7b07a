"""The subject of the shadow: the challenger scores what the champion decided."""
