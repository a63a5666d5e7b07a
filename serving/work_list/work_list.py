"""The work list's content: a page of leads from the current scores, with what their decisions and records say."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

from sqlalchemy import Connection

from features.records import KINDS
from operations.exploration import OFF, Exploration, Exposure
from operations.work_list import PASSED, View
from serving.decisions import stored_decisions as decisions
from serving.decisions.reasons import strongest
from serving.decisions.stored_decisions import CurrentScore
from serving.html import charts as figures
from serving.records import visible as lists
from serving.work_list import exploration as exploring

_PASSED = {*PASSED.qualifications}


@dataclass(frozen=True)
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
    probability: Mapping[str, Any] | None
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


@dataclass(frozen=True)
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

    def bar(self, line: Line) -> figures.RangeBar | None:
        """The bar of a line's probability."""
        return None if line.probability is None else figures.range_bar(line.probability, self.end)


def lead_address(lead_id: str) -> str:
    """The address of a lead's page."""
    return f"/leads/{quote(lead_id, safe='')}"


def list_address(view: View, views: Sequence[View], offset: int = 0, limit: int | None = None) -> str:
    """The address of a view of the work list; the first view is where the list starts."""
    query = {"view": view.name if view != views[0] else None, "offset": offset or None, "limit": limit}
    given = {name: value for name, value in query.items() if value is not None}
    return f"/?{urlencode(given)}" if given else "/"


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
    tallies = lists.tallies(connection, partner_id)
    tabs = [Tab(each, _count(each, tallies), list_address(each, views, 0, asked_limit)) for each in views]
    total = _count(view, tallies)
    explored = exploring.explored(view, partner_id, exploration)
    if explored:
        page = exploring.page(connection, view, exploration, now=now, limit=limit, offset=offset)
    else:
        page = exploring.Page(_ranked(connection, view, partner_id, limit, offset))
    lines = _lines(connection, page.scores, now)
    if partner_id is not None:
        lines = [_to_partner(line) for line in lines]
    before, after = max(offset - limit, 0), offset + limit
    return WorkList(
        view=view,
        tabs=tabs,
        lines=lines,
        total=total,
        first=offset,
        end=figures.scale(line.probability["upper"] for line in lines if line.probability),
        earlier=list_address(view, views, before, asked_limit) if offset else None,
        later=list_address(view, views, after, asked_limit) if after < total else None,
        scored=bool(tallies),
        stored=bool(tallies) or lists.any_leads(connection),
        share=exploration.share if explored else OFF,
        exposures=page.exposures,
        partner=partner_id is not None,
    )


def _ranked(connection: Connection, view: View, partner_id: str | None, limit: int, offset: int) -> list[CurrentScore]:
    return decisions.ranked(
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
    found = lists.contents(connection, [score.decision_id for score in scores])
    leads = lists.latest(connection, KINDS["leads"], [score.lead_id for score in scores], now)
    accounts = lists.latest(connection, KINDS["accounts"], _named(leads.values(), "account_id"), now)
    partner_ids = {score.source_partner_id for score in scores if score.source_partner_id}
    partners = lists.latest(connection, KINDS["partners"], partner_ids, now)
    lines = []
    for score in scores:
        content = json.loads(found[score.decision_id])
        account = accounts.get(leads.get(score.lead_id, {}).get("account_id") or "", {})
        partner = partners.get(score.source_partner_id or "", {})
        lines.append(
            Line(
                score=score,
                name=account.get("name") or account.get("domain") or score.lead_id,
                domain=account.get("domain") if account.get("name") else None,
                partner=partner.get("name") or score.source_partner_id,
                probability=content["close_probability"],
                note=_note(content),
                missing=content["missing"] if content["pending"] else (),
            )
        )
    return lines


def _to_partner(line: Line) -> Line:
    """What a partner sees of a line; see `serving.decisions.partner_view`."""
    score = replace(
        line.score, close_probability=None, grade=None, expected_value_minor=None, expected_value_currency=None
    )
    return replace(line, score=score, probability=None, note=next(iter(line.missing), ""))


def _named(rows: Any, column: str) -> set[str]:
    return {row[column] for row in rows if row[column] is not None}


def _note(content: Mapping[str, Any]) -> str:
    """The strongest reason for a lead that passed, else the next action, which says what it waits for or why not."""
    passed = content["qualification"] in _PASSED and not content["pending"]
    reason = strongest(content["explanation"]["contributions"]) if passed and content["explanation"] else None
    return reason.sentence if reason else next(iter(content["next_actions"]), "")
