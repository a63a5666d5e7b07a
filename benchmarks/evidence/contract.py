"""The API against its own OpenAPI document, with all checks of Schemathesis, in process.

The API may refuse a request that obeys the document, for a constraint that JSON Schema cannot express. `BEYOND_SCHEMA`
lists these constraints. Any other refusal of such a request is a finding.
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
    "must be a country's code",
    "must be a currency's code",
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
    "must hold printable characters only",
    "must lie in the years",
    "must name one account",
    "must neither begin nor end with a blank",
    "must not lie before the moment it happened",
    "must not lie in the future",
    "must not name a private",
    "or domain must be given, one of them",
    "must not name the erased person or domain",
    "is shared by many",
    "was used for another body",
)
"""The first words of constraints on the meaning of a text, on two values together, on stored data, on the time."""

_BY_LINE = {"negative_data_rejection": {"enabled": False}}
"""An NDJSON body gets the answer 200, in which each line has its own status."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A failed check, with the request and the answer."""

    check: str
    route: str
    message: str
    request: str
    status: int | None
    answer: bytes


def clock() -> int:
    """Microseconds now."""
    return time.time_ns() // 1000


def service_on(store: Engine) -> Service:
    """The service on a store, without a model and without limits."""
    policy = load(Path("models/default_policy.yaml"), CATALOGUE)
    champion = ModelWatcher(store, CATALOGUE, policy, clock)
    return Service(engine=store, champion=champion, clock=clock, tokens=secrets.token_bytes)


def served(store: Engine) -> FastAPI:
    """The application of the service on a store."""
    return create_app(service_on(store))


@cache
def _register_formats() -> None:
    """Registers NDJSON and the formats of stored values with Schemathesis."""

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
    """Runs Schemathesis as admin; returns its findings, and the counts of cases and checks.

    Args:
        store: a store; the requests fill it.
        examples: the number of fuzzing examples for each operation, and of sequences in the stateful phase.
        phases: the phases of Schemathesis.
        only: a regular expression for the paths to test; None for all paths.
        seed: the random seed.
    """
    _register_formats()
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
    failures: list[Finding] = []
    counts: Counter[str] = Counter()
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError):
            failures.append(_error(event.label, str(event.value)))
        if isinstance(event, events.FatalError):
            failures.append(_error("", str(event.exception)))
        if isinstance(event, events.ScenarioFinished):
            counts["cases"] += len(event.recorder.cases)
            counts["checks"] += sum(map(len, event.recorder.checks.values()))
            failures += _failed_checks(event.recorder)
    return failures, counts


def _error(route: str, message: str) -> Finding:
    return Finding(check="error", route=route, message=message, request="", status=None, answer=b"")


def _failed_checks(recorder: ScenarioRecorder) -> Iterator[Finding]:
    for case_id, checks in recorder.checks.items():
        for check in checks:
            if check.failure_info is None:
                continue
            failure, case = check.failure_info.failure, recorder.cases[case_id].value
            interaction = recorder.interactions.get(case_id)
            answer = interaction.response if interaction else None
            content = answer.content if answer else b""
            if check.name == "positive_data_acceptance" and _beyond_schema(content):
                continue
            yield Finding(
                check=check.name,
                route=case.operation.label,
                message=f"{failure.title}: {failure.message}",
                request=check.failure_info.code_sample,
                status=answer.status_code if answer else None,
                answer=content,
            )


def _beyond_schema(content: bytes) -> bool:
    """Whether an answer names only constraints that JSON Schema cannot express."""
    try:
        problem = json.loads(content)
    except ValueError:
        return False
    constraints = [error["constraint"] for error in problem.get("errors", ())] or [problem.get("detail", "")]
    return all(any(text in each for text in BEYOND_SCHEMA) for each in constraints)
