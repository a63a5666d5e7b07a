"""The OpenAPI document: FastAPI's, with the bodies that routes read themselves, every refusal, and the need of a
key.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from serving import permissions
from serving.http.problems import MEDIA_TYPE

_REFS = "#/components/schemas/"
_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": f"{_REFS}ProblemAnswer"}}}
_SENT = "Sent"
"""The prefix of the names of records as `POST /v1/leads` takes them."""
_REFUSALS: Mapping[str, str] = {
    "400": "The request cannot be read",
    "401": "No API key, or none that holds",
    "403": "Not this role's to do",
    "408": "The body took too long to come",
    "413": "The body is too large",
    "415": "The body is said to be something else than JSON",
    "422": "The request breaks a constraint",
    "429": "Too many requests",
    "500": "A fault of the service",
    "503": "Busy; come again",
}
_UNRECORDED = "LeadRequest"
"""The body whose records must not say when they were recorded."""
_SECURITY = {
    "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
    "bearer": {"type": "http", "scheme": "bearer", "description": "The API key."},
}


@dataclass(frozen=True)
class RequestBody:
    """A body that a route reads itself: its model, and an example where the model has none."""

    model: type[BaseModel]
    example: Mapping[str, Any] | None = None


def document(app: FastAPI, bodies: Iterable[RequestBody]) -> dict[str, Any]:
    """The document of all routes of `app`; `bodies` are those that routes read themselves."""
    made, documented = FastAPI.openapi(app), list(bodies)
    models = [(body.model, "validation") for body in documented]
    _, found = models_json_schema(models, ref_template=f"{_REFS}{{model}}")  # type: ignore[arg-type]
    schemas = made["components"]["schemas"]
    schemas.update(found["$defs"])
    schemas[_UNRECORDED] = _unrecorded(schemas)
    for body in documented:
        if body.example is not None:
            schemas[body.model.__name__]["examples"] = [body.example]
    made["components"]["securitySchemes"] = _SECURITY
    made["security"] = [{"key": []}, {"bearer": []}]
    for route, operation in _operations(made):
        _complete(route, operation)
    return made


def _operations(made: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in made["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def _complete(route: str, operation: dict[str, Any]) -> None:
    """Adds to an operation what all have: security, refusals, and parameters that are never null."""
    answers = operation["responses"]
    if permissions.PERMITTED.get(route, ()) is permissions.EVERYONE:
        operation["security"] = []
        statuses = {"503": _REFUSALS["503"]}
    else:
        statuses = dict(_REFUSALS)
    for status in {*statuses, *(status for status in answers if status >= "400")}:
        described = {"description": statuses[status]} if status in statuses else {}
        answers[status] = {"description": "", **answers.get(status, {}), **described, "content": _PROBLEM}
    for parameter in operation.get("parameters", ()):
        parameter["schema"] = _never_null(parameter["schema"])


def _never_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter that may be left out is never sent as null: in a path or header that is a text."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    return {**kinds[0], **rest} if len(kinds) == 1 else schema


def _unrecorded(schemas: dict[str, Any]) -> dict[str, Any]:
    """The body of `POST /v1/leads`, of records that do not say when they were recorded."""
    for name in _named(schemas[_UNRECORDED]):
        if "recorded_at" in schemas[name].get("properties", ()):
            fields = {field: of for field, of in schemas[name]["properties"].items() if field != "recorded_at"}
            schemas[f"{_SENT}{name}"] = {**schemas[name], "title": f"{_SENT}{name}", "properties": fields}
    renamed: dict[str, Any] = _renamed(schemas[_UNRECORDED], schemas)
    return renamed


def _named(schema: Any) -> Iterator[str]:
    """The components that a schema refers to."""
    if isinstance(schema, dict) and "$ref" in schema:
        yield schema["$ref"].removeprefix(_REFS)
    elif isinstance(schema, dict | list):
        for part in schema.values() if isinstance(schema, dict) else schema:
            yield from _named(part)


def _renamed(schema: Any, schemas: Mapping[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_renamed(part, schemas) for part in schema]
    if not isinstance(schema, dict):
        return schema
    sent = f"{_SENT}{schema.get('$ref', '').removeprefix(_REFS)}"
    if sent in schemas:
        return {**schema, "$ref": f"{_REFS}{sent}"}
    return {name: _renamed(part, schemas) for name, part in schema.items()}
