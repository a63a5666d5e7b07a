"""Taking in a lead with its facts: once, however often and by whatever id it is sent; kept and decided on together."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, select

from features.records import KINDS, Kind, Record, Row, Stored
from features.rows import stored as from_row
from models.scorer import Scorer
from serving import intake
from serving.api.record_bodies import fact_id
from serving.api.schemas import LeadRequest, known_attributes
from serving.canonical import Content
from serving.scoring import Made, score_within
from serving.service import Service
from serving.store import aliases, decisions, due, outbox, records
from serving.store.duplicates import known_lead
from serving.store.lists import EVER, latest
from serving.store.tables import RECORDS

_LEADS = KINDS["leads"]
_FACTS = tuple(KINDS[name] for name in LeadRequest.model_fields if name in KINDS and not KINDS[name].entity)
_AT_ONCE = 5_000
_DIGITS = 32
"""Of the id of a partner's lead: 128 bits in hex."""


@dataclass(frozen=True)
class Taken:
    """What became of a lead that was sent.

    Attributes:
        lead_id: the id it is kept under; None where it is another partner's, of which nothing may be told.
        duplicate: whether it was there already.
        decision: what is decided on it now; None where nothing may be told.
        made: that decision, where it was made just now.
    """

    lead_id: str | None
    duplicate: bool
    decision: Content | None
    made: Sequence[Made] = ()


def take(
    service: Service, scorer: Scorer, connection: Connection, request: LeadRequest, partner_id: str | None = None
) -> Taken:
    """Keeps a lead with its facts, or adds to one that is there the facts it lacks, and decides on it.

    Args:
        service: the running service.
        scorer: what decides.
        connection: the store's, in a write transaction.
        request: the lead with its facts, checked.
        partner_id: the partner that sends it, who may change nothing that is known of leads and companies.
    """
    records.alone(connection)
    if partner_id is not None:
        request = _submitted(connection, request, partner_id)
    known = known_lead(connection, request.lead.lead_id, request.lead.email)
    if known is None:
        return _create(service, scorer, connection, request, entities_change=partner_id is None)
    if partner_id not in (None, known["source_partner_id"]):
        return Taken(None, True, None)
    return _join(service, scorer, connection, request, known)


def submission_id(partner_id: str, reference: str) -> str:
    """The id of a lead that a partner calls `reference`: always the same, and none that a CRM would give a lead."""
    text = json.dumps(["leads", partner_id, reference], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def _submitted(connection: Connection, request: LeadRequest, partner_id: str) -> LeadRequest:
    """A partner's request under an id of its own, unless it names a lead of that partner by the id it is kept under.

    Ids are our side's to give: the CRM may give any that a partner thought of to another lead, and a partner that tries
    them must not learn which are taken.
    """
    lead = request.lead
    known = known_lead(connection, lead.lead_id, None)
    if known is not None and known["source_partner_id"] == partner_id:
        return request
    own = lead.model_copy(update={"lead_id": submission_id(partner_id, lead.lead_id)})
    return request.model_copy(update={"lead": own})


def _create(
    service: Service, scorer: Scorer, connection: Connection, request: LeadRequest, *, entities_change: bool
) -> Taken:
    # Read here and not before: who waited for another writer must not record earlier than that one.
    now, lead_id, account_id = service.clock(), request.lead.lead_id, _account_id(request)
    new = [
        _lead(request, account_id, now),
        *_entities(connection, request, change=entities_change),
        *_facts(connection, request, [lead_id], account_id or lead_id),
    ]
    _accept(connection, new, lead_id, now)
    told = {name: getattr(request.lead, name) for name in ("lead_id", "channel", "source_partner_id")}
    outbox.add(connection, [outbox.event("lead.created", lead_id, told, at=now, tokens=service.tokens)])
    made = score_within(service, scorer, connection, lead_id, now)
    return Taken(lead_id, False, made[0], [made])


def _join(service: Service, scorer: Scorer, connection: Connection, request: LeadRequest, known: Row) -> Taken:
    """What the request tells beyond what is known; the lead's own fields, its account and partners stay as they are."""
    now, lead_id = since(service.clock(), known), known["lead_id"]
    names = [lead_id, *(other.alias for other in aliases.of_lead(connection, lead_id))]
    new = [
        *_entities(connection, request, change=False),
        *_facts(connection, request, names, known["account_id"] or request.account_id),
    ]
    _accept(connection, new, lead_id, now)
    if not new and (standing := _standing(connection, lead_id)) is not None:
        return Taken(lead_id, True, standing)
    made = score_within(service, scorer, connection, lead_id, now)
    return Taken(lead_id, True, made[0], [made])


def _accept(connection: Connection, new: Sequence[Stored], lead_id: str, now: int) -> None:
    intake.accept(connection, new, now)
    # It is decided on at once.
    due.strike_off(connection, [lead_id], due.UNCLAIMED)


def since(now: int, row: Row) -> int:
    """When what follows `row` is recorded: `now`, but not before it, whichever machine's clock recorded it."""
    recorded: int | None = row["recorded_at"]
    return now if recorded is None else max(now, recorded)


def _standing(connection: Connection, lead_id: str) -> Content | None:
    score = decisions.current(connection, lead_id)
    kept = None if score is None else decisions.get(connection, score.decision_id)
    content: Content | None = None if kept is None else json.loads(kept.content)
    return content


def _account_id(request: LeadRequest) -> str | None:
    """The account's id; where facts came without an account the lead's own, which then stands for its account."""
    told = any(kind.parent == "account_id" and getattr(request, kind.name) for kind in _FACTS)
    given = request.account or request.lead.account_id
    return request.account_id if told or given else None


def _lead(request: LeadRequest, account_id: str | None, now: int) -> Stored:
    """The lead; one that does not say when it was created was created now."""
    created = now if request.lead.created_at is None else request.lead.created_at
    lead = request.lead.model_copy(update={"account_id": account_id, "created_at": created})
    return Stored(_LEADS, lead.lead_id, lead, attributes=known_attributes(lead.attributes))


def _entities(connection: Connection, request: LeadRequest, *, change: bool) -> Iterator[Stored]:
    """The account and the partners that are new; those that say something else too, if they may `change`."""
    sent: dict[str, Sequence[Record]] = {
        "accounts": [request.account] if request.account else [],
        "partners": request.partners or (),
    }
    for name, contents in sent.items():
        kind = KINDS[name]
        known = latest(connection, kind, [getattr(record, kind.id) for record in contents], EVER)
        for record in contents:
            before = known.get(getattr(record, kind.id))
            if before is None:
                yield Stored(kind, getattr(record, kind.id), record)
            elif change:
                yield _updated(kind, record, before)


def _updated(kind: Kind, record: Record, before: Row) -> Stored:
    """A new version of an entity: what the request does not mention stays known."""
    known = from_row(kind, before)
    given = {name: getattr(record, name) for name in record.model_fields_set} | {"recorded_at": None}
    return replace(known, record=known.record.model_copy(update=given))


def _facts(connection: Connection, request: LeadRequest, lead_ids: Sequence[str], account_id: str) -> Iterator[Stored]:
    """The facts that are new, of the first of a lead's ids; it may have learned them under any of the others."""
    for kind in _FACTS:
        owners = lead_ids if kind.parent == "lead_id" else [account_id]
        sent = {tuple(fact_id(kind, owner, r) for owner in owners): r for r in getattr(request, kind.name) or ()}
        there = _there(connection, kind, [name for names in sent for name in names])
        yield from (Stored(kind, n[0], r, owners[0]) for n, r in sent.items() if there.isdisjoint(n))


def _there(connection: Connection, kind: Kind, ids: Sequence[str]) -> set[str]:
    """Those of the ids that have any version, for what was removed does not come back with a repetition."""
    column, found = RECORDS[kind.name].c[kind.id], set[str]()
    for start in range(0, len(ids), _AT_ONCE):
        wanted = column.in_(ids[start : start + _AT_ONCE])
        found.update(connection.execute(select(column).where(wanted).distinct()).scalars())
    return found
