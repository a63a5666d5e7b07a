"""The answer to a replay."""

from typing import Annotated

from pydantic import Field

from serving.http.responses import Answer
from serving.replay.requests import Origin


class ReplayAnswer(Answer):
    """The result of a replay; `differences` are JSON pointers to the parts of the outcome that differ."""

    equal: bool
    """Whether the decision came out as it is kept."""
    origin: Annotated[Origin, Field(alias="from")]
    """What the decision was made from again."""
    differences: list[str]
    """The places that differ, as JSON pointers."""
