"""The dependency of routes on the scoring of the process."""

from typing import Annotated

from fastapi import Depends

from serving.http.dependencies import provided
from serving.scoring.scoring import Scoring

ScoringDependency = Annotated[Scoring, Depends(provided(Scoring))]
