"""The page of a lead: its current decision with the reasons; a partner sees the state of its own leads alone."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from features.records import KINDS, Row
from operations import work_list as views
from serving.decisions import current_decisions, current_scores, partner_standings, partner_view
from serving.decisions.stored_decisions import StoredDecision
from serving.html import rendering, visitors, words
from serving.html.page_routes import page_router
from serving.html.rendering import Refusal
from serving.http.dependencies import StoreDependency
from serving.http.path_ids import LEAD_ID
from serving.identity import Principal
from serving.leads.lead_page import LeadRecords, lead_page
from serving.records.closes import closes
from serving.records.visible import visible
from serving.scoring.dependencies import ScoringDependency
from serving.store.database import reading
from serving.work_list.addresses import list_address

router = page_router()
_ALTERED = (
    "The store was altered",
    "The current score of this lead names a decision on another lead, so the page shows neither. `eql seals verify` "
    "checks the store. Asking for the score over the API makes a new decision.",
)
_NO_LEAD = ("No such lead", "No lead of that name is stored, or none that you may see.")


@router.get(f"/leads/{LEAD_ID}", response_model=None)
def lead(request: Request, store: StoreDependency, scoring: ScoringDependency, lead_id: str) -> Response:
    """The page of a lead."""
    visitor = visitors.visitor(request)
    own_views = views.views(visitor.role)
    with reading(store.engine) as connection:
        score = current_scores.get(connection, lead_id, visitor.partner_id)
        if score is None and visitor.role != "partner":
            return _unscored(connection, lead_id, visitor, own_views, store.clock())
        if score is None:
            raise Refusal(404, *_NO_LEAD)
        kept = current_decisions.get(connection, score)
        if kept is None:
            raise Refusal(500, *_ALTERED)
        records = _records(connection, lead_id, kept)
        closed = closes(connection, [lead_id], store.clock()).get(lead_id)
        standing = partner_standings.of_decisions(connection, [kept.decision_id]).get(kept.decision_id)
    back = next((view for view in own_views if view.shows(score.qualification, score.pending)), None)
    if score.closed is not None:
        back = None
    around = {
        "visitor": visitor,
        "back": (back, list_address(back or own_views[0], own_views)),
        "now": store.clock(),
        "closed": closed,
    }
    if visitor.role == "partner":
        own = replace(records, account={})
        seen = partner_view.shown(kept.issued, standing)
        name = partner_view.lead_name({"lead_id": lead_id, **records.lead})
        content = {"decision": seen, "records": own, "name": name, "missing": seen.missing}
        return rendering.page("leads/partner_lead.html", {**around, **content})
    served = scoring.champion.scorer().served
    meaning = words.grades(served.bundle.grades if served else None)
    content = {"page": lead_page(kept.issued, records), "grades": meaning, "order": views.ORDER}
    return rendering.page("leads/lead.html", {**around, **content})


def _unscored(
    connection: Connection, lead_id: str, visitor: Principal, own_views: Sequence[views.View], now: int
) -> Response:
    """The page of a lead that never had a score, such as one that an import brought as won or lost."""
    lead = visible(connection, KINDS["leads"], [lead_id], now).get(lead_id)
    if lead is None:
        raise Refusal(404, *_NO_LEAD)
    closed = closes(connection, [lead_id], now).get(lead_id)
    back = (None, list_address(own_views[0], own_views))
    content = {"visitor": visitor, "lead": lead, "closed": closed, "back": back}
    return rendering.page("leads/unscored_lead.html", content)


def _records(connection: Connection, lead_id: str, decision: StoredDecision) -> LeadRecords:
    """The lead and the records around it, as recorded by the decision's moment."""

    def record(kind: str, identity: str | None) -> Row:
        found = visible(connection, KINDS[kind], [identity], decision.as_of) if identity else {}
        return found.get(identity or "", {})

    found = record("leads", lead_id)
    account, partner = found.get("account_id"), found.get("source_partner_id")
    return LeadRecords(found, record("accounts", account), record("partners", partner))
