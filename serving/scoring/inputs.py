"""The inputs of a decision. There are three ways to them and one way on: `serving.scoring.decide`.

`from_request` takes the facts that came with a request, `from_store` the facts that the store has of a lead, and
`from_features` the features that a kept decision was made from.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sqlalchemy import Connection

from features.delivery import without_absent
from features.engines.python import Evaluation, Facts, evaluate
from features.opportunity import Amount, converted, open_amount
from features.records import KINDS, Row
from models.scorer import Scorer
from serving.decisions.evaluations import evaluation_from_json
from serving.decisions.stored_decisions import StoredDecision
from serving.records import delivery, joined_accounts, versions
from serving.records.facts import facts_of_many
from serving.scoring import partner_history
from serving.scoring.partner_history import PartnerHistoryUsed
from serving.scoring.requests import ScoreRequest, check_attributes, moment_of
from serving.store.canonical_json import canonical

_RATES = KINDS["exchange_rates"]


@dataclass(frozen=True, kw_only=True)
class DecisionInputs:
    """Everything that one decision is made from, beside the scorer.

    Attributes:
        lead_id: the lead.
        as_of: the moment that the decision speaks for, microseconds.
        evaluation: the lead at that moment, as rules and model read it.
        history: the partner history in the evaluation.
        ingest: of a stored lead, the ingest number of the newest version of any record; None for facts in a request.
        request: the body that the facts came in, as canonical JSON text.
        for_partner: the lead without the account that it joined by its e-mail domain, which its partner must not learn
            of; None for every other lead.
    """

    lead_id: str
    as_of: int
    evaluation: Evaluation
    history: PartnerHistoryUsed
    ingest: int | None = None
    request: str | None = None
    for_partner: Evaluation | None = None

    @property
    def source_partner_id(self) -> str | None:
        """The lead's source partner."""
        partner: str | None = self.evaluation.lead.get("source_partner_id")
        return partner


@dataclass(frozen=True)
class SentLead:
    """A lead that was sent with its facts.

    Attributes:
        request: the lead and its facts.
        body: the JSON object that was sent, with codes as they were read.
        as_of: the moment to decide for, microseconds.
    """

    request: ScoreRequest
    body: Mapping[str, Any]
    as_of: int


def sent_lead(request: ScoreRequest, body: Mapping[str, Any], scorer: Scorer, now: int, path: str = "") -> SentLead:
    """A request that the scorer can decide on at `now` (microseconds); `path` is its place in the body.

    Raises:
        InvalidFields: the lead has attributes that the served model does not know, or the moment lies in the future.
    """
    check_attributes(request, scorer.served.bundle.attributes if scorer.served else (), path)
    return SentLead(request, _with_codes_as_read(body, request), moment_of(request, now, path))


def _with_codes_as_read(body: Mapping[str, Any], request: ScoreRequest) -> Mapping[str, Any]:
    """The body with the country's ISO code, where another code was sent that stands for it.

    A replay reads a kept body as it is, so that a body of an earlier version, which read no code otherwise, is read so.
    """
    account = request.account
    if account is None or account.country == body["account"].get("country"):
        return body
    return {**body, "account": {**body["account"], "country": account.country}}


def from_request(connection: Connection, scorer: Scorer, sent: SentLead) -> DecisionInputs:
    """The inputs of a decision on a lead that was sent with its facts; only the partner history is read."""
    facts = sent.request.facts()
    history = partner_history.of_sent_facts(connection, scorer, facts, sent.as_of)
    return from_sent_facts(scorer, sent.request, history, sent.as_of, canonical(sent.body), facts)


def from_sent_facts(
    scorer: Scorer,
    request: ScoreRequest,
    history: PartnerHistoryUsed,
    as_of: int,
    body: str,
    facts: Facts | None = None,
) -> DecisionInputs:
    """The inputs of a decision on facts in a request with a given partner history.

    Args:
        scorer: the scorer that will decide.
        request: the lead and its facts.
        history: the partner history.
        as_of: the moment to decide for, microseconds.
        body: the body of the request as canonical JSON text.
        facts: the request's facts, where the caller has them already.
    """
    rows = request.facts() if facts is None else facts
    evaluation = evaluate(scorer.catalogue, {**rows, **history.rows}, as_of)
    return DecisionInputs(
        lead_id=request.lead.lead_id, as_of=as_of, evaluation=evaluation, history=history, request=body
    )


def from_store(
    connection: Connection, scorer: Scorer, lead_ids: Sequence[str], as_of: int
) -> Iterator[tuple[DecisionInputs, Facts]]:
    """The inputs of decisions on stored leads, each with the facts behind it, in the order given.

    Args:
        connection: the store's, from `reading`: the facts and the ingest number must be of one state of the store.
        scorer: the scorer that will decide.
        lead_ids: the leads; an unknown lead has an evaluation without a lead.
        as_of: the moment to decide for, microseconds.
    """
    context = store_context(connection, as_of)
    joined = joined_accounts.of_leads(connection, lead_ids)
    for lead_id, facts in facts_of_many(connection, lead_ids, as_of):
        inputs = from_stored_facts(scorer, lead_id, facts, as_of, context)
        if lead_id in joined and inputs.evaluation.lead.get("account_id") == joined[lead_id].account_id:
            known = joined_accounts.facts_for_partner(connection, facts, joined[lead_id])
            hidden = from_stored_facts(scorer, lead_id, known, as_of, context)
            inputs = replace(inputs, for_partner=hidden.evaluation)
        yield inputs, facts


@dataclass(frozen=True)
class StoreContext:
    """What the whole store says at a moment, beside the facts of one lead.

    Attributes:
        ingest: the ingest number of the newest version of any record that counts.
        absent: the kinds of facts that no source delivers.
        rates: gives the versions of the exchange rates, in the order of ingest. Few decisions need them.
    """

    ingest: int
    absent: tuple[str, ...]
    rates: Callable[[], Iterable[Row]]


def store_context(connection: Connection, as_of: int) -> StoreContext:
    """The context of decisions as of `as_of` (microseconds) from all that the store has now."""
    rates = partial(versions.versions, connection, _RATES)
    return StoreContext(versions.last_ingest(connection), delivery.absent(connection, as_of), rates)


def from_stored_facts(scorer: Scorer, lead_id: str, facts: Facts, as_of: int, context: StoreContext) -> DecisionInputs:
    """The inputs of a decision on a stored lead.

    Args:
        scorer: the scorer that will decide.
        lead_id: the lead.
        facts: all versions up to the context's ingest number.
        as_of: the moment to decide for, microseconds.
        context: of the store.
    """
    evaluation = without_absent(evaluate(scorer.catalogue, facts, as_of), scorer.catalogue, context.absent)
    evaluation = replace(evaluation, opportunity=_opportunity(scorer, facts, as_of, context))
    history = partner_history.of_stored_facts(evaluation.lead.get("source_partner_id"), facts)
    return DecisionInputs(lead_id=lead_id, as_of=as_of, evaluation=evaluation, history=history, ingest=context.ingest)


def _opportunity(scorer: Scorer, facts: Facts, as_of: int, context: StoreContext) -> Amount | None:
    """The lead's open amount in the currency of the model's amounts."""
    amount = open_amount(facts.get("lead_events", ()), as_of)
    served = scorer.served.bundle.expected_amount if scorer.served else None
    if amount is None or served is None or amount.currency == served[1]:
        return amount
    return converted(amount, served[1], context.rates(), as_of)


def from_features(kept: StoredDecision, features: str) -> DecisionInputs:
    """The inputs that a kept decision was made from; `features` is its evaluation as canonical JSON text."""
    return DecisionInputs(
        lead_id=str(kept.lead_id),
        as_of=kept.as_of,
        evaluation=evaluation_from_json(features),
        history=PartnerHistoryUsed.from_json(kept.history),
        ingest=kept.ingest,
        request=kept.request,
    )
