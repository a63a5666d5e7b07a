"""A store that somebody altered beside the API: what belongs to another lead is not served, and the audit names it."""

from typing import Any

import pytest
from sqlalchemy import Engine, insert, select, update

from serving.champion import audit as champion_audit
from serving.champion import bundles
from serving.champion.tables import bundle_files, policies
from serving.decisions.audit import verify
from serving.decisions.tables import current_score
from serving.store.database import reading
from tests.serving.test_api_leads import Api
from tests.serving.test_api_scores import bundle
from tests.serving.test_closed_leads import score, submit

both_databases = pytest.mark.both_databases


@pytest.fixture
def api(store: Engine) -> Api:
    api = Api(store)
    for name in ("L-1", "L-2"):
        submit(api, name)
    return api


def alter(api: Api, **columns: Any) -> str:
    """Alters the current score of L-1; returns what the audit says of it, which names its decision."""
    with api.store.begin() as connection:
        connection.execute(update(current_score).where(current_score.c.lead_id == "L-1").values(**columns))
        named = connection.execute(select(current_score.c.decision_id).where(current_score.c.lead_id == "L-1")).scalar()
    with reading(api.store) as connection:
        fault = str(verify(connection).error)
    assert str(named) in fault
    return fault


def test_what_the_api_wrote_is_sound(api: Api) -> None:
    with reading(api.store) as connection:
        assert verify(connection).error is None
        assert champion_audit.error(connection) is None


@both_databases
def test_a_decision_on_another_lead_is_neither_served_nor_overlooked(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    other = api("GET", "/v1/leads/L-2/score").json()["decision_id"]
    assert "on another lead" in alter(api, decision_id=other)
    answer = score(api)
    assert (answer["lead_id"], answer["decision_id"] == other) == ("L-1", False)
    assert other in caplog.text
    with reading(api.store) as connection:
        assert verify(connection).error is None, "the new decision took the place of the forged one"


def test_sending_the_lead_again_does_not_answer_another_leads_decision(api: Api) -> None:
    other = api("GET", "/v1/leads/L-2/score").json()["decision_id"]
    alter(api, decision_id=other)
    again = api("POST", "/v1/leads", {"lead": {"lead_id": "L-1"}}).json()
    assert again["decision"]["lead_id"] == "L-1"
    assert again["decision"]["decision_id"] != other


@pytest.mark.parametrize(
    "columns",
    [
        {"qualification": "EQL", "pending": True},
        {"close_probability": 0.99},
        {"grade": "A"},
        {"expected_value_minor": 1, "expected_value_currency": "EUR"},
        {"source_partner_id": "P-9"},
    ],
    ids=lambda columns: next(iter(columns)),
)
def test_a_current_score_that_says_more_than_its_decision_is_found(api: Api, columns: dict[str, Any]) -> None:
    assert "says something else" in alter(api, **columns)


@both_databases
def test_altered_policies_and_models_are_found(store: Engine) -> None:
    api, made = Api(store), bundle()
    submit(api, "L-1")
    described = {"name": made.name, "version": "1", "sha256": made.sha256, "actor": "ann", "reason": "first"}
    with store.begin() as connection:
        bundles.publish(connection, made.files, **described, at=1)
    with reading(store) as connection:
        assert champion_audit.error(connection) is None
    with store.begin() as connection:
        golden = bundle_files.c.path == "golden.json"
        connection.execute(update(bundle_files).where(golden).values(content=made.files["golden.json"] + b" "))
    with reading(store) as connection:
        assert made.sha256[:12] in str(champion_audit.error(connection))
    with store.begin() as connection:
        kept = connection.execute(select(policies)).mappings().first()
        assert kept
        connection.execute(insert(policies).values({**kept, "sha256": "0" * 64}))
    with reading(store) as connection:
        assert "policy 000000000000" in str(champion_audit.error(connection))
