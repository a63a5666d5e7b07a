"""Rendering: one environment, which escapes all values, turns templates into answers with the headers of every page.

A template's name is that of its file in `serving/html/templates`, or `subject/file` for one in the folder `templates`
of a subject.
"""

import hashlib
from collections.abc import Mapping
from functools import cache, partial
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from jinja2 import ChoiceLoader, Environment, FunctionLoader, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

from features.value_types import rfc3339
from serving.html import words

SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
"""Headers of every answer of the pages."""

_NO_STORE = {"Cache-Control": "no-store"}
_IMMUTABLE = {"Cache-Control": "public, max-age=31536000, immutable"}


class Refusal(Exception):
    """An answer that refuses, shown as a page.

    Attributes:
        status: the HTTP status.
        title: the problem.
        detail: the fix, free of anything that was sent.
        link: the address of a page that helps, and its name.
    """

    def __init__(self, status: int, title: str, detail: str, link: tuple[str, str] | None = None) -> None:
        super().__init__(title)
        self.link = link
        self.status = status
        self.title = title
        self.detail = detail


NOT_FOUND = ("Nothing here", "There is no such page, or your role may not see it.")


def not_found() -> Response:
    """The page for an unknown address, for the application's own 404."""
    return refused(Refusal(404, *NOT_FOUND))


def refused(refusal: Refusal) -> Response:
    """A refusal as a page."""
    return page("refusal.html", {"refusal": refusal}, refusal.status)


def page(template: str, content: Mapping[str, Any], status: int = 200) -> Response:
    """A filled template as an answer that no cache keeps, because it may hold personal data."""
    text = _environment().get_template(template).render(content)
    return HTMLResponse(text, status, {**SECURITY_HEADERS, **_NO_STORE})


def redirect(address: str) -> Response:
    """Sends the browser to another page, with GET."""
    return RedirectResponse(address, 303, {**SECURITY_HEADERS, **_NO_STORE})


def picture(content: bytes) -> Response:
    """A PNG of the documentation."""
    return Response(content, 200, {**SECURITY_HEADERS, "Cache-Control": "public, max-age=3600"}, "image/png")


def stylesheet(known: str | None) -> Response:
    """The stylesheet; 304 where `known` is its current tag. Its address changes with its content."""
    content, sha256 = _stylesheet()
    headers = {**SECURITY_HEADERS, **_IMMUTABLE, "ETag": f'"{sha256}"'}
    if known == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(content, 200, headers, "text/css")


@cache
def _stylesheet() -> tuple[bytes, str]:
    content = files("serving.html").joinpath("static", "eql.css").read_bytes()
    return content, hashlib.sha256(content).hexdigest()


def _subject_template(name: str) -> str | None:
    subject, _, file = name.partition("/")
    path = files("serving").joinpath(subject, "templates", file)
    return path.read_text("utf-8") if path.is_file() else None


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("serving.html"), FunctionLoader(_subject_template)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "stylesheet_url": f"/static/eql.css?v={_stylesheet()[1][:16]}",
        "families": words.FAMILIES,
        "meanings": words.QUALIFICATIONS,
        "amounts": words.AMOUNTS,
        "gate_names": words.GATES,
        "outcomes": words.OUTCOMES,
        "visitor": None,
    }
    environment.filters |= {
        "percent": words.percent,
        "range": words.range_text,
        "points": words.points,
        "money": words.money,
        "moment": words.moment_text,
        "rfc3339": rfc3339,
        "ago": words.ago,
        "label": words.label,
        "capitalised": words.capitalised,
        "commands": words.commands,
        "fact": words.fact,
        "segment": partial(quote, safe=""),
    }
    return environment
