"""The content of the work list: a page of leads by their current scores, with their decisions and records."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from features.records import KINDS, Row
from models.decision import CloseProbability, Decision
from operations.exploration import OFF, Exploration, Exposure
from operations.work_list import PASSED, View
from serving.decisions import current_decisions, current_scores, partner_standings, partner_view
from serving.decisions.current_scores import CurrentScore
from serving.decisions.reasons import strongest_reason
from serving.html import charts
from serving.records.visible import any_leads, visible
from serving.work_list import exploration as exploring
from serving.work_list.addresses import lead_address, list_address

_PASSED = {*PASSED.qualifications}


@dataclass(frozen=True, kw_only=True)
class LeadLine:
    """One lead of the list.

    Attributes:
        score: the lead's current score.
        name: the account's name, else the account's domain, else the lead's id; for a partner see `partner_view`.
        domain: the account's domain, where `name` is not the domain already.
        partner: the source partner's name, else its id; None where the lead has none.
        probability: the decision's `close_probability`.
        note: the strongest reason for the lead; for a lead that did not pass, its first next action.
        missing: the missing data of a pending lead.
    """

    score: CurrentScore
    name: str
    domain: str | None
    partner: str | None
    probability: CloseProbability | None
    note: str
    missing: Sequence[str] = ()

    @property
    def address(self) -> str:
        """The address of the lead's page."""
        return lead_address(self.score.lead_id)


@dataclass(frozen=True)
class Tab:
    """A link to a view."""

    view: View
    count: int
    address: str


@dataclass(frozen=True, kw_only=True)
class WorkList:
    """The content of the work list.

    Attributes:
        view: the shown view.
        tabs: the views of the visitor.
        lines: the leads of this page.
        total: the number of leads in the view.
        first: the position of the first line in the view, from 0.
        end: the probability at the right end of the bars.
        earlier, later: the addresses of the pages before and after; None where there is none.
        scored: whether any lead that the visitor may see is scored.
        stored: whether the store has any lead.
        share: the share of leads at random positions.
        exposures: the position of each line, to log once sales has seen it; empty where no position is random.
        partner: whether the visitor is a partner, which sees no probability, grade and value.
    """

    view: View
    tabs: Sequence[Tab]
    lines: Sequence[LeadLine]
    total: int
    first: int
    end: float
    earlier: str | None
    later: str | None
    scored: bool
    stored: bool
    share: float = OFF
    exposures: Sequence[Exposure] = ()
    partner: bool = False

    @property
    def note_title(self) -> str:
        """The title of the column with the notes."""
        if self.view.pending or self.partner:
            return "Waiting for"
        return "Top reason" if self.likely and {*self.view.qualifications} <= _PASSED else "In short"

    @property
    def likely(self) -> bool:
        """Whether any line has a probability."""
        return any(line.probability for line in self.lines)

    def bar(self, line: LeadLine) -> charts.RangeBar | None:
        """The bar of a line's probability."""
        return None if line.probability is None else charts.range_bar(line.probability, self.end)


def work_list(
    connection: Connection,
    view: View,
    views: Sequence[View],
    *,
    partner_id: str | None,
    now: int,
    limit: int,
    offset: int,
    exploration: Exploration,
    requested_limit: int | None = None,
) -> WorkList:
    """A page of a view.

    Args:
        connection: the store's.
        view: the view, which selects the leads.
        views: the views of the visitor, which include `view`.
        partner_id: the partner whose leads are shown; None for all leads.
        now: the moment, microseconds, of the names and of the random positions.
        limit: the number of leads on a page.
        offset: the number of leads before this page.
        exploration: how priorities are randomised in the views of sales.
        requested_limit: the limit in the addresses of other pages; None where the visitor requested none.
    """
    tallies = current_scores.tallies(connection, partner_id)
    tabs = [Tab(each, _count(each, tallies), list_address(each, views, 0, requested_limit)) for each in views]
    total = _count(view, tallies)
    explored = exploring.is_explored(view, partner_id, exploration)
    if explored:
        page = exploring.page(connection, view, exploration, now=now, limit=limit, offset=offset)
    else:
        page = exploring.ListPage(_ranked(connection, view, partner_id, limit, offset))
    lines = _lines(connection, page.scores, now, of_partner=partner_id is not None)
    before, after = max(offset - limit, 0), offset + limit
    return WorkList(
        view=view,
        tabs=tabs,
        lines=lines,
        total=total,
        first=offset,
        end=charts.scale(line.probability.upper for line in lines if line.probability),
        earlier=list_address(view, views, before, requested_limit) if offset else None,
        later=list_address(view, views, after, requested_limit) if after < total else None,
        scored=bool(tallies),
        stored=bool(tallies) or any_leads(connection),
        share=exploration.share if explored else OFF,
        exposures=page.exposures,
        partner=partner_id is not None,
    )


def _ranked(connection: Connection, view: View, partner_id: str | None, limit: int, offset: int) -> list[CurrentScore]:
    return current_scores.ranked(
        connection,
        qualifications=view.qualifications,
        pending=view.pending,
        source_partner_id=partner_id,
        limit=limit,
        offset=offset,
    )


def _count(view: View, tallies: Mapping[tuple[str, bool], int]) -> int:
    return sum(count for standing, count in tallies.items() if view.shows(*standing))


def _lines(connection: Connection, scores: Sequence[CurrentScore], now: int, *, of_partner: bool) -> list[LeadLine]:
    issued = current_decisions.issued_of(connection, scores)
    decision_ids = [score.decision_id for score in scores]
    standings = partner_standings.of_decisions(connection, decision_ids) if of_partner else {}
    leads = visible(connection, KINDS["leads"], [score.lead_id for score in scores], now)
    accounts = {} if of_partner else visible(connection, KINDS["accounts"], _ids(leads.values(), "account_id"), now)
    partner_ids = {score.source_partner_id for score in scores if score.source_partner_id}
    partners = visible(connection, KINDS["partners"], partner_ids, now)
    lines = []
    for score in scores:
        found, lead = issued.get(score.lead_id), leads.get(score.lead_id, {"lead_id": score.lead_id})
        partner = partners.get(score.source_partner_id or "", {}).get("name") or score.source_partner_id
        if of_partner:
            seen = None if found is None else partner_view.shown(found, standings.get(score.decision_id))
            lines.append(_line_of_partner(score, seen.missing if seen else (), lead, partner))
        else:
            decision = None if found is None else found.decision
            lines.append(_line(score, decision, accounts.get(lead.get("account_id") or "", {}), partner))
    return lines


def _line(score: CurrentScore, decision: Decision | None, account: Row, partner: str | None) -> LeadLine:
    return LeadLine(
        score=score,
        name=account.get("name") or account.get("domain") or score.lead_id,
        domain=account.get("domain") if account.get("name") else None,
        partner=partner,
        probability=None if decision is None else decision.close_probability,
        note=current_decisions.ALTERED if decision is None else _note(decision),
        missing=decision.missing if decision is not None and decision.pending else (),
    )


def _line_of_partner(score: CurrentScore, missing: Sequence[str], lead: Row, partner: str | None) -> LeadLine:
    """The part of a line that a partner sees; see `serving.decisions.partner_view`."""
    return LeadLine(
        score=score,
        name=partner_view.lead_name(lead),
        domain=None,
        partner=partner,
        probability=None,
        note=next(iter(missing), ""),
        missing=missing,
    )


def _ids(rows: Iterable[Row], column: str) -> set[str]:
    return {row[column] for row in rows if row[column] is not None}


def _note(decision: Decision) -> str:
    """The strongest reason for a lead that passed; else its first next action, which names what the lead lacks."""
    passed = decision.qualification in _PASSED and not decision.pending
    explanation = decision.explanation if passed else None
    reason = None if explanation is None else strongest_reason(explanation.contributions)
    return reason.sentence if reason else next(iter(decision.next_actions), "")
