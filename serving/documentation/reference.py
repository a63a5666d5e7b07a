"""The reference of the API: its OpenAPI document as operations and schemas that a page shows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from serving import permissions

_REFS = "#/components/schemas/"
_TYPES: Mapping[str, str] = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "object": "object",
    "null": "null",
}


@dataclass(frozen=True)
class FieldType:
    """The type of a field: words, and the schema that the words name where there is one."""

    words: str
    schema: str | None = None


@dataclass(frozen=True)
class Field:
    """A parameter of an operation, or a field of a schema."""

    name: str
    type: FieldType
    required: bool
    description: str


@dataclass(frozen=True)
class Operation:
    """One operation of the API.

    Attributes:
        id: the operation's id, which is also its anchor.
        method, path: such as `GET` and `/v1/leads`.
        summary: one line.
        description: the whole text.
        callers: the roles that may call it, in words.
        parameters: in the path, the query and the headers.
        body: the type of the body; None where it takes none.
        answers: the type of the answer by its status, without the refusals that all operations share.
    """

    id: str
    method: str
    path: str
    summary: str
    description: str
    callers: str
    parameters: tuple[Field, ...]
    body: FieldType | None
    answers: Mapping[str, FieldType]


@dataclass(frozen=True)
class Schema:
    """An object that bodies and answers hold, or one of a list of texts."""

    name: str
    description: str
    fields: tuple[Field, ...]
    type: FieldType


@dataclass(frozen=True)
class Reference:
    """All operations, in the order of the document, and all schemas by name."""

    operations: tuple[Operation, ...]
    schemas: tuple[Schema, ...]


def reference(document: Mapping[str, Any]) -> Reference:
    """The reference that an OpenAPI document holds."""
    operations = (
        _operation(method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    )
    schemas = (_schema(name, schema) for name, schema in sorted(document["components"]["schemas"].items()))
    return Reference(tuple(operations), tuple(schemas))


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Operation:
    body = operation.get("requestBody", {}).get("content", {})
    answers = {status: answer for status, answer in operation["responses"].items() if status < "400"}
    return Operation(
        id=operation["operationId"],
        method=method,
        path=path,
        summary=operation.get("summary", ""),
        description=operation.get("description", ""),
        callers=_callers(f"{method} {path}"),
        parameters=tuple(_parameters(operation)),
        body=_content_type(body) if body else None,
        answers={status: _content_type(answer.get("content", {})) for status, answer in answers.items()},
    )


def _callers(route: str) -> str:
    roles = permissions.PERMITTED.get(route, ())
    return "everyone, without a key" if roles is None else ", ".join((*roles, "admin"))


def _parameters(operation: Mapping[str, Any]) -> Iterator[Field]:
    for parameter in operation.get("parameters", ()):
        words = parameter.get("description", parameter["schema"].get("description", ""))
        name = f"{parameter['name']} ({parameter['in']})"
        yield Field(name, _type(parameter["schema"]), parameter.get("required", False), words)


def _content_type(content: Mapping[str, Any]) -> FieldType:
    """The type of a body; a body of lines has the type of a line."""
    for media_type, media in content.items():
        schema = media.get("x-itemSchema", media.get("schema"))
        if schema is not None and media_type == "application/json":
            return _type(schema)
        inner = _type(schema or {})
        lines = "lines of " if "x-itemSchema" in media else ""
        return FieldType(f"{media_type}: {lines}{inner.words}", inner.schema)
    return FieldType("no content")


def _schema(name: str, schema: Mapping[str, Any]) -> Schema:
    required = schema.get("required", ())
    fields = tuple(
        Field(field, _type(of), field in required, of.get("description", ""))
        for field, of in schema.get("properties", {}).items()
    )
    return Schema(name, schema.get("description", ""), fields, _type(schema))


def _type(schema: Mapping[str, Any]) -> FieldType:
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_REFS)
        return FieldType(name, name)
    choices = [*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())]
    if choices:
        inner = [_type(choice) for choice in choices]
        return FieldType(" or ".join(each.words for each in inner), next((i.schema for i in inner if i.schema), None))
    if "enum" in schema:
        return FieldType("one of " + ", ".join(map(str, schema["enum"])))
    if "const" in schema:
        return FieldType(str(schema["const"]))
    if schema.get("type") == "array":
        items = _type(schema.get("items", {}))
        return FieldType(f"list of {items.words}", items.schema)
    kinds = schema.get("type", "any")
    words = " or ".join(_TYPES.get(kind, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds))
    return FieldType(f"{words} ({schema['format']})" if "format" in schema else words)
