"""Submitting a lead with its facts: kept once, by whatever id and however often it is sent, and decided on at once."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, select

from features.batched import batched
from features.records import KINDS, Kind, Record, Row, Stored
from features.rows import stored as from_row
from models.scorer import Scorer
from serving.decisions import current_decisions, current_scores, partner_standings, partner_view, rescore_queue
from serving.decisions.issued import IssuedDecision
from serving.decisions.partner_standings import PartnerStanding
from serving.decisions.stored_decisions import StoredDecision
from serving.leads.duplicates import matching_lead
from serving.leads.partner_namespace import our_account, under_own_ids
from serving.records import aliases, joined_accounts, versions
from serving.records.attributes import known_attributes
from serving.records.bodies import fact_id
from serving.records.closes import closes
from serving.records.ingest import ingest
from serving.records.joined_accounts import JoinedAccount
from serving.records.tables import RECORDS
from serving.records.visible import EVER, visible
from serving.scoring.decide import NewDecision
from serving.scoring.requests import LeadRequest
from serving.scoring.scoring import Scoring
from serving.scoring.stored_leads import decide_within

_LEADS = KINDS["leads"]
_FACTS = tuple(KINDS[name] for name in LeadRequest.model_fields if name in KINDS and not KINDS[name].entity)
_MAX_IDS = 5_000
"""Ids that one query names."""


@dataclass(frozen=True, kw_only=True)
class Submission:
    """The result of submitting a lead.

    Attributes:
        lead_id: the id that the lead is kept under; None where it is another partner's lead, which stays hidden.
        duplicate: whether the store had the lead already.
        decision: the current decision on it; None where it stays hidden.
        made: that decision, where this submission made it.
        stored: that decision, where an earlier request or a worker made it.
        standing: for a partner, how the lead stands by what the partner knows; None where it stays hidden.
        sent_as: the id that the request named.
    """

    lead_id: str | None
    duplicate: bool
    decision: IssuedDecision | None
    made: NewDecision | None = None
    stored: StoredDecision | None = None
    standing: PartnerStanding | None = None
    sent_as: str = ""

    @property
    def content(self) -> Mapping[str, Any] | None:
        """The decision as the API answers it."""
        if self.made is not None:
            return self.made.content
        return None if self.stored is None else json.loads(self.stored.content)


def submit_lead(
    scoring: Scoring, scorer: Scorer, connection: Connection, request: LeadRequest, partner_id: str | None = None
) -> Submission:
    """Keeps a new lead with its facts, or adds the missing facts to a known lead, and decides on it.

    Args:
        scoring: what decides.
        scorer: the scorer to decide with.
        connection: the store's, in a write transaction.
        request: the lead with its facts, checked.
        partner_id: the partner that sends the lead; a partner changes nothing that others stated.
    """
    versions.lock_records(connection)
    if partner_id is None:
        submission = _submit(scoring, scorer, connection, request, None)
    else:
        own = under_own_ids(connection, request, partner_id)
        submission = _submit(scoring, scorer, connection, own, partner_id)
        submission = replace(submission, standing=_standing(connection, submission.decision))
    return replace(submission, sent_as=request.lead.lead_id)


def _standing(connection: Connection, decision: IssuedDecision | None) -> PartnerStanding | None:
    if decision is None:
        return None
    kept = partner_standings.of_decisions(connection, [decision.decision_id])
    return partner_view.shown(decision, kept.get(decision.decision_id))


def _submit(
    scoring: Scoring, scorer: Scorer, connection: Connection, request: LeadRequest, partner_id: str | None
) -> Submission:
    known = matching_lead(connection, request.lead.lead_id, request.lead.email)
    if known is None:
        return _create(scoring, scorer, connection, request, of_partner=partner_id is not None)
    if partner_id not in (None, known["source_partner_id"]):
        return Submission(lead_id=None, duplicate=True, decision=None)
    return _add_facts(scoring, scorer, connection, request, known, of_partner=partner_id is not None)


def _create(
    scoring: Scoring, scorer: Scorer, connection: Connection, request: LeadRequest, *, of_partner: bool
) -> Submission:
    # The clock is read here, under the lock: a transaction that waited must not record earlier than the one before.
    now, lead_id, account_id = scoring.store.clock(), request.lead.lead_id, _account_id(request)
    ours = our_account(connection, request.lead.email, scorer.policy) if of_partner else None
    if ours is not None:
        joined_accounts.add(connection, JoinedAccount(lead_id, ours, account_id))
    new = [
        _lead(request, ours or account_id, now),
        *_entities(connection, request, update=True),
        *_facts(connection, request, [lead_id], account_id or lead_id),
    ]
    _ingest(connection, new, lead_id, now)
    made = decide_within(scoring, scorer, connection, lead_id, now, created={"channel": request.lead.channel})
    return Submission(lead_id=lead_id, duplicate=False, decision=made.issued, made=made)


def _add_facts(
    scoring: Scoring, scorer: Scorer, connection: Connection, request: LeadRequest, known: Row, *, of_partner: bool
) -> Submission:
    """Adds the facts that are new; the lead's own fields, its account and its partners stay as they are.

    A partner is asked for what it has not sent yet. So its own account may grow, and a lead without an account gets it.
    """
    now, lead_id = recording_time(scoring.store.clock(), known), known["lead_id"]
    names = [lead_id, *(other.alias for other in aliases.of_lead(connection, lead_id))]
    new = [
        *(_with_account(connection, request, known) if of_partner else ()),
        *_entities(connection, request, update=of_partner),
        *_facts(connection, request, names, known["account_id"] or request.account_id),
    ]
    _ingest(connection, new, lead_id, now)
    current = _current_decision(connection, lead_id)
    # A closed lead keeps its last decision.
    if current is not None and (not new or closes(connection, [lead_id], now)):
        return Submission(lead_id=lead_id, duplicate=True, decision=current.issued, stored=current)
    made = decide_within(scoring, scorer, connection, lead_id, now)
    return Submission(lead_id=lead_id, duplicate=True, decision=made.issued, made=made)


def _with_account(connection: Connection, request: LeadRequest, known: Row) -> Iterator[Stored]:
    """The lead with the account that its partner sends, where it has none; a joined account stays in its place."""
    account_id, lead_id = _account_id(request), known["lead_id"]
    if account_id is None:
        return
    joined_accounts.set_sent_account(connection, lead_id, account_id)
    if known["account_id"] is None:
        yield from_row(_LEADS, {**known, "account_id": account_id, "recorded_at": None}, kept=True)


def _ingest(connection: Connection, new: Sequence[Stored], lead_id: str, now: int) -> None:
    ingest(connection, new, now)
    # The lead is decided on in this transaction, so no worker needs to.
    rescore_queue.complete(connection, [lead_id], rescore_queue.UNCLAIMED)


def recording_time(now: int, row: Row) -> int:
    """When a version that follows `row` is recorded: `now`, but not before `row`, whose clock may be ahead."""
    recorded: int | None = row["recorded_at"]
    return now if recorded is None else max(now, recorded)


def _current_decision(connection: Connection, lead_id: str) -> StoredDecision | None:
    score = current_scores.get(connection, lead_id)
    return None if score is None else current_decisions.get(connection, score)


def _account_id(request: LeadRequest) -> str | None:
    """The account's id; for facts without an account the lead's own id, which then stands for its account."""
    has_account_facts = any(kind.parent == "account_id" and getattr(request, kind.name) for kind in _FACTS)
    given = request.account or request.lead.account_id
    return request.account_id if has_account_facts or given else None


def _lead(request: LeadRequest, account_id: str | None, now: int) -> Stored:
    """The lead; a lead without a creation time was created now."""
    created = now if request.lead.created_at is None else request.lead.created_at
    lead = request.lead.model_copy(update={"account_id": account_id, "created_at": created})
    return Stored(_LEADS, lead.lead_id, lead, attributes=known_attributes(lead.attributes))


def _entities(connection: Connection, request: LeadRequest, *, update: bool) -> Iterator[Stored]:
    """The account and the partners that are new, and with `update` new versions of the known ones.

    A partner sends no account but its own (see `serving.leads.partner_namespace`), and no partners.
    """
    sent: dict[str, Sequence[Record]] = {
        "accounts": [request.account] if request.account else [],
        "partners": request.partners or (),
    }
    for name, contents in sent.items():
        kind = KINDS[name]
        known = visible(connection, kind, [getattr(record, kind.id) for record in contents], EVER)
        for record in contents:
            before = known.get(getattr(record, kind.id))
            if before is None:
                yield Stored(kind, getattr(record, kind.id), record)
            elif update:
                yield _updated(kind, record, before)


def _updated(kind: Kind, record: Record, before: Row) -> Stored:
    """A new version of an entity; fields that the request leaves out keep their values."""
    known = from_row(kind, before, kept=True)
    given = {name: getattr(record, name) for name in record.model_fields_set} | {"recorded_at": None}
    return replace(known, record=known.record.model_copy(update=given))


def _facts(connection: Connection, request: LeadRequest, lead_ids: Sequence[str], account_id: str) -> Iterator[Stored]:
    """The facts that are new, for the first of a lead's ids; a fact may be known under any of the other ids."""
    for kind in _FACTS:
        owners = lead_ids if kind.parent == "lead_id" else [account_id]
        sent = {tuple(fact_id(kind, owner, r) for owner in owners): r for r in getattr(request, kind.name) or ()}
        existing = _existing(connection, kind, [name for names in sent for name in names])
        yield from (Stored(kind, n[0], r, owners[0]) for n, r in sent.items() if existing.isdisjoint(n))


def _existing(connection: Connection, kind: Kind, ids: Sequence[str]) -> set[str]:
    """Those ids that have any version: a removed fact does not come back when it is sent again."""
    column, found = RECORDS[kind.name].c[kind.id], set[str]()
    for batch in batched(ids, _MAX_IDS):
        found.update(connection.execute(select(column).where(column.in_(batch)).distinct()).scalars())
    return found
