"""The answer about a run of scheduled work."""

from serving.http.responses import Answer, Time


class RunAnswer(Answer):
    """A run of scheduled work; without an end it is under way, or its worker died."""

    id: int
    """The id."""
    task: str
    """The task that ran."""
    started_at: Time
    """When the run began."""
    finished_at: Time | None
    """When the run ended."""
    outcome: str | None
    """How the run ended."""
    detail: str | None
    """What the run did, or the error."""
