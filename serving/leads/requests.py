"""The requests about leads: what a submitted lead may not state, and aliases."""

from pydantic import BaseModel

from features.value_types import Id
from serving.scoring.requests import STRICT, LeadRequest, sent_records
from serving.validation import FieldError, InvalidFields


class AliasRequest(BaseModel):
    """Another id of a lead."""

    model_config = STRICT

    alias: Id
    """The other id of the lead."""


def check_unrecorded(request: LeadRequest) -> None:
    """Checks that no record says when it was recorded.

    Raises:
        InvalidFields: one does.
    """
    stamped = [path for path, _, record in sent_records(request) if "recorded_at" in record.model_fields_set]
    if stamped:
        demand = "must be absent: the service records when it learned of it"
        raise InvalidFields([FieldError(f"{path}.recorded_at", demand) for path in stamped])
