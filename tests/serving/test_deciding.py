"""Leads sent along at the same time are decided on together, each as it would be alone."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine

from features.catalogue import CATALOGUE
from features.values import parse_instant
from models.scorer import Scorer, ServedModel
from serving.api.schemas import ScoreRequest
from serving.scoring import Sent, decide_requests, decide_together
from serving.service import Service
from tests.serving.conftest import POLICY, saying, service_on

NOW = parse_instant("2026-11-20T00:00:00Z")
MODELS = {log_odds: Scorer(CATALOGUE, POLICY, ServedModel(saying(log_odds), str(log_odds))) for log_odds in (-1.0, 0.5)}


@pytest.fixture
def service(store: Engine) -> Service:
    return service_on(store, lambda: NOW)


def sent(lead_id: str) -> Sent:
    content = {"lead": {"lead_id": lead_id, "email": f"{lead_id}@acme.example", "created_at": "2026-11-01T00:00:00Z"}}
    return ScoreRequest.model_validate_json(json.dumps(content)), content, NOW


def all_at_once(service: Service, asked: list[tuple[Scorer, Sent]]) -> list[Any]:
    """What becomes of these, which all wait before the first is decided on."""
    with ThreadPoolExecutor(len(asked)) as threads:
        with service.deciding._turn:
            waiting = []
            for scorer, request in asked:
                waiting.append(threads.submit(decide_together, service, scorer, request))
                while len(service.deciding._waiting) < len(waiting):
                    pass
        return [future.exception() or future.result() for future in waiting]


def alone(service: Service, scorer: Scorer, request: Sent) -> dict[str, Any]:
    [(content, _)] = decide_requests(service, scorer, [request])
    return content


def test_each_gets_its_own_decision_by_the_model_of_its_time(service: Service) -> None:
    asked = [(MODELS[-1.0 if number < 3 else 0.5], sent(f"L-{number}")) for number in range(6)]
    made = all_at_once(service, asked)
    assert len({kept.decision_id for _, kept in made}) == 6
    for (scorer, request), (content, kept) in zip(asked, made, strict=True):
        assert content["decision_id"] == kept.decision_id
        assert content == {**alone(service, scorer, request), "decision_id": kept.decision_id}


def test_one_that_cannot_be_decided_on_fails_alone(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(self: ScoreRequest) -> Any:
        if self.lead.lead_id == "L-1":
            raise ZeroDivisionError
        return facts(self)

    facts = ScoreRequest.facts
    monkeypatch.setattr(ScoreRequest, "facts", failing)
    first, faulty, last = all_at_once(service, [(MODELS[0.5], sent(f"L-{number}")) for number in range(3)])
    assert isinstance(faulty, ZeroDivisionError)
    assert [content["lead_id"] for content, _ in (first, last)] == ["L-0", "L-2"]
