"""The ids that a partner sends. They live in the partner's own namespace, so that no id reaches a record of the vendor.

The CRM may give another record any id that a partner chose, and a partner that tries ids must not learn which ones are
taken. A lead of a partner joins an account of the vendor by its e-mail domain alone, and the partner does not see that.
"""

import hashlib
import json

from sqlalchemy import Connection, select

from features.domains import InvalidDomain, site, spellings
from features.records import KINDS
from models.policy import Policy
from serving.leads.duplicates import matching_lead
from serving.records.tables import RECORDS
from serving.records.visible import EVER, visible
from serving.scoring.requests import LeadRequest

PARTNER_ACCOUNT = "partner-account:"
"""The start of the ids of the accounts that partners sent."""
_ACCOUNTS = KINDS["accounts"]
_FREE_MAIL = "free_mail_domains"
_ID_DIGITS = 32
"""Hexadecimal digits of an id in a partner's namespace: 128 bits."""


def submission_id(partner_id: str, reference: str) -> str:
    """The id of a lead that a partner calls `reference`: always the same, and no id that a CRM would give."""
    return _digest("leads", partner_id, reference)


def partner_account_id(partner_id: str, reference: str) -> str:
    """The id of an account that a partner calls `reference`."""
    return PARTNER_ACCOUNT + _digest("accounts", partner_id, reference)


def under_own_ids(connection: Connection, request: LeadRequest, partner_id: str) -> LeadRequest:
    """A partner's request with every id in the partner's namespace; kept ids of the partner's own leads stay."""
    lead, account = request.lead, request.account
    own_lead = {
        "lead_id": _own_lead(connection, partner_id, lead.lead_id),
        "account_id": lead.account_id and partner_account_id(partner_id, lead.account_id),
        "duplicate_of": lead.duplicate_of and _own_lead(connection, partner_id, lead.duplicate_of),
    }
    changes: dict[str, object] = {"lead": lead.model_copy(update=own_lead)}
    if account is not None:
        own_account = {"account_id": partner_account_id(partner_id, account.account_id)}
        changes["account"] = account.model_copy(update=own_account)
    return request.model_copy(update=changes)


def our_account(connection: Connection, email: str | None, policy: Policy) -> str | None:
    """The vendor's one account with the domain of an address; None for a shared domain such as a free-mail provider's.

    Accounts that partners sent are left out: their domains are what a partner states.

    Args:
        connection: the store's.
        email: the address.
        policy: its list `free_mail_domains`, if it has one, names more shared domains.
    """
    try:
        found = None if email is None else site(email)
    except InvalidDomain:
        found = None
    if found is None or found.shared is not None or policy.lists_value(_FREE_MAIL, found.domain):
        return None
    names = [f"{host}{spelling}" for host in ("", "www.") for spelling in spellings(found.domain)]
    column = RECORDS["accounts"].c.domain
    wanted = select(RECORDS["accounts"].c.account_id).where(column.in_(names)).distinct()
    ids = [identity for identity in connection.execute(wanted).scalars() if not identity.startswith(PARTNER_ACCOUNT)]
    current = visible(connection, _ACCOUNTS, ids, EVER)
    having = [identity for identity, row in current.items() if row["domain"] in names]
    return having[0] if len(having) == 1 else None


def _own_lead(connection: Connection, partner_id: str, reference: str) -> str:
    """The id of a lead in the partner's namespace, unless it names a lead of that partner by the kept id."""
    known = matching_lead(connection, reference, None)
    if known is not None and known["source_partner_id"] == partner_id:
        return reference
    return submission_id(partner_id, reference)


def _digest(*names: str) -> str:
    text = json.dumps(names, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_ID_DIGITS]
