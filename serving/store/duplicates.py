"""Whether the store knows a lead already: by its id, an alias of it, or its e-mail address.

Look under `records.alone`, so that what was not there still is not when it is added.
"""

from operator import itemgetter

from sqlalchemy import Connection

from features.outcomes import closed_leads
from features.records import KINDS, Row
from operations.emails import email_key
from serving.store import aliases, emails
from serving.store.lists import EVER, about, latest

_LEADS, _EVENTS = KINDS["leads"], KINDS["lead_events"]


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
    # The machines' clocks differ a little, so an event that another machine has just recorded counts in any case.
    events = sorted(about(connection, _EVENTS, meant, EVER), key=itemgetter("ingest"))
    still_open = meant - closed_leads(events, EVER).keys()
    return min((leads[own] for own in still_open), key=lambda row: int(row["ingest"]), default=None)


def _has(lead: Row, key: str) -> bool:
    return lead["email"] is not None and email_key(lead["email"]) == key
