"""The content of the work list: a page of leads by their current scores, with their decisions and records."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from features.records import KINDS, Row
from models.decision import CloseProbability, Decision
from operations.exploration import OFF, Exploration, Exposure
from operations.work_list import PASSED, View
from serving.decisions import current_scores, stored_decisions
from serving.decisions.current_scores import CurrentScore
from serving.decisions.reasons import strongest_reason
from serving.html import charts
from serving.records.visible import any_leads, visible
from serving.work_list import exploration as exploring
from serving.work_list.addresses import lead_address, list_address

_PASSED = {*PASSED.qualifications}


@dataclass(frozen=True, kw_only=True)
class Line:
    """One lead of the list.

    Attributes:
        score: its current score.
        name: the account's, else its domain, else the lead's id.
        domain: the account's, where the name does not say it already.
        partner: its source partner's name, else its id; None where it has none.
        probability: the decision's `close_probability`.
        note: the strongest reason for it; of a lead that did not pass, what it waits for or why not.
        missing: of a pending lead, what to ask for.
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
        """Of the lead's page."""
        return lead_address(self.score.lead_id)


@dataclass(frozen=True)
class Tab:
    """A view to change to."""

    view: View
    count: int
    address: str


@dataclass(frozen=True, kw_only=True)
class WorkList:
    """What the work list shows.

    Attributes:
        view: the part of the leads it shows.
        tabs: the visitor's views.
        lines: the leads of this page.
        total: how many the view has.
        first: the place of the first line in the view, from 0.
        end: the probability at the right end of the bars.
        earlier, later: addresses of the pages before and after, None where there is none.
        scored: whether any lead the visitor may see is scored.
        stored: whether the store has any lead at all.
        share: of the leads, that stand at random places.
        exposures: where each line stands, to be logged once sales has seen it; none where no place is random.
        partner: whether a partner sees it, who learns no probability, grade and value.
    """

    view: View
    tabs: Sequence[Tab]
    lines: Sequence[Line]
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
        """What the lines' notes tell."""
        if self.view.pending or self.partner:
            return "Waiting for"
        return "Top reason" if self.likely and {*self.view.qualifications} <= _PASSED else "In short"

    @property
    def likely(self) -> bool:
        """Whether any line has a probability."""
        return any(line.probability for line in self.lines)

    def bar(self, line: Line) -> charts.RangeBar | None:
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
    asked_limit: int | None = None,
) -> WorkList:
    """A page of a view.

    Args:
        connection: the store's.
        view: which leads.
        views: the visitor's, with `view` among them.
        partner_id: whose leads alone; None for all.
        now: the moment, microseconds, at which names hold and places are drawn.
        limit: how many leads a page has.
        offset: how many leads come before this page.
        exploration: how priorities are randomised, in views that sales works.
        asked_limit: the limit to keep in the addresses of other pages; None where none was asked for.
    """
    tallies = current_scores.tallies(connection, partner_id)
    tabs = [Tab(each, _count(each, tallies), list_address(each, views, 0, asked_limit)) for each in views]
    total = _count(view, tallies)
    explored = exploring.is_explored(view, partner_id, exploration)
    if explored:
        page = exploring.page(connection, view, exploration, now=now, limit=limit, offset=offset)
    else:
        page = exploring.ListPage(_ranked(connection, view, partner_id, limit, offset))
    lines = _lines(connection, page.scores, now)
    if partner_id is not None:
        lines = [_for_partner(line) for line in lines]
    before, after = max(offset - limit, 0), offset + limit
    return WorkList(
        view=view,
        tabs=tabs,
        lines=lines,
        total=total,
        first=offset,
        end=charts.scale(line.probability.upper for line in lines if line.probability),
        earlier=list_address(view, views, before, asked_limit) if offset else None,
        later=list_address(view, views, after, asked_limit) if after < total else None,
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


def _lines(connection: Connection, scores: Sequence[CurrentScore], now: int) -> list[Line]:
    issued = stored_decisions.issued(connection, [score.decision_id for score in scores])
    leads = visible(connection, KINDS["leads"], [score.lead_id for score in scores], now)
    accounts = visible(connection, KINDS["accounts"], _ids(leads.values(), "account_id"), now)
    partner_ids = {score.source_partner_id for score in scores if score.source_partner_id}
    partners = visible(connection, KINDS["partners"], partner_ids, now)
    lines = []
    for score in scores:
        decision = issued[score.decision_id].decision
        account = accounts.get(leads.get(score.lead_id, {}).get("account_id") or "", {})
        partner = partners.get(score.source_partner_id or "", {})
        lines.append(
            Line(
                score=score,
                name=account.get("name") or account.get("domain") or score.lead_id,
                domain=account.get("domain") if account.get("name") else None,
                partner=partner.get("name") or score.source_partner_id,
                probability=decision.close_probability,
                note=_note(decision),
                missing=decision.missing if decision.pending else (),
            )
        )
    return lines


def _for_partner(line: Line) -> Line:
    """What a partner sees of a line; see `serving.decisions.partner_view`."""
    score = replace(
        line.score, close_probability=None, grade=None, expected_value_minor=None, expected_value_currency=None
    )
    return replace(line, score=score, probability=None, note=next(iter(line.missing), ""))


def _ids(rows: Iterable[Row], column: str) -> set[str]:
    return {row[column] for row in rows if row[column] is not None}


def _note(decision: Decision) -> str:
    """The strongest reason for a lead that passed; else the next action, which says what the lead lacks."""
    passed = decision.qualification in _PASSED and not decision.pending
    explanation = decision.explanation if passed else None
    reason = None if explanation is None else strongest_reason(explanation.contributions)
    return reason.sentence if reason else next(iter(decision.next_actions), "")
