"""The batch engines: each runs the compiled catalogue over records that live in files or a database."""
