"""The answer about one line of a bulk request."""

from typing import Literal

from serving.http.responses import Answer, ProblemAnswer


class LineAnswer(Answer):
    """The result of one line: status 201 for a new record, 200 for a known one, else the problem."""

    line: int
    """The number of the line in the request."""
    status: Literal[200, 201, 403, 422]
    """The HTTP status of the line alone."""
    id: str | None = None
    """The id."""
    warning: str | None = None
    """What the line leaves open: another line gives the same record another version of the same moment."""
    problem: "ProblemAnswer | None" = None
    """Why the line was refused."""
