"""The OpenAPI document: FastAPI's document, with the bodies that routes read themselves, all refusals, and security."""

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
    "401": "The API key is missing or invalid",
    "403": "The role may not call this route",
    "408": "The body took too long to arrive",
    "413": "The body is too large",
    "415": "The content type is not JSON",
    "422": "The request breaks a constraint",
    "429": "Too many requests",
    "500": "An error of the service",
    "503": "The service is busy; send the request again",
}
_FORMATS = {"integer": "int64", "number": "double"}
_UNRECORDED = "LeadRequest"
"""The body whose records must not have `recorded_at`."""
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
    """The document of all routes of `app`; `bodies` are the bodies that routes read themselves."""
    content, documented = FastAPI.openapi(app), list(bodies)
    models = [(body.model, "validation") for body in documented]
    _, definitions = models_json_schema(models, ref_template=f"{_REFS}{{model}}")  # type: ignore[arg-type]
    schemas = content["components"]["schemas"]
    schemas.update(definitions["$defs"])
    schemas[_UNRECORDED] = _unrecorded(schemas)
    for body in documented:
        if body.example is not None:
            schemas[body.model.__name__]["examples"] = [body.example]
    content["components"]["securitySchemes"] = _SECURITY
    content["security"] = [{"key": []}, {"bearer": []}]
    for route, operation in _operations(content):
        _complete(route, operation)
    _add_formats(content)
    return content


def _add_formats(part: Any) -> None:
    """Adds the format of every number, without which clients in typed languages take 32 bits."""
    if isinstance(part, dict):
        kind = part.get("type")
        # Among the properties of an object, `type` may be a property of its own.
        if isinstance(kind, str) and kind in _FORMATS and "const" not in part and "enum" not in part:
            part.setdefault("format", _FORMATS[kind])
        for value in part.values():
            _add_formats(value)
    elif isinstance(part, list):
        for value in part:
            _add_formats(value)


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def _complete(route: str, operation: dict[str, Any]) -> None:
    """Adds the parts that all operations share: security, refusals, and parameters that are never null."""
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
    """The schema of an optional parameter without null, because `null` in a path or header would be a text."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    return {**kinds[0], **rest} if len(kinds) == 1 else schema


def _unrecorded(schemas: dict[str, Any]) -> dict[str, Any]:
    """The body of `POST /v1/leads`, whose records have no `recorded_at`."""
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
