"""The answer about one line of a bulk request."""

from typing import Literal

from serving.http.responses import Answer, ProblemAnswer


class LineAnswer(Answer):
    """What became of one line: 201 where it is a new record, 200 where a known one; else the problem with it."""

    line: int
    status: Literal[200, 201, 403, 422]
    id: str | None = None
    problem: "ProblemAnswer | None" = None
