"""Whether the store knows a lead already: by its id, an alias of it, or its e-mail address.

Look under `records.alone`, so that what was not there still is not when it is added.
"""

from collections.abc import Collection

from sqlalchemy import Connection

from features.records import KINDS, Row
from operations.emails import email_key
from serving.records import aliases, emails
from serving.records.visible import EVER, about, latest

_LEADS, _EVENTS = KINDS["leads"], KINDS["lead_events"]
_CLOSING = ("won", "lost")


def known_lead(connection: Connection, lead_id: str, email: str | None) -> Row | None:
    """What the store says now of the lead that is known by `lead_id`, else of an open one with this e-mail address.

    Of several open ones with the address the one whose last version is oldest; None where there is no such lead.
    """
    own = aliases.resolve(connection, lead_id)
    found = latest(connection, _LEADS, [own], EVER).get(own)
    return found if found is not None or email is None else _open_with(connection, email)


def _open_with(connection: Connection, email: str) -> Row | None:
    candidates = emails.leads_with(connection, email)
    if not candidates:
        return None
    names = aliases.resolve_all(connection, candidates)
    leads = latest(connection, _LEADS, {*names.values()}, EVER)
    # An address that a lead had before it was corrected is not its own; one that came with a merged lead is.
    meant = {own for name, own in names.items() if own in leads and (name != own or _has(leads[own], email_key(email)))}
    still_open = meant - _closed(connection, meant)
    return min((leads[own] for own in still_open), key=lambda row: int(row["ingest"]), default=None)


def _has(lead: Row, key: str) -> bool:
    return lead["email"] is not None and email_key(lead["email"]) == key


def _closed(connection: Connection, lead_ids: Collection[str]) -> set[str]:
    """Those of the leads whose last outcome is not that they were reopened."""
    outcomes = [row for row in about(connection, _EVENTS, lead_ids, EVER) if row["event"] in (*_CLOSING, "reopened")]
    last = {row["lead_id"]: row["event"] for row in sorted(outcomes, key=_when)}
    return {lead_id for lead_id, event in last.items() if event in _CLOSING}


def _when(row: Row) -> tuple[int, int, int]:
    occurred, recorded = row["occurred_at"], row["recorded_at"]
    return (-1 if occurred is None else occurred, -1 if recorded is None else recorded, row["ingest"])
