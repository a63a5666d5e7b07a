"""The documentation pages."""

from typing import Annotated

from fastapi import Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from serving.documentation.documents import README, Documents
from serving.documentation.reference import reference
from serving.documentation.search import MAX_HITS
from serving.html.page_routes import page_router
from serving.html.rendering import NOT_FOUND, Refusal, page, picture
from serving.http.dependencies import provided

DocumentsDependency = Annotated[Documents, Depends(provided(Documents))]
REFERENCE = "/docs/api"
router = page_router()


@router.get("/docs", response_model=None)
def documentation(documents: DocumentsDependency, q: Annotated[str, Query(max_length=200)] = "") -> Response:
    """The first page of the documentation; with `q`, the sections that hold its words."""
    if not q.strip():
        return document(documents, README)
    return _shown(documents, "search", "", words=q, hits=documents.search(q), limit=MAX_HITS)


@router.get(REFERENCE, response_model=None)
def api_reference(documents: DocumentsDependency, request: Request) -> Response:
    """The reference of the API, made from its OpenAPI document."""
    return _shown(documents, "reference", REFERENCE, reference=reference(request.app.openapi()))


@router.get("/docs/{name:path}", response_model=None)
def document(documents: DocumentsDependency, name: str) -> Response:
    """A page of the documentation, or one of its pictures."""
    if (image := documents.picture(name)) is not None:
        return picture(image)
    found = documents.page(name)
    if found is None:
        raise Refusal(404, *NOT_FOUND)
    return _shown(documents, "document", found.address, document=found)


def _shown(documents: Documents, template: str, here: str, words: str = "", **content: object) -> Response:
    """A page beside the list of all pages; `here` is its address in that list, `words` are those searched for."""
    around = {"here": here, "words": words, "groups": documents.groups(), "reference_address": REFERENCE}
    return page(f"documentation/{template}.html", {**around, **content})
