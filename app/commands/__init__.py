"""The commands of `eql`, by topic."""
