"""Request bodies: JSON in UTF-8, read strictly and checked against a model."""

import re
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError

from serving.http.problems import Problem, from_validation
from serving.http.strict_json import read_object

_APPLICATIONS = ("json", "x-ndjson", "ndjson", "jsonl", "octet-stream", "x-www-form-urlencoded")
_READ = ("", *(f"application/{kind}" for kind in _APPLICATIONS))
"""Content types that may hold JSON, with those that clients send when they are given none."""
_OTHER_CHARSET = re.compile(r"charset\s*=(?!\s*\"?utf-?8\"?\s*(;|$))")

_Model = TypeVar("_Model", bound=BaseModel)


async def _body(request: Request) -> bytes:
    kind, _, parameters = request.headers.get("Content-Type", "").lower().partition(";")
    coded = request.headers.get("Content-Encoding", "identity").lower() != "identity"
    if coded or kind.strip() not in _READ or _OTHER_CHARSET.search(parameters):
        raise Problem(415, "The body must be JSON in UTF-8, uncompressed; Content-Type may say so or be left out.")
    return await request.body()


Body = Annotated[bytes, Depends(_body)]


def read(model: type[_Model], body: bytes) -> tuple[_Model, dict[str, Any]]:
    """A request body as a `model`, and as the JSON object that was sent.

    Raises:
        serving.http.strict_json.MalformedBody: the body is no JSON object that this API reads (400).
        serving.http.problems.Problem: the object breaks the contract (422).
    """
    content = read_object(body)
    try:
        # From the text and not from `content`: only in JSON may times be nothing but text.
        return model.model_validate_json(body), content
    except ValidationError as error:
        raise from_validation(error, model) from None


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """The OpenAPI documentation of a body that the route reads itself."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
