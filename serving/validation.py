"""Errors of a request's content, field by field. They name the field and the constraint, never what was sent."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class FieldError:
    """One error of a request: the path of the field, such as `lead.email`, and the constraint that it breaks."""

    field: str
    constraint: str


class InvalidFields(ValueError):
    """A request's content breaks constraints.

    Attributes:
        errors: the errors, at least one.
    """

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__(f"{len(errors)} fields break their constraints")
        self.errors = tuple(errors)
