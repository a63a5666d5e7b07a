"""The answers about submitted leads and their aliases."""

from models.policy import Qualification
from serving.decisions.responses import DecisionAnswer
from serving.http.responses import Answer, WrittenAnswer


class SubmittedLeadAnswer(WrittenAnswer):
    """The result of a submission; for a duplicate, the existing lead and its current decision."""

    lead_id: str
    duplicate: bool
    decision: DecisionAnswer
    assignment: None
    """Always null: leads are not routed yet."""


class SubmissionAnswer(WrittenAnswer):
    """The result of a submission by a partner; for another's lead, only that the lead is already registered."""

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
