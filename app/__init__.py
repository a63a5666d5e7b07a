"""The `eql` command and the composition root: settings and wiring, no logic."""
