"""A closed lead leaves every list at once and keeps its scores; changed scores and leads are found without a list."""

import json
from typing import Any

import pytest
from sqlalchemy import Engine, update

from features.records import KINDS, LeadEvent, Stored
from features.value_types import DAY, SECOND, rfc3339
from serving.decisions import current_scores
from serving.decisions.tables import current_score
from serving.records import closes, versions
from serving.rescoring.rescoring import queue_open_leads, rescore_due
from serving.scoring.responses import CurrentScorePage
from serving.store.database import reading
from tests.serving.conftest import service_on
from tests.serving.test_api_leads import BODY, NOW, Api

both_databases = pytest.mark.both_databases
EVERYWHERE = ("EQL", "SQL", "MQL", "UNQUALIFIED", "DISQUALIFIED")


@pytest.fixture
def api(store: Engine) -> Api:
    return Api(store)


def submit(api: Api, name: str, **changes: Any) -> None:
    body = json.loads(json.dumps(BODY))
    body["lead"] |= {"lead_id": name, "email": f"{name.lower()}@acme-widgets.example"} | changes
    body["account"]["account_id"] = f"A-{name}"
    assert api("POST", "/v1/leads", body).status_code == 201


def event(api: Api, kind: str, day: int, identity: str, **columns: Any) -> None:
    content = {"lead_id": "L-1", "event": kind, "occurred_at": rfc3339(NOW + day * DAY), **columns}
    api.now = NOW + day * DAY + SECOND
    assert api("PUT", f"/v1/lead_events/{identity}", content).status_code in (200, 201)


def listed(api: Api) -> list[str]:
    with reading(api.store) as connection:
        ids = current_scores.ranked_ids(connection, qualifications=EVERYWHERE)
        assert sum(current_scores.tallies(connection).values()) == len(ids)
    return sorted(ids)


def rescore(api: Api) -> None:
    scoring = service_on(api.store, api.clock).scoring
    queue_open_leads(scoring)
    rescore_due(scoring)


def score(api: Api, query: str = "") -> Any:
    return api("GET", f"/v1/leads/L-1/score{query}").json()


@both_databases
def test_a_won_lead_leaves_the_lists_at_once_keeps_its_scores_and_comes_back_when_it_is_reopened(api: Api) -> None:
    submit(api, "L-1")
    submit(api, "L-2")
    decision = score(api)
    assert "closed" not in decision
    event(api, "won", 1, "E-1", amount={"minor": 9_000_000, "currency": "EUR"})
    assert listed(api) == ["L-2"]
    closed = {"outcome": "won", "at": rfc3339(NOW + DAY), "amount": {"minor": 9_000_000, "currency": "EUR"}}
    assert score(api) == {**decision, "closed": closed}
    assert score(api, f"?as_of={rfc3339(NOW)}").keys() == decision.keys()

    rescore(api)
    assert score(api)["decision_id"] == decision["decision_id"]
    assert [each["decision_id"] for each in api("GET", "/v1/leads/L-1/scores").json()["items"]][-1:] == [
        decision["decision_id"]
    ]

    event(api, "reopened", 2, "E-2")
    assert listed(api) == ["L-1", "L-2"]
    rescore(api)
    assert "closed" not in score(api)
    assert score(api)["decision_id"] != decision["decision_id"]
    event(api, "lost", 3, "E-3")
    assert api("DELETE", "/v1/lead_events/E-3").status_code == 204
    assert listed(api) == ["L-1", "L-2"]


def test_a_close_is_announced_once(api: Api) -> None:
    submit(api, "L-1")
    event(api, "lost", 1, "E-1")
    event(api, "stage", 2, "E-2", stage="archived")
    told = [each["data"] for each in api.events() if each["type"] == "lead.closed"]
    assert told == [{"lead_id": "L-1", "outcome": "lost", "at": rfc3339(NOW + DAY), "amount": None}]


@both_databases
def test_a_lead_whose_close_is_known_before_its_first_score_is_in_no_list(api: Api) -> None:
    event(api, "won", 1, "E-1")
    submit(api, "L-1")
    assert listed(api) == []
    assert score(api)["closed"]["outcome"] == "won"
    assert [each["type"] for each in api.events()].count("lead.closed") == 1


def test_a_closed_lead_that_is_sent_again_keeps_its_last_decision(api: Api) -> None:
    submit(api, "L-1")
    decision = score(api)["decision_id"]
    event(api, "lost", 1, "E-1")
    body = json.loads(json.dumps(BODY))
    body["lead"] |= {"lead_id": "L-1", "email": "l-1@acme-widgets.example"}
    body["buying_signals"] = [{"kind": "timeline_stated", "occurred_at": rfc3339(NOW + DAY)}]
    again = api("POST", "/v1/leads", body).json()
    assert (again["duplicate"], again["decision"]["decision_id"]) == (True, decision)
    assert score(api)["decision_id"] == decision
    assert len(api("GET", "/v1/buying_signals?lead_id=L-1").json()["items"]) == len(BODY["buying_signals"]) + 1


@both_databases
def test_a_score_that_is_kept_while_the_close_is_recorded_leaves_the_lists_with_the_next_rescoring(api: Api) -> None:
    submit(api, "L-1")
    event(api, "won", 1, "E-1")
    with api.store.begin() as connection:
        # What a process leaves behind whose transaction did not see the close.
        connection.execute(update(current_score).values(closed=None, closed_at=None))
    rescore(api)
    assert listed(api) == []


def test_a_close_of_a_later_moment_takes_effect_by_time_alone(api: Api) -> None:
    submit(api, "L-1")
    later = LeadEvent(event="won", occurred_at=NOW + 3 * DAY, recorded_at=NOW)
    with api.store.begin() as connection:
        # As an import does, which warns of such dates and keeps them.
        versions.add(connection, [Stored(KINDS["lead_events"], "E-1", later, "L-1")])
    rescore(api)
    assert listed(api) == ["L-1"]
    api.now += 4 * DAY
    rescore(api)
    assert listed(api) == []


def test_more_leads_close_at_once_than_one_query_names(api: Api) -> None:
    submit(api, "L-1")
    event(api, "won", 1, "E-1")
    with api.store.begin() as connection:
        connection.execute(update(current_score).values(closed=None, closed_at=None))
        closes.refresh(connection, ["L-1", *map(str, range(300_000))], api.now)
    assert listed(api) == []


def test_the_leads_of_a_corrected_close_are_the_one_it_named_and_the_one_it_names(api: Api) -> None:
    submit(api, "L-1")
    submit(api, "L-2")
    event(api, "won", 1, "E-1")
    event(api, "won", 1, "E-1", lead_id="L-2")
    assert listed(api) == ["L-1"]
    with reading(api.store) as connection:
        assert closes.leads_of(connection, ["E-1"]) == {"L-1", "L-2"}


@both_databases
def test_a_reader_of_the_changes_is_told_of_removed_and_merged_leads(api: Api) -> None:
    for name in ("L-1", "L-2", "L-3"):
        submit(api, name)
    seen = api("GET", "/v1/scores").json()
    assert [each["removed"] for each in seen["items"]] == [False] * 3
    api.now += DAY
    assert api("DELETE", "/v1/leads/L-1").status_code == 204
    assert api("POST", "/v1/leads/L-2/aliases", {"alias": "L-3"}).status_code == 201
    told = api("GET", f"/v1/scores?cursor={seen['cursor']}").json()
    CurrentScorePage.model_validate(told)
    assert [(each["lead_id"], each["removed"]) for each in told["items"]] == [("L-1", True), ("L-3", True)]
    assert listed(api) == ["L-2"]
    own = api("GET", f"/v1/scores?cursor={seen['cursor']}", role="partner", partner="P-1").json()["items"]
    assert [each["lead_id"] for each in own] == ["L-1", "L-3"]

    submit(api, "L-1")
    rescore(api)
    back = api("GET", f"/v1/scores?cursor={told['cursor']}").json()["items"]
    assert ("L-1", False) in [(each["lead_id"], each["removed"]) for each in back]


@both_databases
def test_a_reader_that_follows_the_changes_misses_none(api: Api) -> None:
    for name in ("L-1", "L-2", "L-3"):
        submit(api, name)
    first = api("GET", "/v1/scores?limit=2").json()
    CurrentScorePage.model_validate(first)
    assert [each["lead_id"] for each in first["items"]] == ["L-1", "L-2"]
    event(api, "won", 1, "E-1")
    second = api("GET", first["next"]).json()
    assert [(each["lead_id"], each["closed"] and each["closed"]["outcome"]) for each in second["items"]] == [
        ("L-3", None),
        ("L-1", "won"),
    ]
    assert second["next"] is None
    assert api("GET", f"/v1/scores?cursor={second['cursor']}").json()["items"] == []
    assert api("GET", f"/v1/scores?changed_since={rfc3339(NOW + DAY)}").json()["items"] == second["items"][1:]


def test_a_partner_sees_the_state_of_its_own_leads(api: Api) -> None:
    submit(api, "L-1")
    [own] = api("GET", "/v1/scores", role="partner", partner="P-1").json()["items"]
    assert (own["lead_id"], "close_probability" in own) == ("L-1", False)
    assert api("GET", "/v1/scores", role="partner", partner="P-2").json()["items"] == []


@both_databases
def test_leads_are_found_by_address_partner_and_qualification(api: Api) -> None:
    submit(api, "L-1")
    submit(api, "L-2", channel="demo_request", source_partner_id=None, programme_tier=None, referral_date=None)

    def found(query: str) -> list[str]:
        answer = api("GET", f"/v1/leads?{query}")
        assert answer.status_code == 200, answer.text
        return [each["id"] for each in answer.json()["items"]]

    assert found("email=L-1@ACME-widgets.example") == ["L-1"]
    assert found("partner_id=P-1") == ["L-1"]
    assert found("qualification=EQL") == ["L-1"]
    assert found("qualification=MQL") == ["L-2"]
    assert found("partner_id=P-1&qualification=MQL") == []
    refused = api("GET", "/v1/leads?mail=a@b.example").json()["errors"]
    assert refused == [{"field": "query", "constraint": "has a name that is not known; did you mean `email`?"}]
    names = api("GET", "/v1/leads?zzz=1").json()["errors"][0]["constraint"]
    assert all(name in names for name in ("account_id", "email", "partner_id", "qualification", "limit", "cursor"))


def test_an_unknown_field_is_told_by_the_nearest_known_one(api: Api) -> None:
    body = json.loads(json.dumps(BODY))
    body["lead"]["referal_date"] = "2026-10-20"
    [error] = api("POST", "/v1/leads", body).json()["errors"]
    assert error == {"field": "lead", "constraint": "has a field that is not known; did you mean `referral_date`?"}


def test_a_wrong_key_and_a_missing_one_are_told_apart(api: Api) -> None:
    wrong = api("GET", "/v1/leads", headers={"X-Api-Key": "eql_live_wrong"}).json()["detail"]
    assert wrong.startswith("The API key is not valid")


def test_text_is_no_json(api: Api) -> None:
    assert api("POST", "/v1/leads", BODY, headers={"Content-Type": "text/plain"}).status_code == 415
