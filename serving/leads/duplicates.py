"""Duplicates: whether the store already has a lead, by its id, an alias or its e-mail address.

Search after `versions.lock_records`, so that a lead that was absent is still absent when it is added.
"""

from operator import itemgetter

from sqlalchemy import Connection

from features.outcomes import closed_leads
from features.records import KINDS, Row
from operations.emails import email_key
from serving.records import aliases, emails
from serving.records.visible import EVER, visible, visible_about

_LEADS, _EVENTS = KINDS["leads"], KINDS["lead_events"]


def matching_lead(connection: Connection, lead_id: str, email: str | None) -> Row | None:
    """The lead known by `lead_id`, else an open lead with this e-mail address, as the store has it now.

    Of several open leads with the address, the one whose last version is the oldest; None where there is none.
    """
    own = aliases.resolve(connection, lead_id)
    found = visible(connection, _LEADS, [own], EVER).get(own)
    return found if found is not None or email is None else _open_with(connection, email)


def _open_with(connection: Connection, email: str) -> Row | None:
    candidates = emails.leads_with(connection, email)
    if not candidates:
        return None
    names = aliases.resolve_all(connection, candidates)
    leads = visible(connection, _LEADS, {*names.values()}, EVER)
    # An address from before a correction is no longer the lead's; an address from a merged lead is.
    meant = {own for name, own in names.items() if own in leads and (name != own or _has(leads[own], email_key(email)))}
    # The clocks of machines differ a little, so an event that another machine has just recorded counts, too.
    events = sorted(visible_about(connection, _EVENTS, meant, EVER), key=itemgetter("ingest"))
    still_open = meant - closed_leads(events, EVER).keys()
    return min((leads[own] for own in still_open), key=lambda row: int(row["ingest"]), default=None)


def _has(lead: Row, key: str) -> bool:
    return lead["email"] is not None and email_key(lead["email"]) == key
