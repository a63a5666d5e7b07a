"""What alone nearly decides the outcome is named, and only an import's attributes can block training."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from features.values import Scalar
from models.encoding import EncodedFeature, Encoding
from training.ladder import FEWEST_LEVEL_ROWS, Rows
from training.leaks import LeakFound, Suspect, suspects
from training.splits import Fold, Split

COUNT = 800
RNG = np.random.default_rng(3)
WON = (RNG.random(COUNT) < 0.25).astype(float)
NOISE = RNG.normal(size=COUNT)
DIVISION = Split(
    np.arange(600),
    np.arange(600, COUNT),
    (Fold(np.arange(300), np.arange(300, 450)), Fold(np.arange(450), np.arange(450, 600))),
    "",
)


def found(name: str, values: Sequence[Scalar], *, attribute: bool = True, won: np.ndarray = WON) -> list[Suspect]:
    """Suspects among one column and one of noise."""
    category = any(isinstance(value, str) for value in values)
    counts = {value: list(values).count(value) for value in values if isinstance(value, str)}
    levels = tuple(sorted(level for level, count in counts.items() if count >= FEWEST_LEVEL_ROWS))
    columns = {name: list(values), "noise": NOISE.tolist()}
    features = [EncodedFeature("noise", "number")]
    if levels or not category:
        features.append(EncodedFeature(name, "category" if category else "number", levels))
    encoding = Encoding(tuple(features))
    rows = Rows(encoding.encode(columns, COUNT), won, np.ones(COUNT), np.ones(COUNT, dtype=bool))
    return suspects(rows, encoding, DIVISION, [name] if attribute else [], pa.table(columns))


def named(values: Sequence[Scalar], attribute: bool = True) -> Suspect:
    (suspect,) = found("copy", values, attribute=attribute)
    assert suspect.name == "copy"
    return suspect


def test_an_attribute_that_copies_the_outcome_is_decisive() -> None:
    suspect = named((WON * 10 + NOISE / 10).tolist())
    assert suspect.decisive
    assert suspect.auc is not None
    assert suspect.auc > 0.99
    assert "AUC" in suspect.evidence


def test_a_category_that_copies_the_outcome_is_decisive_though_it_has_many_levels() -> None:
    values = [f"{'closed' if won else 'open'} {n % 5}" for n, won in enumerate(WON)]
    assert named(values).decisive


def test_a_feature_of_the_catalogue_is_suspected_but_never_blocks() -> None:
    suspect = named(WON.tolist(), attribute=False)
    assert not suspect.decisive


def test_a_strong_but_honest_signal_is_ranked_and_does_not_block() -> None:
    suspect = named((1.3 * WON + NOISE).tolist())
    assert not suspect.decisive
    assert suspect.auc is not None
    assert 0.75 < suspect.auc < 0.9


def test_noise_is_not_suspected() -> None:
    assert found("noise too", RNG.normal(size=COUNT).tolist()) == []


@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_blank_with_one_outcome_only_is_decisive(outcome: float) -> None:
    """Half of one outcome's leads are blank: far from an AUC of .9, and yet no chance."""
    blank = (outcome == WON) & (np.arange(COUNT) % 2 == 0)
    suspect = named([None if b else float(v) for b, v in zip(blank, NOISE, strict=True)])
    assert suspect.decisive
    assert suspect.auc is not None
    assert suspect.auc < 0.9
    assert suspect.evidence == f"is blank only where the lead was {'won' if outcome else 'lost'}"


def test_blank_exactly_where_lost_is_decisive_however_few_the_wins() -> None:
    won = np.zeros(COUNT)
    won[::40] = 1
    suspect = found("contract", [float(n) if w else None for n, w in enumerate(won)], won=won)[0]
    assert suspect.decisive


def test_an_identifier_filled_in_at_the_win_is_decisive_though_no_model_can_read_it() -> None:
    suspect = named([f"contract {n}" if won else None for n, won in enumerate(WON)])
    assert suspect.decisive
    assert suspect.auc is None


def test_rare_levels_are_not_blank() -> None:
    """Where the lead was lost every level is rare, so that the model reads nothing; yet all of it is filled in."""
    (suspect,) = found("page", ["home" if won else f"page {n}" for n, won in enumerate(WON)])
    assert "blank" not in suspect.evidence


def test_few_blanks_of_one_outcome_are_chance() -> None:
    lost = np.flatnonzero(WON == 0)[:5]
    values: list[Scalar] = NOISE[::-1].tolist()
    for row in lost:
        values[row] = None
    assert found("page", values) == []


def test_the_test_window_is_not_looked_at() -> None:
    spoilt = WON.copy()
    spoilt[DIVISION.test] = 1 - spoilt[DIVISION.test]
    values = (1.3 * WON + NOISE).tolist()
    assert found("copy", values) == found("copy", values, won=spoilt)


def test_the_worst_come_first_and_the_message_names_them_and_the_mend() -> None:
    copy, weak = named(WON.tolist()), Suspect("weak", 0.8, False, "alone ranks out-of-time outcomes with AUC 0.800")
    error = LeakFound([copy])
    assert error.suspects == (copy,)
    for words in ("'copy'", "known: later", "--allow-leak NAME"):
        assert words in str(error)
    assert weak.to_json() == {"name": "weak", "auc": 0.8, "decisive": False, "evidence": weak.evidence}
