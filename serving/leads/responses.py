"""The answers about submitted leads and their aliases."""

from models.policy import Qualification
from serving.decisions.responses import DecisionAnswer
from serving.http.responses import Answer, WrittenAnswer


class SubmittedLeadAnswer(WrittenAnswer):
    """What became of a lead that was sent; of a duplicate, the lead that was there and what is decided on it now."""

    lead_id: str
    duplicate: bool
    decision: DecisionAnswer
    assignment: None
    """Always null: leads are not routed yet."""


class SubmissionAnswer(WrittenAnswer):
    """What a partner learns of a lead it sent; of a lead that is not its own, only that it is registered already."""

    lead_id: str | None
    duplicate: bool
    qualification: Qualification | None
    pending: bool | None


class AliasAnswer(Answer):
    """Another id of a lead, and whether it was a lead of its own."""

    alias: str
    lead_id: str
    merged: bool
    recorded_at: str


class NewAliasAnswer(AliasAnswer, WrittenAnswer):
    """The alias that was asked for."""
