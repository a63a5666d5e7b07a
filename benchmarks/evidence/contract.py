"""The API against its own OpenAPI document, by Schemathesis: all checks, in process.

A request that obeys the document may still be refused for what JSON Schema has no words for; `BEYOND_SCHEMA` lists
those constraints, and any other refusal of such a request is a finding.
"""

import json
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import schemathesis
from fastapi import FastAPI
from hypothesis import strategies as st
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder
from sqlalchemy import Engine

from features.catalogue import CATALOGUE
from models.policy import load
from serving.access import keys
from serving.app import create_app
from serving.champion.watcher import ModelWatcher
from serving.service import Service

PHASES = ("examples", "coverage", "fuzzing", "stateful")
BEYOND_SCHEMA = (
    "has an attribute that no import declared",
    "is required of a lead from a partner",
    "must be a calendar day",
    "must be a day that has ended",
    "must be a domain such as",
    "must be an e-mail address such as",
    "must be another id than the lead's own",
    "must be given for the role partner, and for no other",
    "must be one that this list's `next` gave",
    "must be that of the path",
    "must be a time that exists",
    "must be an RFC 3339 time",
    "must have a host name such as",
    "must lie in the years",
    "must name one account",
    "must not lie before the moment it happened",
    "must not lie in the future",
    "must not name a private",
    "or domain must be given, one of them",
    "must not name the erased person or domain",
    "is shared by many",
    "was used for another body",
)
"""Beginnings of constraints: of text that must be something real, of two values together, of what is stored, of now."""

_BY_LINE = {"negative_data_rejection": {"enabled": False}}
"""A text of lines is answered 200, and each line by a status of its own."""


@dataclass(frozen=True)
class Finding:
    """A check that failed."""

    check: str
    route: str
    what: str
    request: str
    status: int | None
    answer: bytes


def clock() -> int:
    """Microseconds now."""
    return time.time_ns() // 1000


def service_on(store: Engine) -> Service:
    """The service on a store, with neither model nor limits."""
    policy = load(Path("models/default_policy.yaml"), CATALOGUE)
    champion = ModelWatcher(store, CATALOGUE, policy, clock)
    return Service(engine=store, champion=champion, clock=clock, tokens=secrets.token_bytes)


def served(store: Engine) -> FastAPI:
    """The application of that service."""
    return create_app(service_on(store))


@cache
def _taught() -> None:
    """Tells Schemathesis of NDJSON, and of values that a stored record may have."""

    @schemathesis.serializer("application/x-ndjson")
    def lines(_: Any, value: Any) -> bytes:
        return value.encode() if isinstance(value, str) else json.dumps(value).encode()

    days = st.dates(min_value=_date("1970-01-01"), max_value=_date("2026-01-01"))
    schemathesis.openapi.format("date", days.map(str))
    schemathesis.openapi.format("date-time", days.map(lambda day: f"{day}T09:30:00Z"))
    names = st.from_regex(r"[a-z]{1,20}", fullmatch=True)
    schemathesis.openapi.format("hostname", names.map(lambda name: f"{name}.example"))
    schemathesis.openapi.format("email", names.map(lambda name: f"{name}@{name}.example"))


def _date(text: str) -> Any:
    from datetime import date

    return date.fromisoformat(text)


def findings(
    store: Engine, examples: int, phases: Sequence[str] = PHASES, only: str | None = None, seed: int = 1
) -> tuple[list[Finding], Counter[str]]:
    """What Schemathesis finds as admin, and how many cases and checks it made.

    Args:
        store: a store, which is filled.
        examples: of fuzzing for each operation, and sequences of the stateful phase.
        phases: of Schemathesis.
        only: a regular expression of paths to try; all without it.
        seed: of what is generated.
    """
    _taught()
    with store.begin() as connection:
        key = keys.create(connection, "admin", None, at=clock(), tokens=secrets.token_bytes)
    settings = {
        "headers": {"X-Api-Key": key},
        "continue-on-failure": True,
        "seed": seed,
        "generation": {"max-examples": examples, "database": "none", "no-shrink": True},
        "operations": [{"include-path": path, "checks": _BY_LINE} for path in ("/v1/records", "/v1/history")],
        "phases": {name: {"enabled": name in phases} for name in PHASES},
    }
    whole = schemathesis.openapi.from_asgi(
        "/openapi.json", served(store), config=SchemathesisConfig.from_dict(settings)
    )
    schema = whole if only is None else whole.include(path_regex=only)
    found: list[Finding] = []
    counted: Counter[str] = Counter()
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError):
            found.append(Finding("error", event.label, str(event.value), "", None, b""))
        if isinstance(event, events.FatalError):
            found.append(Finding("error", "", str(event.exception), "", None, b""))
        if isinstance(event, events.ScenarioFinished):
            counted["cases"] += len(event.recorder.cases)
            counted["checks"] += sum(map(len, event.recorder.checks.values()))
            found += _failed(event.recorder)
    return found, counted


def _failed(recorder: ScenarioRecorder) -> Iterator[Finding]:
    for case_id, checks in recorder.checks.items():
        for check in checks:
            if check.failure_info is None:
                continue
            failure, case = check.failure_info.failure, recorder.cases[case_id].value
            made = recorder.interactions.get(case_id)
            answer = made.response if made else None
            content = answer.content if answer else b""
            if check.name == "positive_data_acceptance" and _beyond_schema(content):
                continue
            yield Finding(
                check.name,
                case.operation.label,
                f"{failure.title}: {failure.message}",
                check.failure_info.code_sample,
                answer.status_code if answer else None,
                content,
            )


def _beyond_schema(content: bytes) -> bool:
    """Whether an answer refuses for constraints alone that JSON Schema cannot tell."""
    try:
        problem = json.loads(content)
    except ValueError:
        return False
    told = [error["constraint"] for error in problem.get("errors", ())] or [problem.get("detail", "")]
    return all(any(text in each for text in BEYOND_SCHEMA) for each in told)
