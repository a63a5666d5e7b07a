"""The documentation pages."""

from typing import Annotated

from fastapi import Depends
from starlette.responses import Response

from serving.documentation.documents import README, Documents
from serving.html.page_routes import page_router
from serving.html.rendering import NOT_FOUND, Refusal, page, picture
from serving.http.dependencies import provided

DocumentsDependency = Annotated[Documents, Depends(provided(Documents))]
router = page_router()


@router.get("/docs", response_model=None)
def documentation(documents: DocumentsDependency) -> Response:
    """The first page of the documentation."""
    return document(documents, README)


@router.get("/docs/{name:path}", response_model=None)
def document(documents: DocumentsDependency, name: str) -> Response:
    """A page of the documentation, or one of its pictures."""
    if (image := documents.picture(name)) is not None:
        return picture(image)
    found = documents.page(name)
    if found is None:
        raise Refusal(404, *NOT_FOUND)
    return page("documentation/document.html", {"document": found, "addresses": documents.addresses()})
