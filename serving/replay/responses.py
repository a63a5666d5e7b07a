"""The answer to a replay."""

from typing import Annotated

from pydantic import Field

from serving.http.responses import Answer
from serving.replay.requests import Origin


class ReplayAnswer(Answer):
    """What making a decision again came to; `differences` are JSON pointers to where the outcome is another."""

    equal: bool
    origin: Annotated[Origin, Field(alias="from")]
    differences: list[str]
