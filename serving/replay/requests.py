"""The request for a replay."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from serving.scoring.requests import STRICT

Origin = Literal["features", "facts"]
"""What a decision can be made again from."""


class ReplayRequest(BaseModel):
    """What to make a decision again from: the features kept with it, or the facts recorded by then."""

    model_config = STRICT

    origin: Annotated[Origin, Field(alias="from")] = "facts"
