"""Leads sent along at the same time are decided on together, each as it would be alone."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine

from features.catalogue import CATALOGUE
from features.value_types import parse_instant
from models.scorer import Scorer, ServedModel
from serving.scoring.inputs import SentLead
from serving.scoring.requests import ScoreRequest
from serving.service import Service
from tests.serving.conftest import POLICY, saying, service_on

NOW = parse_instant("2026-11-20T00:00:00Z")
MODELS = {log_odds: Scorer(CATALOGUE, POLICY, ServedModel(saying(log_odds), str(log_odds))) for log_odds in (-1.0, 0.5)}


@pytest.fixture
def service(store: Engine) -> Service:
    return service_on(store, lambda: NOW)


def sent(lead_id: str) -> SentLead:
    content = {"lead": {"lead_id": lead_id, "email": f"{lead_id}@acme.example", "created_at": "2026-11-01T00:00:00Z"}}
    return SentLead(ScoreRequest.model_validate_json(json.dumps(content)), content, NOW)


def all_at_once(service: Service, asked: list[tuple[Scorer, SentLead]]) -> list[Any]:
    """What becomes of these, which all wait before the first is decided on."""
    with ThreadPoolExecutor(len(asked)) as threads:
        with service.scoring._batcher._turn:
            waiting = []
            for scorer, request in asked:
                waiting.append(threads.submit(service.scoring.decide_batched, scorer, request))
                while len(service.scoring._batcher._pending) < len(waiting):
                    pass
        return [future.exception() or future.result() for future in waiting]


def alone(service: Service, scorer: Scorer, request: SentLead) -> dict[str, Any]:
    [decision] = service.scoring.decide(scorer, [request])
    return dict(decision.content)


def test_each_gets_its_own_decision_by_the_model_of_its_time(service: Service) -> None:
    asked = [(MODELS[-1.0 if number < 3 else 0.5], sent(f"L-{number}")) for number in range(6)]
    made = all_at_once(service, asked)
    assert len({decision.stored.decision_id for decision in made}) == 6
    for (scorer, request), decision in zip(asked, made, strict=True):
        content, kept = decision.content, decision.stored
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
    assert [decision.content["lead_id"] for decision in (first, last)] == ["L-0", "L-2"]
