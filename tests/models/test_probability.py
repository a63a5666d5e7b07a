"""The rungs: sums of exact parts (I1), obedient to the catalogue's directions (I8), and the range that holds them."""

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from features.catalogue import CATALOGUE
from features.value_types import Scalar
from models.bundle import Bundle
from models.calibration import Calibration
from models.encoding import EncodedFeature, Encoding
from models.probability import RUNGS, LightGBM, MarginModel, Rung, logit, read_model, sigmoid
from training.data.rows import Rows

TOLERANCE = 1e-9
Vector = Mapping[str, Scalar]

numbers = st.one_of(st.none(), st.floats(-10, 1e6), st.integers(0, 2**53), st.sampled_from([0, 1, 2.5]))
names = st.one_of(st.none(), st.text(max_size=3), st.sampled_from(["software", "DE", "EMEA", "webinar", "direct"]))
vectors: st.SearchStrategy[Vector] = st.fixed_dictionaries(
    {entry.name: names if entry.kind == "category" else numbers for entry in CATALOGUE}
)
DIRECTED = [entry.name for entry in CATALOGUE if entry.direction]


def matrix_of(encoding: Encoding, found: Sequence[Vector]) -> NDArray[np.float64]:
    return encoding.encode({name: [row[name] for row in found] for name in encoding.names}, len(found))


@pytest.mark.parametrize("rung", RUNGS)
@settings(max_examples=40)
@given(found=st.lists(vectors, min_size=1, max_size=4))
def test_parts_add_up_to_the_served_log_odds(bundles: Mapping[Rung, Bundle], rung: Rung, found: list[Vector]) -> None:
    bundle = bundles[rung]
    matrix = matrix_of(bundle.encoding, found)
    margins = bundle.model.contributions(matrix).sum(axis=1)
    parts = bundle.contributions(matrix)
    assert parts.shape == (len(found), len(CATALOGUE) + 1)
    np.testing.assert_allclose(parts.sum(axis=1), bundle.calibration.log_odds(margins), rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(bundle.margins(parts), margins, rtol=0, atol=TOLERANCE)


@settings(max_examples=40)
@given(found=st.lists(vectors, min_size=1, max_size=4))
def test_lightgbm_sums_to_the_margin_that_its_trees_predict(
    fitted: Mapping[Rung, MarginModel], encoding: Encoding, found: list[Vector]
) -> None:
    model = fitted["lightgbm"]
    assert isinstance(model, LightGBM)
    matrix = matrix_of(encoding, found)
    raw = model._booster.predict(matrix, raw_score=True, num_threads=1)
    np.testing.assert_allclose(model.contributions(matrix).sum(axis=1), raw, rtol=0, atol=TOLERANCE)


def test_contributions_of_lightgbm_are_those_of_the_shap_library(
    fitted: Mapping[Rung, MarginModel], rows: Rows
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import shap  # its dependencies warn on import
    model = fitted["lightgbm"]
    assert isinstance(model, LightGBM)
    sample = rows.matrix[:40]
    explainer = shap.TreeExplainer(model._booster)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = explainer.shap_values(sample)
    parts = model.contributions(sample)
    assert np.abs(parts[:, :-1]).max() > 0.1
    np.testing.assert_allclose(parts[:, :-1], np.asarray(values), rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(parts[:, -1], float(np.ravel(explainer.expected_value)[-1]), rtol=0, atol=TOLERANCE)


def test_every_rung_but_the_lowest_tells_leads_apart(bundles: Mapping[Rung, Bundle], rows: Rows) -> None:
    spread = {rung: np.ptp(bundle.contributions(rows.matrix).sum(axis=1)) for rung, bundle in bundles.items()}
    assert spread["base_rate"] == 0
    assert min(spread["logistic"], spread["lightgbm"]) > 1


def test_the_base_rate_rung_serves_the_share_of_wins(fitted: Mapping[Rung, MarginModel], rows: Rows) -> None:
    served = sigmoid(fitted["base_rate"].contributions(rows.matrix[:1]).sum())
    assert served == pytest.approx(rows.won.mean(), abs=1 / len(rows.won))


@pytest.mark.parametrize("rung", RUNGS)
@given(vector=vectors, name=st.sampled_from(DIRECTED), raised=st.floats(0, 1e4), base=st.floats(0, 1e4))
def test_raising_a_feature_in_its_direction_never_lowers_the_score(
    bundles: Mapping[Rung, Bundle], rung: Rung, vector: Vector, name: str, raised: float, base: float
) -> None:
    direction = CATALOGUE[name].direction
    low, high = {**vector, name: base}, {**vector, name: base + raised}
    bundle = bundles[rung]
    before, after = sigmoid(bundle.contributions(matrix_of(bundle.encoding, [low, high])).sum(axis=1))
    assert (after - before) * direction >= -TOLERANCE


@pytest.mark.parametrize("rung", ["logistic", "lightgbm"])
def test_directions_bind_and_still_leave_directed_features_something_to_say(
    fitted: Mapping[Rung, MarginModel], rows: Rows, encoding: Encoding, rung: Rung
) -> None:
    parts = fitted[rung].contributions(rows.matrix)
    spoken = [np.ptp(parts[:, encoding.names.index(name)]) for name in DIRECTED]
    assert max(spoken) > 0.1


@pytest.mark.parametrize("rung", RUNGS)
def test_a_category_never_seen_reads_as_missing(bundles: Mapping[Rung, Bundle], rung: Rung) -> None:
    vector = dict.fromkeys(CATALOGUE.names)
    found = [vector, {**vector, "industry": "mining"}]
    missing, unseen = bundles[rung].contributions(matrix_of(bundles[rung].encoding, found))
    assert missing.tolist() == unseen.tolist()


@pytest.mark.parametrize("rung", RUNGS)
def test_a_model_is_read_back_as_it_was(fitted: Mapping[Rung, MarginModel], rows: Rows, rung: Rung) -> None:
    content = fitted[rung].to_bytes()
    again = read_model(rung, content, len(CATALOGUE))
    assert again.to_bytes() == content
    assert again.contributions(rows.matrix).tolist() == fitted[rung].contributions(rows.matrix).tolist()


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("content", [b"", b"[]", b"null", b'{"features": 1}', b"tree\n", b"\x80\x04."])
def test_what_is_no_model_is_refused(rung: Rung, content: bytes) -> None:
    with pytest.raises(ValueError, match=f"not a model of rung {rung}"):
        read_model(rung, content, len(CATALOGUE))


@pytest.mark.parametrize("rung", RUNGS)
def test_a_model_of_other_features_is_refused(fitted: Mapping[Rung, MarginModel], rung: Rung) -> None:
    with pytest.raises(ValueError, match="model"):
        read_model(rung, fitted[rung].to_bytes(), len(CATALOGUE) - 1)


def test_a_logistic_column_of_no_feature_is_refused(fitted: Mapping[Rung, MarginModel]) -> None:
    content = json.loads(fitted["logistic"].to_bytes())
    content["columns"][0]["feature"] = len(CATALOGUE) + 1
    with pytest.raises(ValueError, match="not a model"):
        read_model("logistic", json.dumps(content).encode(), len(CATALOGUE))


maps = st.tuples(st.floats(0.1, 3), st.floats(-5, 5))


@given(maps, st.lists(maps, max_size=5), st.lists(st.floats(-20, 20), min_size=1, max_size=4))
def test_the_range_holds_the_value(
    served: tuple[float, float], draws: list[tuple[float, float]], margins: list[float]
) -> None:
    map_ = Calibration(*served, tuple(draws))
    margin = np.array(margins)
    lower, upper = map_.range(margin)
    value = sigmoid(map_.log_odds(margin))
    assert ((lower >= 0) & (lower <= value) & (value <= upper) & (upper <= 1)).all()


def test_the_range_is_the_spread_of_the_draws() -> None:
    draws = tuple((1.0, float(b)) for b in np.linspace(-1, 1, 2001))
    lower, upper = Calibration(1.0, 0.0, draws).range(np.array([0.0]))
    assert logit(lower[0]) == pytest.approx(-0.95, abs=0.01)
    assert logit(upper[0]) == pytest.approx(0.95, abs=0.01)


@given(st.lists(maps, min_size=1, max_size=60), st.lists(st.floats(-20, 20), min_size=1, max_size=3))
def test_the_range_is_that_of_numpy_to_the_last_bit(draws: list[tuple[float, float]], margins: list[float]) -> None:
    margin = np.array(margins)
    slopes, intercepts = np.array(draws).T
    drawn, value = sigmoid(np.outer(margin, slopes) + intercepts), sigmoid(margin)
    lower, upper = np.quantile(drawn, [0.025, 0.975], axis=1)
    found = Calibration(1.0, 0.0, tuple(draws)).range(margin)
    assert np.array_equal(found, (np.minimum(lower, value), np.maximum(upper, value)))


@pytest.mark.parametrize("slope", [0.0, -1.0, float("nan"), float("inf")])
def test_a_map_that_would_turn_the_ranking_round_is_refused(slope: float) -> None:
    with pytest.raises(ValueError, match="slope must be positive"):
        Calibration(slope, 0.0)


@given(st.floats(-30, 30))
def test_log_odds_and_probability_are_each_others_inverse(log_odds: float) -> None:
    assert logit(sigmoid(log_odds)) == pytest.approx(log_odds, abs=1e-2 if log_odds > 20 else 1e-6)


def test_the_sigmoid_is_exact_at_both_ends() -> None:
    assert sigmoid(800.0) == 1.0
    assert sigmoid(-800.0) == 0.0
    assert sigmoid(-700.0) == pytest.approx(np.exp(-700.0), rel=1e-12)


def test_encoding_keeps_none_and_unknown_apart() -> None:
    encoding = Encoding((EncodedFeature("n", "number"), EncodedFeature("c", "category", ("a", "b"))))
    found = encoding.encode({"n": [0, None, 2.5], "c": ["b", None, "z"]}, 3)
    np.testing.assert_array_equal(found, [[0, 1], [np.nan, np.nan], [2.5, np.nan]])
    assert Encoding(()).encode({}, 3).shape == (3, 0)


@given(
    margins=st.lists(st.floats(-8, 8), min_size=1, max_size=4),
    model=st.floats(0, 2),
    level=st.floats(0, 2),
)
def test_spreads_never_make_a_range_narrower_and_keep_the_value_in_it(
    margins: list[float], model: float, level: float
) -> None:
    margin = np.array(margins)
    map_ = Calibration(0.9, -0.1, ((0.8, -0.2), (1.0, 0.1), (0.95, 0.0)))
    wider = replace(map_, model_spread=model, level_spread=level)
    (low, high), (lower, upper) = map_.range(margin), wider.range(margin)
    value = sigmoid(map_.log_odds(margin))
    assert (lower <= low).all()
    assert (upper >= high).all()
    assert ((lower <= value) & (value <= upper)).all()
    if model + level == 0:
        assert lower.tolist() == low.tolist()


def test_a_spread_alone_is_a_normal_range_on_log_odds() -> None:
    lower, upper = Calibration(1.0, 0.0, model_spread=0.3, level_spread=0.4).range(np.array([0.0]))
    assert logit(upper)[0] == pytest.approx(1.96 * 0.5)
    assert logit(lower)[0] == pytest.approx(-1.96 * 0.5)
