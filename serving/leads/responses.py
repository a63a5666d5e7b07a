"""The answers about submitted leads and their aliases."""

from models.policy import Qualification
from serving.decisions.responses import DecisionAnswer
from serving.http.responses import Answer, Time, WrittenAnswer


class SubmittedLeadAnswer(WrittenAnswer):
    """The result of a submission; for a duplicate, the existing lead and its current decision."""

    lead_id: str
    """The lead's id."""
    duplicate: bool
    """Whether the lead was known before."""
    decision: DecisionAnswer
    """The decision on the lead."""
    assignment: None
    """Always null: leads are not routed yet."""


class SubmissionAnswer(WrittenAnswer):
    """The result of a submission by a partner; for another's lead, only that the lead is already registered."""

    lead_id: str | None
    """The lead's id."""
    duplicate: bool
    """Whether the lead was known before."""
    qualification: Qualification | None
    """The label that the policy gives, by what the partner sent."""
    pending: bool | None
    """Whether a partner lead is not yet an EQL although no gate has failed, by what the partner sent."""
    missing: list[str] | None = None
    """The questions that the partner can answer, while the lead is pending; left out for another's lead."""


class AliasAnswer(Answer):
    """Another id of a lead, and whether it was a lead of its own."""

    alias: str
    """The other id of the lead."""
    lead_id: str
    """The lead's id."""
    merged: bool
    """Whether a lead of that id was merged into this one."""
    recorded_at: Time
    """When it was recorded."""


class NewAliasAnswer(AliasAnswer, WrittenAnswer):
    """The alias that was asked for."""
