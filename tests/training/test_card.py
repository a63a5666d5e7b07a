"""The model card, importance and lift at capacity: words and figures that are those of the model."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from features.catalogue import CATALOGUE
from features.value_types import DAY
from models.bundle import Bundle
from models.calibration import Calibration
from models.encoding import EncodedFeature, Encoding
from models.probability import BaseRate
from training.data.levels import LeftOutLevels
from training.data.segments import ExcludedSegment
from training.evaluation.card import card
from training.evaluation.importance import importance
from training.evaluation.leak_findings import Suspect
from training.evaluation.lift import lift_at_capacity
from training.evaluation.metrics import Predictions, evaluate
from training.evaluation.plots import plots
from training.evaluation.report import EvaluationReport

patient = settings(deadline=None)
NAMES = ("own_touches", "buying_signals", "employees")
FAMILIES = {name: CATALOGUE[name].family for name in NAMES}
BUNDLE = Bundle(
    name="eql-close-probability",
    encoding=Encoding(tuple(EncodedFeature(name, "number") for name in NAMES)),
    model=BaseRate(3, -1.0),
    calibration=Calibration(1.0, 0.0),
    horizon_days=90,
    base_rate=0.25,
    grades=None,
    attributes=(),
    features_sha256=CATALOGUE.values_sha256(NAMES),
)
COUNT = 140
PROBABILITY = np.linspace(0.05, 0.6, COUNT)
WON = (np.arange(COUNT) % 4 == 0).astype(np.float64)
PREDICTIONS = Predictions(
    lead_id=np.array([f"L{n}" for n in range(COUNT)]),
    as_of=np.arange(COUNT) * DAY,
    cluster=np.array([f"A{n // 2}" for n in range(COUNT)]),
    won=WON,
    probability=PROBABILITY,
    constant=0.25,
)
REPORT = EvaluationReport(metrics=evaluate(PREDICTIONS, True, 0), rung="base_rate", rung_reason="few leads")


TAGS = Suspect(name="Tags", auc=None, decisive=False, evidence="")


def written(report: EvaluationReport = REPORT, bundle: Bundle = BUNDLE) -> str:
    parts = np.array([[1.0, -2.0, 0.0, 0.5]])
    found = importance(NAMES, FAMILIES, parts)
    return card(bundle, report, found, lift_at_capacity(PREDICTIONS, 3), {"bundle": "abc"})


def test_the_card_says_whom_the_model_has_never_seen() -> None:
    text = written(replace(REPORT, excluded=(ExcludedSegment("region=a|b", 1200),)))
    assert r"leads with region=a\|b (1,200 of them)" in text
    assert "neither trained" not in written()


def test_the_card_names_the_categories_whose_levels_are_left_out() -> None:
    text = written(replace(REPORT, left_out_levels=(LeftOutLevels("town|city", 312, 50, 0.1825),)))
    assert r"town\|city: 50 of 312 levels are kept; 18.2% of the training rows have another level" in text
    assert "Levels left out" not in written()


def test_the_card_says_where_the_level_is_from_if_not_from_all() -> None:
    assert "latest quarter of the training leads" in written(replace(REPORT, intercept_sample="latest"))
    assert "latest quarter" not in written(replace(REPORT, intercept_sample="all"))


def test_the_card_names_the_leaks_that_were_allowed() -> None:
    allowed = replace(BUNDLE, training_summary={"allowed_leaks": ["Lead <Quality>"]})
    assert "may leak the outcome: Lead &lt;Quality>" in written(bundle=allowed)
    assert "may leak the outcome" not in written()


def test_the_card_says_what_the_report_says() -> None:
    text = written()
    assert "won within 90 days" in text
    assert f"{REPORT.metrics.log_loss:.4f}" in text
    assert "few leads" in text
    assert "the best 3 leads of each week, 43% of all" in text
    assert "`abc`" in text
    assert text.index("| buying_signals |") < text.index("| own_touches |")
    assert "| employees |" not in text
    assert ("It has skill" in text) is REPORT.metrics.skill
    assert "no proven skill" in written(REPORT.with_metrics(replace(REPORT.metrics, skill=False)))
    assert "Suspected of leaking the outcome: Tags" in written(replace(REPORT, leaks=(TAGS,)))
    assert "on weaker evidence" in written(bundle=replace(BUNDLE, horizon_days=None))


@given(st.text(max_size=30))
def test_no_name_breaks_the_cards_structure(name: str) -> None:
    def tokens(text: str) -> list[str]:
        return [token.type for token in MarkdownIt("commonmark").enable("table").parse(text)]

    plain, odd = (replace(REPORT, split=f"the {given} rows") for given in ("last", name))
    assert tokens(written(odd)) == tokens(written(plain))


@patient
@given(st.lists(st.lists(st.floats(-5, 5), min_size=4, max_size=4), min_size=1, max_size=20))
def test_a_family_moves_at_most_what_its_features_move(rows: list[list[float]]) -> None:
    found = importance(NAMES, FAMILIES, np.array(rows))
    assert list(found.features.values()) == sorted(found.features.values(), reverse=True)
    assert sum(found.families.values()) <= sum(found.features.values()) + 1e-9
    alone = {FAMILIES[name] for name in NAMES if list(FAMILIES.values()).count(FAMILIES[name]) == 1}
    for name in NAMES:
        if FAMILIES[name] in alone:
            assert found.families[FAMILIES[name]] == pytest.approx(found.features[name])


@patient
@given(
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from([0.1, 0.2, 0.5]), st.booleans()), min_size=2, max_size=60),
    st.integers(1, 10),
)
def test_no_week_works_more_than_its_capacity(rows: list[tuple[int, float, bool]], places: int) -> None:
    day, probability, won = (np.array(column) for column in zip(*rows, strict=True))
    names = np.array([f"L{n}" for n in range(len(rows))])
    found = lift_at_capacity(
        Predictions(
            lead_id=names, as_of=day * DAY, cluster=names, won=won.astype(float), probability=probability, constant=0.2
        ),
        places,
    )
    if day.min() == day.max():
        assert found is None
        return
    assert found is not None
    weeks = np.unique((day - day.min()) // 7, return_counts=True)[1]
    assert found.worked * len(rows) == pytest.approx(np.minimum(weeks, places).sum())
    assert 0 <= found.found <= 1
    constant = Predictions(
        lead_id=names,
        as_of=day * DAY,
        cluster=names,
        won=won.astype(float),
        probability=np.full(len(rows), 0.2),
        constant=0.2,
    )
    assert lift_at_capacity(constant, 10**6) == lift_at_capacity(replace(constant, probability=probability), 10**6)


def test_the_best_first_find_every_win_where_the_ranking_is_perfect() -> None:
    perfect = lift_at_capacity(replace(PREDICTIONS, probability=WON), 2)
    assert perfect is not None
    assert perfect.found == 1
    assert perfect.lift == pytest.approx(1 / perfect.worked)
    with pytest.raises(ValueError, match="at least 1 lead a week, not 0"):
        lift_at_capacity(PREDICTIONS, 0)


def test_there_is_a_plot_of_each_kind() -> None:
    parts = np.zeros((COUNT, 4))
    found = plots(BUNDLE, PREDICTIONS, parts, leads_a_week=5)
    assert set(found) == {f"{name}.png" for name in ("reliability", "lift", "importance", "families", "stability")}
    assert all(content.startswith(b"\x89PNG") for content in found.values())


def test_importance_is_json() -> None:
    found = importance(NAMES, FAMILIES, np.ones((2, 4)))
    assert json.loads(json.dumps(dict(found.features))) == dict.fromkeys(sorted(NAMES), 1.0)
