"""The answer about a run of scheduled work."""

from serving.http.responses import Answer


class RunAnswer(Answer):
    """A run of scheduled work; without an end it is under way, or its worker died."""

    id: int
    task: str
    started_at: str
    finished_at: str | None
    outcome: str | None
    detail: str | None
