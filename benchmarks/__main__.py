"""Runs every benchmark and writes `benchmarks/results.json`."""

import json
from pathlib import Path

from benchmarks.explain import explain_single


def main() -> None:
    """Measure, print and write."""
    results = [explain_single()]
    target = Path(__file__).parent / "results.json"
    target.write_text(f"{json.dumps(results, indent=1)}\n")
    for row in results:
        print("{benchmark}: {ours:.3g} {unit}, {peer} {theirs:.3g} {unit}, {ratio:.2f} times".format(**row))


main()
