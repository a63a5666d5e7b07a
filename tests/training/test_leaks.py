"""What alone nearly decides the outcome is named, and only an import's attributes can block training."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.value_types import Scalar
from models.encoding import EncodedFeature, Encoding
from training.data.rows import MIN_LEVEL_ROWS, Rows
from training.data.splits import Fold, Split
from training.evaluation.leak_findings import Evidence, Suspect
from training.leaks import LeakFound, search_for_leaks

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
SEEDS = st.integers(0, 2**32 - 1)


def found(name: str, values: Sequence[Scalar], *, attribute: bool = True, won: np.ndarray = WON) -> list[Suspect]:
    """Suspects among one column and one of noise."""
    category = any(isinstance(value, str) for value in values)
    counts = {value: list(values).count(value) for value in set(values) if isinstance(value, str)}
    levels = tuple(sorted(level for level, count in counts.items() if count >= MIN_LEVEL_ROWS))
    columns = {name: list(values), "noise": NOISE.tolist()}
    features = [EncodedFeature("noise", "number")]
    if levels or not category:
        features.append(EncodedFeature(name, "category" if category else "number", levels))
    encoding = Encoding(tuple(features))
    rows = Rows(
        matrix=encoding.encode(columns, COUNT), won=won, weight=np.ones(COUNT), at_creation=np.ones(COUNT, dtype=bool)
    )
    declared = [name] if attribute else []
    return list(search_for_leaks(rows, encoding, DIVISION, declared, pa.table(columns)).suspects)


def named(values: Sequence[Scalar], attribute: bool = True, won: np.ndarray = WON) -> Suspect:
    (suspect,) = found("copy", values, attribute=attribute, won=won)
    assert suspect.name == "copy"
    return suspect


def among(columns: dict[str, np.ndarray], declared: Sequence[str], won: np.ndarray = WON) -> list[Suspect]:
    """Suspects among columns of numbers."""
    encoding = Encoding(tuple(EncodedFeature(name, "number") for name in columns))
    matrix = np.column_stack(list(columns.values()))
    rows = Rows(matrix=matrix, won=won, weight=np.ones(COUNT), at_creation=np.ones(COUNT, dtype=bool))
    return list(search_for_leaks(rows, encoding, DIVISION, declared, pa.table(columns)).suspects)


def hints(count: int, strength: float) -> dict[str, np.ndarray]:
    """Columns that each say a little of the outcome, and one that knows it honestly a little."""
    rng = np.random.default_rng(5)
    told = {f"hint {n}": strength * WON + rng.normal(size=COUNT) for n in range(count)}
    return {"size": 0.6 * WON + rng.normal(size=COUNT), **told}


def test_attributes_that_decide_together_block_by_name_though_none_does_alone() -> None:
    columns = hints(4, 1.1)
    suspects = among(columns, [*columns])
    blocking = {suspect.name for suspect in suspects if suspect.decisive}
    assert blocking == {f"hint {n}" for n in range(4)}
    assert all("together with" in suspect.grounds for suspect in suspects if suspect.decisive)
    assert all(suspect.auc is None or suspect.auc < 0.9 for suspect in suspects), "none of them alone"


def test_attributes_that_leave_half_to_learn_together_block_nothing() -> None:
    columns = hints(4, 0.5)
    assert not any(suspect.decisive for suspect in among(columns, [*columns]))


def test_features_that_are_no_attributes_block_nothing_together() -> None:
    assert not any(suspect.decisive for suspect in among(hints(4, 1.1), []))


def blank_where(blank: np.ndarray) -> list[Scalar]:
    return [None if b else float(v) for b, v in zip(blank, NOISE[::-1], strict=True)]


def test_an_attribute_that_copies_the_outcome_is_decisive() -> None:
    suspect = named((WON * 10 + NOISE / 10).tolist())
    assert suspect.decisive
    assert suspect.auc is not None
    assert suspect.auc > 0.99
    assert "AUC" in suspect.evidence


def test_a_category_that_copies_the_outcome_is_decisive_though_it_has_many_levels() -> None:
    values = [f"{'closed' if won else 'open'} {n % 5}" for n, won in enumerate(WON)]
    assert named(values).decisive


def test_levels_too_rare_for_a_model_to_read_are_judged_too() -> None:
    values = [f"{'closed' if won else 'open'} {n % 60}" for n, won in enumerate(WON)]
    suspect = named(values)
    assert suspect.auc is not None
    assert suspect.auc > 0.75
    assert "'closed'" in suspect.evidence


def test_a_feature_of_the_catalogue_is_suspected_but_never_blocks() -> None:
    suspect = named(WON.tolist(), attribute=False)
    assert not suspect.decisive


def test_a_strong_but_honest_signal_is_ranked_and_does_not_block() -> None:
    suspect = named((1.4 * WON + NOISE).tolist())
    assert not suspect.decisive
    assert suspect.auc is not None
    assert 0.75 < suspect.auc < 0.9


@given(SEEDS, st.integers(2, 400), st.floats(0, 0.9))
@settings(max_examples=60, deadline=None)
def test_noise_never_blocks(seed: int, levels: int, blank: float) -> None:
    """However many levels or blanks it has, noise never blocks."""
    rng = np.random.default_rng(seed)
    values = rng.integers(levels, size=COUNT)
    empty = rng.random(COUNT) < blank
    as_text: list[Scalar] = [None if e else f"level {v}" for e, v in zip(empty, values, strict=True)]
    as_number: list[Scalar] = [None if e else float(v) for e, v in zip(empty, values, strict=True)]
    assert not any(suspect.decisive for column in (as_text, as_number) for suspect in found("noise too", column))


@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_blank_with_one_outcome_only_is_decisive(outcome: float) -> None:
    """Half of one outcome's leads are blank: far from an AUC of .9, and yet no chance."""
    suspect = named(blank_where((outcome == WON) & (np.arange(COUNT) % 2 == 0)))
    assert suspect.decisive
    assert suspect.auc is not None
    assert suspect.auc < 0.9
    assert suspect.evidence.startswith(f"is blank only where the lead was {'won' if outcome else 'lost'}")


def test_filled_in_for_some_of_the_wins_only_is_decisive() -> None:
    """Most wins are blank too, so that blanks come with both outcomes."""
    suspect = named(blank_where(~((WON == 1) & (np.arange(COUNT) % 5 < 2))))
    assert suspect.decisive
    assert suspect.auc is not None
    assert suspect.auc < 0.75
    assert suspect.evidence.startswith("is filled in only where the lead was won")


def test_filled_in_for_few_of_the_wins_is_ranked_at_most() -> None:
    wins = np.flatnonzero(WON == 1)
    assert not any(suspect.decisive for suspect in found("gift", blank_where(~np.isin(np.arange(COUNT), wins[:9]))))


def test_any_number_but_zero_with_one_outcome_only_is_decisive() -> None:
    """Constant within an outcome: all the lost have 0."""
    paid = np.where((WON == 1) & (np.arange(COUNT) % 2 == 0), 100 + 10 * NOISE, 0)
    suspect = named(paid.tolist())
    assert suspect.decisive
    assert "anything but 0 only where the lead was won" in suspect.evidence


def test_values_that_only_the_won_have_are_decisive_together() -> None:
    """Each of three levels holds a quarter of the wins; the rest say nothing."""
    values = [f"sent by {n % 3}" if won and n % 4 else f"step {n % 6}" for n, won in enumerate(WON)]
    suspect = named(values)
    assert suspect.decisive
    assert "only won leads have" in suspect.evidence


def test_blank_much_more_often_with_one_outcome_is_ranked() -> None:
    often = np.random.default_rng(1).random(COUNT) < np.where(WON == 1, 0.15, 0.55)
    suspect = named(blank_where(often))
    assert not suspect.decisive
    assert [each.kind for each in suspect.findings] == ["missing"]
    assert "is blank for" in suspect.evidence


def test_a_value_that_nearly_always_comes_with_a_win_is_ranked() -> None:
    sent = np.random.default_rng(2).random(COUNT) < np.where(WON == 1, 0.5, 0.005)
    suspect = named(["sent" if s else f"step {n % 4}" for n, s in enumerate(sent)])
    assert not suspect.decisive
    assert "'sent' (won were" in suspect.evidence


def test_blank_exactly_where_lost_is_decisive_however_few_the_wins() -> None:
    won = np.zeros(COUNT)
    won[::40] = 1
    suspect = found("contract", [float(n) if w else None for n, w in enumerate(won)], won=won)[0]
    assert suspect.decisive


def test_an_identifier_filled_in_at_the_win_is_decisive_though_no_model_can_read_it() -> None:
    suspect = named([f"contract {n}" if won else None for n, won in enumerate(WON)])
    assert suspect.decisive


def test_rare_levels_are_not_blank() -> None:
    """Where the lead was lost every level is rare, so that the model reads nothing; yet all of it is filled in."""
    (suspect,) = found("page", ["home" if won else f"page {n}" for n, won in enumerate(WON)])
    assert "blank" not in suspect.evidence


def test_few_blanks_of_one_outcome_are_chance() -> None:
    lost = np.flatnonzero(WON == 0)[:5]
    assert found("page", blank_where(np.isin(np.arange(COUNT), lost))) == []


def test_an_outcome_that_is_always_the_same_has_no_suspects() -> None:
    assert found("page", blank_where(NOISE > 0), won=np.zeros(COUNT)) == []


def test_a_column_that_is_blank_throughout_is_no_suspect() -> None:
    assert found("page", [None] * COUNT) == []


def test_the_test_window_is_not_looked_at() -> None:
    spoilt = WON.copy()
    spoilt[DIVISION.test] = 1 - spoilt[DIVISION.test]
    values = (1.4 * WON + NOISE).tolist()
    assert found("copy", values) == found("copy", values, won=spoilt)


@given(SEEDS, st.permutations(range(6)))
@settings(max_examples=15, deadline=None)
def test_what_levels_are_called_changes_neither_the_verdict_nor_the_figures(seed: int, names: list[int]) -> None:
    rng = np.random.default_rng(seed)
    level = np.where(rng.random(COUNT) < 0.7, 3 * WON, 0).astype(int) + rng.integers(3, size=COUNT)
    plain, renamed = (found("step", [f"{names[v]}" if names else f"{v}" for v in level]) for names in ([], names))
    assert [(s.decisive, s.auc) for s in plain] == [(s.decisive, s.auc) for s in renamed]


def test_the_worst_come_first_and_the_message_names_them_and_the_mend() -> None:
    copy, weak = (
        named(WON.tolist()),
        Suspect(name="weak", auc=0.8, decisive=False, evidence="alone ranks out-of-time outcomes with AUC 0.800"),
    )
    error = LeakFound([copy])
    assert error.suspects == (copy,)
    for words in ("'copy'", "known: later", "--allow-leak NAME"):
        assert words in str(error)
    told = {"name": "weak", "auc": 0.8, "decisive": False, "evidence": weak.evidence, "findings": []}
    assert weak.to_dict() == told


def test_evidence_has_a_strength_from_none_to_certain() -> None:
    with pytest.raises(ValueError, match=r"strength of evidence must be 0 to 1, not 1\.5"):
        Evidence(kind="skill", words="", strength=1.5)
