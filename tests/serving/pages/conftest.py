import copy
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import anyio
import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from features.records import KINDS, Stored, parse
from features.value_types import DAY, parse_instant
from serving.access import sessions
from serving.app import include_pages, provide_parts
from serving.decisions import current_scores, stored_decisions
from serving.decisions.current_scores import CurrentScore
from serving.decisions.stored_decisions import StoredDecision
from serving.http.problems import install
from serving.records import versions
from serving.scoring.stored_leads import rescore
from serving.service import Service
from serving.store.canonical_json import canonical
from tests.serving.conftest import service_on

NOW = parse_instant("2026-11-22T12:00:00Z")
HASH = "0123456789abcdef" * 4
DECISION: dict[str, Any] = {
    "as_of": "2026-11-22T09:30:00Z",
    "created_at": "2026-11-22T10:00:00Z",
    "qualification": "EQL",
    "pending": False,
    "rules": [
        {"rule": "competitor", "gate": "disqualifier", "outcome": "pass", "reason": "Not a competitor", "evidence": {}},
        {
            "rule": "icp_fit",
            "gate": "icp",
            "outcome": "pass",
            "reason": "400 employees, within 50 to 5,000",
            "evidence": {"employees": 400, "industry": None},
        },
    ],
    "missing": [],
    "close_probability": {
        "value": 0.28519933690838546,
        "lower": 0.25418364435429747,
        "upper": 0.32331040004729971,
        "horizon_days": 90,
        "rung": "lightgbm",
    },
    "grade": "A",
    "expected_value": {"minor": 1737976, "currency": "USD"},
    "explanation": {
        "baseline": 0.11193933749876755,
        "contributions": [
            {
                "feature": "partner_referrals",
                "family": "partner_referral",
                "value": 1,
                "log_odds": 1.1234567,
                "points": 17.325999940961791,
                "sentence": "Referred by a partner (1)",
            }
        ],
        "families": [{"family": "partner_referral", "points": 17.325999940961791}],
    },
    "without_partner": {
        "close_probability": 0.12,
        "difference": 0.16519933690838546,
        "note": "association of the model, not a cause",
    },
    "next_actions": ["Hand it to sales now"],
    "model": {"name": "eql-close-probability", "version": "3", "sha256": HASH},
    "policy": {"version": "1", "sha256": HASH},
    "catalogue": {"sha256": HASH},
}
NO_PROBABILITY = dict.fromkeys(
    ("close_probability", "grade", "expected_value", "explanation", "without_partner", "model")
) | {"close_probability_reason": "no model is promoted yet; run `eql train`, then `eql promote`"}


class Reader(HTMLParser):
    """A page's tags with their attributes, its links and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self._words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._words).split())

    def attributes(self, tag: str, name: str) -> list[str]:
        return [attrs[name] or "" for found, attrs in self.tags if found == tag and name in attrs]


@dataclass
class Site:
    """The pages around a store, with visitors and leads to order."""

    engine: Engine
    service: Service
    scheme: str = "http"
    _cookies: dict[tuple[str, str | None], str] = field(default_factory=dict)

    def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, form: dict[str, str] | None = None
    ) -> httpx.Response:
        app = FastAPI(docs_url=None)
        install(app)
        provide_parts(app, self.service)
        include_pages(app)

        async def ask() -> httpx.Response:
            base = f"{self.scheme}://eql.test"
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=base) as client:
                return await client.request(method, path, headers=headers, data=form)

        return anyio.run(ask)

    def get(self, path: str, role: str = "sales", partner_id: str | None = None) -> httpx.Response:
        return self.ask("GET", path, {"Cookie": self.cookie(role, partner_id)})

    def read(self, path: str, role: str = "sales", partner_id: str | None = None) -> Reader:
        answer = self.get(path, role, partner_id)
        assert answer.status_code == 200
        return Reader(answer.text)

    def cookie(self, role: str = "sales", partner_id: str | None = None) -> str:
        with self.engine.begin() as connection:
            token = self._offer(connection, role, partner_id)
            session = sessions.redeem(connection, token, at=NOW, expires_at=NOW + DAY, tokens=secrets.token_bytes)
        return f"{'__Host-' if self.scheme == 'https' else ''}eql_session={session}"

    def link(self) -> str:
        with self.engine.begin() as connection:
            return f"/sign-in?token={self._offer(connection, 'sales', None)}"

    def redeem(self, link: str, headers: dict[str, str] | None = None) -> httpx.Response:
        """Presses the button that a sign-in link shows."""
        return self.ask("POST", "/sign-in", headers, {"token": link.partition("token=")[2]})

    def _offer(self, connection: Any, role: str, partner_id: str | None) -> str:
        return sessions.offer(connection, role, partner_id, expires_at=NOW + 10, tokens=secrets.token_bytes)

    def store(self, kind: str, identity: str, parent: str | None = None, **content: Any) -> None:
        """Adds a record that was known a day ago."""
        known = {"recorded_at": NOW - DAY} | content
        stored = Stored(KINDS[kind], identity, parse(KINDS[kind], known), parent)
        with self.engine.begin() as connection:
            versions.add(connection, [stored])

    def decide(self, lead_id: str, partner_id: str | None = None, **changes: Any) -> dict[str, Any]:
        """Keeps a decision as the current one of a lead; returns its content."""
        decision_id = f"D-{lead_id}"
        content = copy.deepcopy(DECISION) | {"decision_id": decision_id, "lead_id": lead_id} | changes
        probability, value = content["close_probability"], content["expected_value"]
        score = CurrentScore(
            lead_id=lead_id,
            decision_id=decision_id,
            qualification=content["qualification"],
            pending=content["pending"],
            close_probability=probability and probability["value"],
            grade=content["grade"],
            expected_value_minor=value and value["minor"],
            expected_value_currency=value and value["currency"],
            source_partner_id=partner_id,
            scored_at=parse_instant(content["created_at"]),
        )
        kept = StoredDecision(
            decision_id=decision_id,
            lead_id=lead_id,
            stored=True,
            as_of=parse_instant(content["as_of"]),
            created_at=score.scored_at,
            content=canonical(content),
            salt="s",
        )
        with self.engine.begin() as connection:
            stored_decisions.add(connection, [kept])
            current_scores.save(connection, [score])
        return json.loads(kept.content)

    def rescore(self, *lead_ids: str) -> None:
        """Decides on leads by what is stored of them, without a model."""
        assert list(rescore(self.service.scoring, lead_ids))


@pytest.fixture
def site(store: Engine) -> Site:
    return Site(store, service_on(store, lambda: NOW))


@pytest.fixture
def reader() -> Callable[[str], Reader]:
    return Reader


@pytest.fixture
def without_model() -> dict[str, Any]:
    return copy.deepcopy(NO_PROBABILITY)
