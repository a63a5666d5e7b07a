"""The checks: the permanent id, the title and the fix of each; docs/quality.md lists them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One kind of error that records are checked for.

    Attributes:
        id: the permanent id, which reports and docs quote.
        title: the error in a few words.
        fix: what to do, in a sentence; `{kind}` and `{column}` stand for the kind and column that have the error.
    """

    id: str
    title: str
    fix: str


UNREADABLE = Check(
    "unreadable",
    "File that the engines refuse",
    "Correct what the message names and write the file again; features and training refuse it as it is.",
)
MISSING = Check(
    "missing",
    "No value where there has to be one",
    "Have the source fill {column}, or raise its threshold where nobody can know it.",
)
RECORDED_BEFORE = Check(
    "recorded_before_occurred",
    "Recorded before it happened",
    "Correct {column} at the source, most often a time zone or a planned date, and send the records again.",
)
FUTURE = Check(
    "future",
    "Happens far in the future",
    "Correct the date at the source (a far year such as 2999 often means none) and send the records again.",
)
ANCIENT = Check(
    "ancient",
    "Happened before anything could",
    "Correct the date at the source (1970 often means none) and send the records again.",
)
REFERRED_LATER = Check(
    "referral_after_recorded",
    "Referral dated after it was recorded",
    "Correct {column} at the source, most often day and month changed places, and send the lead again.",
)
BEFORE_INTEGRATION = Check(
    "before_integration",
    "Used before the integration existed",
    "Correct the day at the source, or the integration's day in first_days of the thresholds.",
)
RECORDED_LATER = Check(
    "recorded_after_cut",
    "Recorded after the data ends",
    "Correct the clock or the column that gives {column}; until that moment nothing sees such records.",
)
CLOSED_BEFORE = Check(
    "closed_before_created",
    "Lead closed before it was created",
    "Correct the lead's created_at or the event's {column} at the source and send the records again.",
)
UNKNOWN_LEAD = Check(
    "unknown_lead", "Lead that nobody recorded", "Send the leads too, or correct {column} in the records."
)
UNKNOWN_ACCOUNT = Check(
    "unknown_account", "Account that nobody recorded", "Send the accounts too, or correct {column} in the records."
)
UNKNOWN_PARTNER = Check(
    "unknown_partner",
    "Partner that nobody recorded",
    "Send the partner or, if it was renamed, send the records again with the id it has now.",
)
DUPLICATE = Check(
    "duplicate",
    "Says the same as another record",
    "Send each fact under one id that stays the same when it is sent again, and delete the copies.",
)
VERSIONS = Check(
    "many_versions",
    "Record with very many versions",
    "Send a record again only when it changed, and give each its own id.",
)
ABSURD = Check(
    "absurd_value", "Number outside what can be", "Correct {column} at the source and send the records again."
)
UNLISTED = Check(
    "unlisted_value",
    "Value outside the contract's list",
    "Map {column} to one of the listed values (`eql import --schema` prints them) and send the records again.",
)
STALE = Check(
    "stale", "No new records", "See whether the export, webhook or integration that brings {kind} still runs."
)
LATE = Check(
    "late",
    "Recorded long after it happened",
    "Send {kind} sooner: as of a moment before they were recorded, features and training do without them.",
)
VOLUME_WEEK = Check(
    "volume_week",
    "Sudden change of the weekly number",
    "See whether the source of {kind} lost records, sent them twice or loaded old ones; if not, let it pass.",
)
VOLUME_DAY = Check("volume_day", "Sudden change of the daily number", VOLUME_WEEK.fix)

CHECKS = (
    UNREADABLE,
    MISSING,
    RECORDED_BEFORE,
    FUTURE,
    ANCIENT,
    REFERRED_LATER,
    BEFORE_INTEGRATION,
    RECORDED_LATER,
    CLOSED_BEFORE,
    UNKNOWN_LEAD,
    UNKNOWN_ACCOUNT,
    UNKNOWN_PARTNER,
    DUPLICATE,
    VERSIONS,
    ABSURD,
    UNLISTED,
    STALE,
    LATE,
    VOLUME_WEEK,
    VOLUME_DAY,
)
"""Every check, in the order of reports."""
