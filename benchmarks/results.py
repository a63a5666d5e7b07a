"""The rows of `benchmarks/results.json`."""

from typing import Any, TypeAlias

ResultRow: TypeAlias = dict[str, Any]
"""One comparison: `benchmark`, `ours`, `peer`, `theirs`, `ratio` (how many times better ours is), `unit`, and more."""
