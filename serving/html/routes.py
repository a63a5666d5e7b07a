"""The pages' addresses. Every endpoint asks first who visits; what they may not see is answered as if it were not."""

import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import override

from features.records import KINDS, Row
from operations import work_list as views
from serving.access import oidc_pages as oidc
from serving.access.oidc import CALLBACK
from serving.decisions import partner_view as partners_view
from serving.decisions import stored_decisions as decisions
from serving.decisions.stored_decisions import CurrentScore, StoredDecision
from serving.documentation import documents
from serving.html import rendering, visitors
from serving.html.rendering import NOT_FOUND, Refusal
from serving.identity import Principal
from serving.leads import lead_page as lead
from serving.quality import pages as quality
from serving.records import visible as lists
from serving.service import Service
from serving.store.database import reading
from serving.work_list import exploration as exploring
from serving.work_list import work_list as leads

PAGE_SIZE = 25
_FAR = 1_000_000_000

Limit = Annotated[int | None, Query(ge=1, le=200)]
Returned = Annotated[str, Query(max_length=4096)]
Offset = Annotated[int, Query(ge=0, le=_FAR)]


def router(service: Service) -> APIRouter:
    """The routes of all pages."""
    pages = _Pages(service)
    found = APIRouter(route_class=_PageRoute)
    for path, endpoint in (
        ("/", pages.work_list),
        ("/leads/{lead_id:path}", pages.lead),
        ("/quality", pages.quality),
        ("/sign-in", pages.sign_in),
        ("/sign-in/oidc", pages.sign_in_there),
        (CALLBACK, pages.sign_in_back),
        ("/docs", pages.documentation),
        ("/docs/{name:path}", pages.document),
        ("/static/eql.css", pages.stylesheet),
    ):
        found.add_api_route(path, endpoint, methods=["GET"], response_model=None)
    found.add_api_route("/sign-out", pages.sign_out, methods=["POST"], response_model=None)
    return found


class _PageRoute(APIRoute):
    """Answers refusals as pages."""

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except Refusal as refusal:
                return rendering.refused(refusal)
            except RequestValidationError:
                return rendering.not_found()

        return handle


@dataclass(frozen=True)
class _Pages:
    """The endpoints; they block, so the framework runs them on threads."""

    service: Service

    def work_list(self, request: Request, view: str | None = None, limit: Limit = None, offset: Offset = 0) -> Response:
        visitor = visitors.visitor(self.service, request)
        shown = views.view(visitor.role, view)
        if shown is None:
            raise Refusal(404, *NOT_FOUND)
        now = self.service.clock()
        with reading(self.service.engine) as connection:
            listed = leads.work_list(
                connection,
                shown,
                views.views(visitor.role),
                partner_id=visitor.partner_id,
                now=now,
                limit=limit or PAGE_SIZE,
                offset=offset,
                exploration=self.service.exploration,
                asked_limit=limit,
            )
        model = self.service.champion.scorer().served
        content = {"visitor": visitor, "list": listed, "now": now, "model": model, "fault": self.service.champion.fault}
        answer = rendering.page("work_list.html", content)
        if visitor.role == "sales" and listed.exposures:
            exploring.log(self.service.engine, listed.exposures)
        return answer

    def lead(self, request: Request, lead_id: str) -> Response:
        visitor = visitors.visitor(self.service, request)
        now = self.service.clock()
        with reading(self.service.engine) as connection:
            score = decisions.current(connection, lead_id)
            decision = None if score is None else decisions.get(connection, score.decision_id)
            if score is None or decision is None or not _may_see(visitor, score):
                raise Refusal(404, "No such lead", "No lead of that name is scored, or none that you may see.")
            who = _who(connection, lead_id, decision)
        back = next((v for v in views.views(visitor.role) if v.shows(score.qualification, score.pending)), None)
        address = leads.list_address(back or views.views(visitor.role)[0], views.views(visitor.role))
        content, around = json.loads(decision.content), {"visitor": visitor, "back": (back, address), "now": now}
        if visitor.role == "partner":
            told = {"told": partners_view.shown(content), "who": who}
            return rendering.page("partner_lead.html", {**around, **told})
        return rendering.page("lead.html", {**around, "page": lead.lead_page(content, who)})

    def quality(self, request: Request) -> Response:
        visitor = visitors.visitor(self.service, request)
        if visitor.role == "partner":
            raise Refusal(404, *NOT_FOUND)
        return quality.page(self.service, visitor)

    def sign_in(self, request: Request, token: str = "") -> Response:
        return visitors.sign_in(self.service, request, token)

    def sign_in_there(self, request: Request) -> Response:
        return oidc.begin(self.service, request)

    def sign_in_back(self, request: Request, state: Returned = "", code: Returned = "", iss: Returned = "") -> Response:
        return oidc.finish(self.service, request, state=state, code=code, issuer=iss)

    def sign_out(self, request: Request) -> Response:
        return visitors.sign_out(self.service, request)

    def documentation(self) -> Response:
        return self.document(documents.README)

    def document(self, name: str) -> Response:
        if self.service.docs is None:
            raise Refusal(404, *NOT_FOUND)
        folder = documents.Documents(self.service.docs)
        if (picture := folder.picture(name)) is not None:
            return rendering.picture(picture)
        found = folder.page(name)
        if found is None:
            raise Refusal(404, *NOT_FOUND)
        return rendering.page("document.html", {"document": found, "addresses": folder.addresses()})

    def stylesheet(self, request: Request) -> Response:
        return rendering.stylesheet(request.headers.get("if-none-match"))


def _may_see(visitor: Principal, score: CurrentScore) -> bool:
    return visitor.role != "partner" or visitor.partner_id == score.source_partner_id


def _who(connection: Connection, lead_id: str, decision: StoredDecision) -> lead.Who:
    """The lead and those around it as recorded by the decision's moment."""

    def record(kind: str, identity: str | None) -> Row:
        found = lists.latest(connection, KINDS[kind], [identity], decision.as_of) if identity else {}
        return found.get(identity or "", {})

    found = record("leads", lead_id)
    return lead.Who(
        found, record("accounts", found.get("account_id")), record("partners", found.get("source_partner_id"))
    )
