"""The request for a replay."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from serving.scoring.requests import STRICT

Origin = Literal["features", "facts"]
"""The inputs of a replay."""


class ReplayRequest(BaseModel):
    """The input of the replay: the features kept with the decision, or the facts recorded by then."""

    model_config = STRICT

    origin: Annotated[Origin, Field(alias="from")] = "facts"
    """What the decision was made from again."""
