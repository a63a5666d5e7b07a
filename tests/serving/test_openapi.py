"""The OpenAPI document: valid, named and described, and a client generated from it scores a lead."""

import importlib
import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from openapi_spec_validator import validate
from sqlalchemy import Engine

from features.value_types import parse_instant
from serving.access import keys
from serving.app import create_app
from tests.serving.conftest import asked, service_on

NOW = parse_instant("2026-11-22T12:00:00Z")
GENERATOR = "EQL_OPENAPI_PYTHON_CLIENT"


@pytest.fixture
def app(store: Engine) -> Any:
    return create_app(service_on(store, lambda: NOW))


@pytest.fixture
def document(app: Any) -> Any:
    return app.openapi()


def operations(document: Any) -> Iterator[Any]:
    for methods in document["paths"].values():
        yield from methods.values()


def test_the_document_is_valid_by_the_version_it_declares(document: Any) -> None:
    assert document["openapi"].startswith("3.1")
    validate(document)


def test_every_operation_and_schema_has_a_plain_name(document: Any) -> None:
    names = [operation["operationId"] for operation in operations(document)]
    assert len({*names}) == len(names)
    assert all(re.fullmatch("[a-z]+([A-Z][a-z]+)+", name) for name in names)
    assert all(re.fullmatch("([A-Z][A-Za-z]+)+", name) for name in document["components"]["schemas"])


def test_every_operation_parameter_schema_and_field_is_described(document: Any) -> None:
    schemas = document["components"]["schemas"]
    assert not [name for name, schema in schemas.items() if not schema.get("description")]
    fields = ((name, field, of) for name, s in schemas.items() for field, of in s.get("properties", {}).items())
    assert not [(name, field) for name, field, of in fields if not of.get("description") and "$ref" not in of]
    for operation in operations(document):
        assert operation["summary"]
        assert operation["description"]
        for parameter in operation.get("parameters", ()):
            assert parameter.get("description") or parameter["schema"].get("description"), operation["operationId"]


def test_every_number_has_a_format(document: Any) -> None:
    kinds = re.findall(r'\{[^{}]*"type": "(?:integer|number)"[^{}]*\}', json.dumps(document))
    assert kinds
    assert not [kind for kind in kinds if '"format"' not in kind and '"enum"' not in kind and '"const"' not in kind]


def test_a_generated_client_has_every_operation_and_scores_a_lead(
    store: Engine, app: Any, document: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if GENERATOR not in os.environ:
        pytest.skip(f"{GENERATOR} does not name an openapi-python-client of an environment of its own")
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    arguments = ("generate", "--path", "openapi.json", "--output-path", "client", "--meta", "none")
    done = subprocess.run([os.environ[GENERATOR], *arguments], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "will not be generated" not in done.stdout + done.stderr
    modules = [path for path in (tmp_path / "client" / "api").rglob("*.py") if path.name != "__init__.py"]
    assert len(modules) == len([*operations(document)])

    monkeypatch.syspath_prepend(str(tmp_path))
    client_module, scoring, models = (
        importlib.import_module(f"client{name}") for name in ("", ".api.scores.score_lead", ".models")
    )
    body = document["components"]["schemas"]["ScoreRequest"]["examples"][0]

    with store.begin() as connection:
        headers = {"X-Api-Key": keys.create(connection, "crm", None, at=1, tokens=secrets.token_bytes)}

    async def score() -> Any:
        transport = httpx.ASGITransport(app)
        client = client_module.Client(base_url="http://eql.test")
        async with httpx.AsyncClient(transport=transport, base_url="http://eql.test", headers=headers) as own:
            client.set_async_httpx_client(own)
            return await scoring.asyncio(client=client, body=models.ScoreRequest.from_dict(body))

    answer = anyio.run(score)
    assert answer.lead_id == body["lead"]["lead_id"]
    assert answer.qualification == asked(app, "POST", "/v1/score", body, headers).json()["qualification"]
    for name in [name for name in sys.modules if name == "client" or name.startswith("client.")]:
        del sys.modules[name]
