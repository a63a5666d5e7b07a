"""The worker: scheduled tasks and their runs."""
