"""The OpenAPI document: FastAPI's, with the bodies this API reads itself, every refusal, and who needs a key."""

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from serving import permissions
from serving.access.routes import KeyRequest
from serving.http.problems import MEDIA_TYPE
from serving.privacy.routes import ErasureRequest, SubjectRequest
from serving.records import bulk_routes as bulk
from serving.records import routes as records
from serving.records.examples import BODIES
from serving.scoring.requests import AliasRequest, BatchRequest, LeadRequest, ReplayRequest, ScoreRequest
from serving.webhooks.bodies import BODIES as WEBHOOK_BODIES

_FOR_ADMINS = (KeyRequest, SubjectRequest, ErasureRequest, *WEBHOOK_BODIES)
_TAKEN = (ScoreRequest, BatchRequest, ReplayRequest, LeadRequest, AliasRequest, *_FOR_ADMINS)
_REFS = "#/components/schemas/"
_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": f"{_REFS}ProblemAnswer"}}}
_SENT = "Sent"
"""Before the names of records as `POST /v1/leads` takes them."""
_ANYWHERE: Mapping[str, str] = {
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
_SECURITY = {
    "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
    "bearer": {"type": "http", "scheme": "bearer", "description": "The API key."},
}


def document(app: FastAPI) -> dict[str, Any]:
    """The document of all routes of `app`."""
    made = FastAPI.openapi(app)
    models = [(model, "validation") for model in (*_TAKEN, *records.bodies(), *bulk.bodies())]
    _, found = models_json_schema(models, ref_template=f"{_REFS}{{model}}")  # type: ignore[arg-type]
    schemas = made["components"]["schemas"]
    schemas.update(found["$defs"])
    schemas["LeadRequest"] = _unrecorded(schemas)
    for name, example in BODIES.items():
        schemas[name]["examples"] = [example]
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
    """Says of an operation what holds of all: who may call it, how it refuses, that no parameter is null."""
    answers = operation["responses"]
    if permissions.PERMITTED.get(route, ()) is permissions.EVERYONE:
        operation["security"] = []
        told = {"503": _ANYWHERE["503"]}
    else:
        told = dict(_ANYWHERE)
    for status in {*told, *(status for status in answers if status >= "400")}:
        described = {"description": told[status]} if status in told else {}
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
    for name in _named(schemas["LeadRequest"]):
        if "recorded_at" in schemas[name].get("properties", ()):
            fields = {field: of for field, of in schemas[name]["properties"].items() if field != "recorded_at"}
            schemas[f"{_SENT}{name}"] = {**schemas[name], "title": f"{_SENT}{name}", "properties": fields}
    renamed: dict[str, Any] = _renamed(schemas["LeadRequest"], schemas)
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
