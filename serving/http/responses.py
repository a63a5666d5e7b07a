"""The base class of the answers' models, which OpenAPI publishes, and the answers that any route may give."""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from serving.http.problems import MEDIA_TYPE

Time: TypeAlias = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""A moment in an answer, RFC 3339."""


class Answer(BaseModel):
    """An answer; it has no fields beside the documented ones."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class WrittenAnswer(Answer):
    """An answer to a request that writes."""

    dry_run: Literal[True] | None = None
    """Present only in the answer to a dry run, which stores nothing."""


class ProblemAnswer(BaseModel):
    """An error (RFC 9457); `errors` name fields and constraints, never sent values."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    type: str
    """The kind of error."""
    title: str
    """The short name of the error."""
    status: int
    """The HTTP status."""
    detail: str
    """The error in a sentence."""
    errors: list[dict[str, str]] = []
    """The fields that break a constraint, each with the constraint."""


REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ProblemAnswer, "content": {MEDIA_TYPE: {}}} for status in (400, 401, 403, 408, 413, 422, 429, 503)
}
"""The problems that any route may answer with, as OpenAPI documents them."""


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI documentation of problems with these statuses."""
    return dict.fromkeys(statuses, REFUSALS[400])
