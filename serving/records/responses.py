"""The answer about one line of a bulk request."""

from typing import Literal

from serving.http.responses import Answer, ProblemAnswer


class LineAnswer(Answer):
    """The result of one line: status 201 for a new record, 200 for a known one, else the problem."""

    line: int
    status: Literal[200, 201, 403, 422]
    id: str | None = None
    problem: "ProblemAnswer | None" = None
