"""The engines: everything that evaluates a feature's expression, for one lead in Python or for many leads in SQL."""
