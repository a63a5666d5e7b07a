"""Errors as RFC 9457 problem details, which name the field and the constraint and never repeat what was sent."""

import logging
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from sqlalchemy.exc import InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match
from typing_extensions import TypeAliasType

from features.records import constraint
from serving.http.strict_json import MalformedBody
from serving.store.errors import unwritable
from serving.validation import FieldError, InvalidFields

MEDIA_TYPE = "application/problem+json"
MAX_ERRORS = 100
"""How many faults of one body are told."""

_STORE_ERRORS = (OperationalError, PoolTimeout)
_LOG = logging.getLogger(__name__)
_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
_PARAMETERS = ("path", "query", "header", "cookie")
_DETAILS: Mapping[int, str] = {
    404: "There is nothing here, or nothing that you may see.",
    405: "This address does not take that method; the Allow header lists those it does.",
    500: "Something went wrong on our side; the service's log has the place.",
}


class Problem(Exception):
    """An answer that refuses.

    Attributes:
        status: the HTTP status.
        detail: what is wrong and what mends it, free of anything that was sent.
        errors: the faults field by field, where the request's content is at fault.
        headers: to send along, such as Retry-After.
    """

    def __init__(
        self, status: int, detail: str, errors: Sequence[FieldError] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})

    @property
    def content(self) -> dict[str, Any]:
        """This problem as JSON."""
        content: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        return content | ({"errors": [asdict(error) for error in self.errors]} if self.errors else {})

    def response(self) -> Response:
        """This problem as an HTTP response."""
        return JSONResponse(self.content, self.status, self.headers, MEDIA_TYPE)


def install(app: Starlette) -> None:
    """Makes `app` answer every error it foresees as a problem; the others are `serving.http.middleware.errors`'s."""
    for kind in (Problem, InvalidFields, MalformedBody, HTTPException, RequestValidationError, *_STORE_ERRORS):
        app.add_exception_handler(kind, _answer)


def as_problem(error: Exception) -> Problem:
    """What to answer where `error` was raised; of an unforeseen one nothing but that it happened."""
    match error:
        case Problem():
            return error
        case InvalidFields():
            return from_fields(error.errors)
        case MalformedBody():
            text = str(error)
            return Problem(400, f"{text[:1].upper()}{text[1:]}.")
        case HTTPException(status_code=status, headers=headers):
            return from_status(status, headers)
        case RequestValidationError():
            return _from_parameters(error)
        case OperationalError() | InternalError() if unwritable(error):
            _LOG.error("the store takes nothing: %s", error.orig)
            detail = "The store's disk is full, or it is read-only: nothing was kept; try again later."
            return Problem(503, detail, headers={"Retry-After": "60"})
        case OperationalError() | PoolTimeout():
            _LOG.error("the store did not answer: %s", getattr(error, "orig", None) or "no free connection")
            return Problem(503, "The store is busy or cannot be reached; try again.", headers={"Retry-After": "1"})
    return from_status(500)


def from_status(status: int, headers: Mapping[str, str] | None = None) -> Problem:
    """The problem of a bare status, such as 404."""
    return Problem(status, _DETAILS.get(status, f"{HTTPStatus(status).phrase}."), headers=headers)


def from_fields(errors: Sequence[FieldError]) -> Problem:
    """The problem of content at fault in these fields."""
    shown = tuple(dict.fromkeys(errors))[:MAX_ERRORS]
    return Problem(422, "The request breaks the constraints listed under errors.", shown)


def from_validation(error: ValidationError, model: type[BaseModel]) -> Problem:
    """The problem of content that `model` refused: the fields at fault and their constraints.

    Names in the answer come from `model`: of an unknown field, whose name was sent, it names the parent.
    """
    faults = error.errors(include_url=False, include_input=False)
    return from_fields([_fault(fault, model) for fault in faults if not _follows(fault, faults)])


def _answer(request: Request, error: Exception) -> Response:
    problem = as_problem(error)
    if problem.status == HTTPStatus.METHOD_NOT_ALLOWED:
        problem.headers["Allow"] = ", ".join(_allowed(request))
    return problem.response()


def _allowed(request: Request) -> list[str]:
    """The methods that some route takes at the request's path; the framework knows those of the first it met."""
    routes = request.app.routes
    scopes = ((method, {**request.scope, "method": "GET" if method == "HEAD" else method}) for method in _METHODS)
    return [method for method, scope in scopes if any(route.matches(scope)[0] is Match.FULL for route in routes)]


def _follows(fault: Mapping[str, Any], faults: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a list is too short only because its items at fault are not counted."""
    place = fault["loc"]
    return fault["type"] == "too_short" and any(
        other["loc"][: len(place)] == place for other in faults if len(other["loc"]) > len(place)
    )


def _fault(fault: Mapping[str, Any], model: type[BaseModel]) -> FieldError:
    if fault["type"] != "extra_forbidden":
        return FieldError(_locate(model, fault["loc"])[0], _demand(fault))
    field, parent = _locate(model, fault["loc"][:-1])
    fields = getattr(parent, "model_fields", {})
    return FieldError(field, f"has a field that is not known; known are: {', '.join(fields)}")


def _demand(fault: Mapping[str, Any]) -> str:
    """What must hold, in words that are ours or the library's own, never an echo."""
    limits = fault.get("ctx", {})
    if fault["type"] in ("too_long", "too_short"):
        bound = "most" if fault["type"] == "too_long" else "least"
        return f"must have at {bound} {limits.get('max_length', limits.get('min_length'))} items"
    text = constraint(fault)
    # Texts of the standard library reach here too ("Invalid isoformat string: ..."), and some quote.
    return text if text.startswith(("must ", "is ")) else "is not valid"


def _locate(model: type[BaseModel], steps: Sequence[str | int]) -> tuple[str, Any]:
    """The path of a place in `model` as far as it is of the model's own naming, and the type there."""
    path, here = [], _bare(model)
    for step in steps:
        fields = {info.alias or name: info for name, info in getattr(here, "model_fields", {}).items()}
        if step not in fields and not isinstance(step, int):
            break
        path.append(str(step))
        here = _bare(typing.get_args(here)[0] if isinstance(step, int) else fields[step].annotation)
    return ".".join(path) or "body", here


def _bare(annotation: Any) -> Any:
    """A type without alias, annotation and optionality."""
    if isinstance(annotation, TypeAliasType):
        return _bare(annotation.__value__)
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return _bare(typing.get_args(annotation)[0])
    if origin in (types.UnionType, typing.Union):
        return _bare(next(part for part in typing.get_args(annotation) if part is not types.NoneType))
    return annotation


def _from_parameters(error: RequestValidationError) -> Problem:
    return from_fields([FieldError(_parameter(fault), _demand(fault)) for fault in error.errors()])


def _parameter(fault: Mapping[str, Any]) -> str:
    """The declared name of a parameter at fault, such as `query.limit`; what was sent is not one."""
    declared = fault["type"] != "extra_forbidden" and fault["loc"][0] in _PARAMETERS
    return ".".join(map(str, fault["loc"][:2] if declared else fault["loc"][:1]))
