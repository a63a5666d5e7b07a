from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from serving.champion import bundles
from serving.decisions import current_scores, stored_decisions
from serving.decisions.current_scores import CurrentScore
from serving.decisions.stored_decisions import StoredDecision
from serving.store.database import reading

pytestmark = pytest.mark.both_databases

DECISION = StoredDecision(
    decision_id="D-1",
    lead_id="L-1",
    stored=True,
    as_of=10,
    created_at=20,
    content='{"qualification":"EQL","π":0.1}',
    request=None,
    salt="s",
)
SCORE = CurrentScore(
    lead_id="L-1",
    decision_id="D-1",
    qualification="EQL",
    pending=False,
    close_probability=0.31,
    grade="A",
    expected_value_minor=1116000,
    expected_value_currency="USD",
    source_partner_id="P-1",
    scored_at=20,
)
RANK = ("EQL", "SQL", "MQL")
in_one_store = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_a_decision_comes_out_byte_for_byte(store: Engine) -> None:
    inline = replace(DECISION, decision_id="D-2", lead_id=None, stored=False, request='{"lead":{}}')
    with store.begin() as connection:
        stored_decisions.add(connection, [DECISION, inline])
        stored_decisions.add(connection, [])
    with reading(store) as connection:
        assert stored_decisions.get(connection, "D-1") == DECISION
        assert stored_decisions.get(connection, "D-2") == inline
        assert stored_decisions.get(connection, "D-3") is None


def test_a_decision_is_never_replaced(store: Engine) -> None:
    with store.begin() as connection:
        stored_decisions.add(connection, [DECISION])
    with pytest.raises(IntegrityError), store.begin() as connection:
        stored_decisions.add(connection, [replace(DECISION, content="{}")])
    with reading(store) as connection:
        assert stored_decisions.get(connection, "D-1") == DECISION


def test_decisions_of_a_stored_lead_are_newest_first_and_not_those_of_a_namesake_sent_along(store: Engine) -> None:
    made = [replace(DECISION, decision_id=f"D-{at}", created_at=at) for at in (2, 3, 1)]
    with store.begin() as connection:
        stored_decisions.add(connection, [*made, replace(DECISION, decision_id="inline", stored=False)])
        found = stored_decisions.of_lead(connection, "L-1", limit=2)
    assert [decision.decision_id for decision in found] == ["D-3", "D-2"]


def test_a_new_score_takes_the_place_of_the_old(store: Engine) -> None:
    newer = replace(SCORE, decision_id="D-2", qualification="UNQUALIFIED", close_probability=None, grade=None)
    with store.begin() as connection:
        stored_decisions.add(connection, [DECISION, replace(DECISION, decision_id="D-2")])
        current_scores.save(connection, [SCORE, replace(SCORE, lead_id="L-2")])
        current_scores.save(connection, [newer])
        current_scores.save(connection, [])
        assert current_scores.get(connection, "L-1") == newer
        assert current_scores.get(connection, "L-2") == replace(SCORE, lead_id="L-2")
        assert current_scores.get(connection, "L-3") is None


any_scores = st.lists(
    st.builds(
        replace,
        st.just(SCORE),
        lead_id=st.text("abcdef", min_size=1),
        qualification=st.sampled_from((*RANK, "UNQUALIFIED")),
        pending=st.booleans(),
        close_probability=st.none() | st.floats(0, 1),
        source_partner_id=st.sampled_from(("P-1", "P-2", None)),
    ),
    unique_by=lambda score: score.lead_id,
    max_size=12,
)


@given(any_scores, st.sampled_from((None, True, False)), st.sampled_from((None, "P-1")))
@in_one_store
def test_lists_hold_the_wanted_leads_best_first(
    store: Engine, scores: list[CurrentScore], pending: bool | None, partner: str | None
) -> None:
    expected = [
        score
        for score in scores
        if score.qualification in RANK
        and pending in (None, score.pending)
        and partner in (None, score.source_partner_id)
    ]
    if partner is not None:
        # The order of a partner's list must not tell the probability either.
        hidden = {"close_probability": None, "grade": None}
        hidden |= {"expected_value_minor": None, "expected_value_currency": None}
        expected = [replace(score, **hidden) for score in expected]
    chance = {s.lead_id: -1.0 if s.close_probability is None else s.close_probability for s in expected}
    expected.sort(key=lambda score: (RANK.index(score.qualification), -chance[score.lead_id], score.lead_id))
    wanted = {"qualifications": RANK, "pending": pending, "source_partner_id": partner}
    with store.connect() as connection:
        stored_decisions.add(connection, [DECISION])
        current_scores.save(connection, scores)
        assert current_scores.ranked(connection, **wanted, limit=100) == expected
        assert current_scores.ranked(connection, **wanted, limit=2, offset=1) == expected[1:3]
        assert current_scores.count_ranked(connection, **wanted) == len(expected)
        if partner is None:
            found = current_scores.ranked_ids(connection, qualifications=RANK, pending=pending)
            assert found == [score.lead_id for score in expected]
            assert current_scores.of_leads(connection, ["never scored", *reversed(found)]) == expected[::-1]


def publish(connection, sha256: str, files: dict[str, bytes], at: int) -> None:
    bundles.publish(connection, files, name="eql", version=sha256, sha256=sha256, actor="ada", reason="better", at=at)


def test_before_anything_is_published_there_is_no_champion(store: Engine) -> None:
    with reading(store) as connection:
        assert bundles.current(connection) is None
        assert bundles.history(connection) == []
        with pytest.raises(bundles.UnknownBundle):
            bundles.files(connection, "nothing")


def test_a_bundle_comes_out_as_it_went_in_and_is_champion(store: Engine) -> None:
    content = {"model.txt": bytes(range(256)) * 5000, "manifest.json": b"{}", "empty": b""}
    with store.begin() as connection:
        publish(connection, "one", content, 1)
    with reading(store) as connection:
        assert bundles.files(connection, "one") == content
        assert bundles.current(connection) == bundles.AliasChange(
            number=1,
            alias="champion",
            sha256="one",
            name="eql",
            version="one",
            actor="ada",
            reason="better",
            at=1,
        )


def test_the_pointer_goes_back_and_its_history_stays(store: Engine) -> None:
    with store.begin() as connection:
        publish(connection, "one", {"a": b"1"}, 1)
        publish(connection, "two", {"a": b"2"}, 2)
        publish(connection, "one", {"a": b"1"}, 3)
        bundles.set_alias(connection, "two", actor="bob", reason="as before", at=4)
        bundles.set_alias(connection, "one", actor="bob", reason="try", at=5, alias="challenger")
        assert [entry.sha256 for entry in bundles.history(connection)] == ["two", "one", "two", "one"]
        assert bundles.current(connection).actor == "bob"
        assert bundles.current(connection, "challenger").sha256 == "one"


def test_the_pointer_never_names_what_was_not_published(store: Engine) -> None:
    with store.begin() as connection, pytest.raises(bundles.UnknownBundle, match="publish it"):
        bundles.set_alias(connection, "nothing", actor="ada", reason="?", at=1)
