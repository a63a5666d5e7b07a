"""Errors as RFC 9457 problem details. They name fields and constraints, and never repeat sent values."""

import difflib
import logging
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
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
"""Errors of one body that are answered at most."""

_STORE_ERRORS = (OperationalError, PoolTimeout)
_LOG = logging.getLogger(__name__)
_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
_PARAMETERS = ("path", "query", "header", "cookie")
_DETAILS: Mapping[int, str] = {
    404: "Nothing exists at this address, or your role may not see it.",
    405: "This address does not support the method; the Allow header lists the supported methods.",
    500: "An unexpected error occurred in the service; its log has the details.",
}


class Problem(Exception):
    """An error answer.

    Attributes:
        status: the HTTP status.
        detail: the error and its fix, without any sent value.
        errors: the errors by field, where the content of the request is invalid.
        headers: headers of the answer, such as Retry-After.
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
    """Makes `app` answer all known errors as problems; `serving.http.middleware.errors` answers the other errors."""
    for kind in (Problem, InvalidFields, MalformedBody, HTTPException, RequestValidationError, *_STORE_ERRORS):
        app.add_exception_handler(kind, _answer)


def as_problem(error: Exception) -> Problem:
    """The problem that answers an error; an unknown error is answered 500 without details."""
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
            return _from_parameters(error, ())
        case OperationalError() | InternalError() if unwritable(error):
            _LOG.error("the store accepts no writes: %s", error.orig)
            detail = "The store's disk is full, or the store is read-only. Nothing was kept; try again later."
            return Problem(503, detail, headers={"Retry-After": "60"})
        case OperationalError() | PoolTimeout():
            _LOG.error("the store did not answer: %s", getattr(error, "orig", None) or "no free connection")
            return Problem(503, "The store is busy or cannot be reached; try again.", headers={"Retry-After": "1"})
    return from_status(500)


def from_status(status: int, headers: Mapping[str, str] | None = None) -> Problem:
    """The problem of a bare status, such as 404."""
    return Problem(status, _DETAILS.get(status, f"{HTTPStatus(status).phrase}."), headers=headers)


def from_fields(errors: Sequence[FieldError]) -> Problem:
    """The problem of a request whose fields have these errors."""
    unique = tuple(dict.fromkeys(errors))[:MAX_ERRORS]
    return Problem(422, "The request breaks the constraints listed under errors.", unique)


def from_validation(error: ValidationError, model: type[BaseModel]) -> Problem:
    """The problem of content that `model` refused: the invalid fields and their constraints.

    The names in the answer come from `model`. For an unknown field, whose name was sent, the answer names the parent.
    """
    details = error.errors(include_url=False, include_input=False)
    return from_fields([_field_error(detail, model) for detail in details if not _follows(detail, details)])


def _answer(request: Request, error: Exception) -> Response:
    if isinstance(error, RequestValidationError):
        return _from_parameters(error, _query_names(request)).response()
    problem = as_problem(error)
    if problem.status == HTTPStatus.METHOD_NOT_ALLOWED:
        problem.headers["Allow"] = ", ".join(_allowed(request))
    return problem.response()


def _allowed(request: Request) -> list[str]:
    """The methods of all routes at the request's path; the framework names only those of the first route."""
    routes = request.app.routes
    scopes = ((method, {**request.scope, "method": "GET" if method == "HEAD" else method}) for method in _METHODS)
    return [method for method, scope in scopes if any(route.matches(scope)[0] is Match.FULL for route in routes)]


def _follows(detail: Mapping[str, Any], details: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a list is too short only because its invalid items are not counted."""
    location = detail["loc"]
    return detail["type"] == "too_short" and any(
        other["loc"][: len(location)] == location for other in details if len(other["loc"]) > len(location)
    )


def _field_error(detail: Mapping[str, Any], model: type[BaseModel]) -> FieldError:
    if detail["type"] != "extra_forbidden":
        return FieldError(_locate(model, detail["loc"])[0], _constraint(detail))
    field, parent = _locate(model, detail["loc"][:-1])
    return FieldError(field, f"has a field that is not known; {_nearest(detail, getattr(parent, 'model_fields', {}))}")


def _nearest(detail: Mapping[str, Any], known: Iterable[str]) -> str:
    """The known name that an unknown one was perhaps meant to be, else all of them; the unknown one is not repeated."""
    names = list(known)
    close = difflib.get_close_matches(str(detail["loc"][-1]), names, n=1)
    return f"did you mean `{close[0]}`?" if close else f"known are: {', '.join(names)}"


def _constraint(detail: Mapping[str, Any]) -> str:
    """The broken constraint, in words of this software or of the library, without any sent value."""
    limits = detail.get("ctx", {})
    if detail["type"] in ("too_long", "too_short"):
        bound = "most" if detail["type"] == "too_long" else "least"
        return f"must have at {bound} {limits.get('max_length', limits.get('min_length'))} items"
    text = constraint(detail)
    # Some texts come from the standard library ("Invalid isoformat string: ...") and quote the sent value.
    return text if text.startswith(("must ", "is ")) else "is not valid"


def _locate(model: type[BaseModel], steps: Sequence[str | int]) -> tuple[str, Any]:
    """The path of a location in `model`, as far as the model itself names it, and the type there."""
    path, here = [], _bare(model)
    for step in steps:
        fields = {info.alias or name: info for name, info in getattr(here, "model_fields", {}).items()}
        if step not in fields and not isinstance(step, int):
            break
        path.append(str(step))
        here = _bare(typing.get_args(here)[0] if isinstance(step, int) else fields[step].annotation)
    return ".".join(path) or "body", here


def _bare(annotation: Any) -> Any:
    """A type without its alias, its annotations and None."""
    if isinstance(annotation, TypeAliasType):
        return _bare(annotation.__value__)
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return _bare(typing.get_args(annotation)[0])
    if origin in (types.UnionType, typing.Union):
        return _bare(next(part for part in typing.get_args(annotation) if part is not types.NoneType))
    return annotation


def _query_names(request: Request) -> list[str]:
    """The names of the query that the route at a request's path takes."""
    parameters = getattr(getattr(request.scope.get("route"), "dependant", None), "query_params", ())
    models = (
        getattr(parameter.field_info.annotation, "model_fields", {parameter.alias: None}) for parameter in parameters
    )
    return [name for model in models for name in model]


def _from_parameters(error: RequestValidationError, known: Sequence[str]) -> Problem:
    def told(detail: Mapping[str, Any]) -> str:
        if detail["type"] != "extra_forbidden":
            return _constraint(detail)
        return f"has a name that is not known; {_nearest(detail, known)}"

    return from_fields([FieldError(_parameter(detail), told(detail)) for detail in error.errors()])


def _parameter(detail: Mapping[str, Any]) -> str:
    """The declared name of an invalid parameter, such as `query.limit`; the name of an undeclared one is left out."""
    declared = detail["type"] != "extra_forbidden" and detail["loc"][0] in _PARAMETERS
    return ".".join(map(str, detail["loc"][:2] if declared else detail["loc"][:1]))
