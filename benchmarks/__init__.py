"""Speed and memory against a peer in the same run; `make bench` writes benchmarks/results.json."""
