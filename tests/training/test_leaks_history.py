"""Leaks that only show beside a lead's history: towards the close, in the order of numbers, over time, in late wins."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from features.engines.duckdb import DuckDBEngine
from features.folder import FolderWriter
from features.provenance import Attribute, Provenance
from features.records import KINDS, Lead, LeadEvent, Stored
from features.value_types import DAY, Scalar
from models.encoding import EncodedFeature, Encoding
from training.data.attribute_fill import AttributeFill, attribute_fills
from training.data.rows import Rows
from training.data.snapshots import NEVER, WEEK, Snapshots
from training.data.splits import split
from training.leaks import LeadHistory, LeakSearch, filled_at_close, search_for_leaks

LEADS, HORIZON = 600, 90
RNG = np.random.default_rng(7)
WEEKS = RNG.integers(1, 9, size=LEADS)
"""Snapshots of each lead: it closes in the week after the last."""
WON = RNG.random(LEADS) < 0.4
NOISE = RNG.normal(size=LEADS)
LEAD = np.repeat(np.arange(LEADS), WEEKS)
WEEK_OF = np.concatenate([np.arange(weeks) for weeks in WEEKS])
LAST = WEEKS[LEAD] - 1 == WEEK_OF


def snapshots(cluster: np.ndarray = LEAD) -> Snapshots:
    """Leads a day apart with weekly snapshots until they close."""
    created = LEAD * DAY
    as_of = created + WEEK_OF * WEEK
    names = np.array([f"L{n:04}" for n in LEAD])
    return Snapshots(
        lead_id=names,
        as_of=as_of,
        created=created,
        at_creation=WEEK_OF == 0,
        cluster=np.array([f"C{n}" for n in cluster]),
        won=WON[LEAD],
        weight=1 / WEEKS[LEAD],
        order=None,
        dated=True,
        horizon_days=HORIZON,
        cut=(LEADS + 26 * 7 + HORIZON) * DAY,
        expected_amount=None,
        segment_amounts={},
        closed_at=np.full(len(names), NEVER),
        known_at=np.full(len(names), NEVER),
        won_ever=np.zeros(len(names), dtype=bool),
    )


SNAPSHOTS = snapshots()
DIVISION = split(SNAPSHOTS)


def examined(
    values: list[Scalar], seen: Snapshots = SNAPSHOTS, *, attribute: bool = True, history: LeadHistory | None = None
) -> LeakSearch:
    """One column, a value for each snapshot, beside one of noise."""
    columns = {"column": values, "noise": NOISE[LEAD].tolist()}
    category = any(isinstance(value, str) for value in values)
    features = [EncodedFeature("noise", "number")] + ([] if category else [EncodedFeature("column", "number")])
    encoding = Encoding(tuple(features))
    rows = Rows(
        matrix=encoding.encode(columns, len(LEAD)),
        won=seen.won.astype(float),
        weight=seen.weight,
        at_creation=seen.at_creation,
    )
    declared = ["column"] if attribute else []
    return search_for_leaks(rows, encoding, DIVISION, declared, pa.table(columns), history or LeadHistory.of(seen))


def test_a_column_that_the_close_fills_in_is_decisive() -> None:
    assert [each.decisive for each in filled_at_close.evidence(AttributeFill("closer", 40, 60, 0, 60))] == [True]
    for honest in (
        AttributeFill("closer", 40, 60, 1, 60),
        AttributeFill("closer", 40, 60, 0, 58),
        AttributeFill("closer", 9, 60, 0, 60),
        AttributeFill("closer", 40, 9, 0, 9),
    ):
        assert filled_at_close.evidence(honest) == []


def test_the_fill_of_an_attribute_is_counted_by_the_state_of_the_leads(tmp_path: Path) -> None:
    leads, events = KINDS["leads"], KINDS["lead_events"]
    attribute = Attribute('who "closed"', "category", "at_creation")
    filled = {attribute.name: "x"}
    rows = [Stored(leads, f"L-{n}", Lead(lead_id=f"L-{n}"), attributes=filled if n < 3 else {}) for n in range(5)]
    closes = [Stored(events, f"E-{n}", LeadEvent(event="won"), f"L-{n}") for n in range(2)]
    with FolderWriter(tmp_path / "records", Provenance(attributes=(attribute,))) as writer:
        writer.write(leads, [each.row() for each in rows])
        writer.write(events, [each.row() for each in closes])
    with DuckDBEngine(tmp_path / "records", 90) as engine:
        assert attribute_fills(engine, [attribute]) == (AttributeFill(attribute.name, 3, 2, 1, 2),)


def test_a_feature_that_tells_only_in_the_last_week_is_ranked() -> None:
    signed = np.where(LAST & WON[LEAD], 1.0, 0.0)
    signed[(WEEK_OF == 0) & (WEEKS[LEAD] == 1)] = 0.0
    (suspect,) = examined(signed.tolist(), attribute=False).suspects
    assert not suspect.decisive
    (evidence,) = [each for each in suspect.findings if each.kind == "close"]
    assert evidence.figures["auc_in_last_week"] > 0.9
    assert evidence.figures["auc_at_creation"] < 0.6
    assert evidence.figures["changed_won"] > 0.9 > 0.1 > evidence.figures["changed_lost"]
    assert "the nearer the close" in suspect.evidence


def test_a_feature_that_tells_as_much_at_creation_as_at_the_close_does_not_rise() -> None:
    steady = np.where(WON, 1.2, 0.0) + NOISE
    found = examined(steady[LEAD].tolist()).suspects
    assert not any(each.kind == "close" for suspect in found for each in suspect.findings)


def test_one_snapshot_a_lead_skips_the_close_and_says_so() -> None:
    first = SNAPSHOTS.at_creation
    alone = replace(LeadHistory.of(SNAPSHOTS), closing=np.zeros(len(first), dtype=bool))
    assert any(
        "towards the close was not looked at" in words for words in examined(first.tolist(), history=alone).skipped
    )


def test_without_a_history_two_searches_are_skipped_and_that_is_said() -> None:
    encoding = Encoding((EncodedFeature("noise", "number"),))
    table = pa.table({"noise": NOISE[LEAD].tolist()})
    matrix = NOISE[LEAD][:, None]
    rows = Rows(
        matrix=matrix, won=SNAPSHOTS.won.astype(float), weight=SNAPSHOTS.weight, at_creation=SNAPSHOTS.at_creation
    )
    assert len(search_for_leaks(rows, encoding, DIVISION, [], table).skipped) == 2


@pytest.mark.parametrize("text", [False, True], ids=["number", "text"])
def test_a_number_given_at_the_close_is_ranked_and_one_given_at_creation_is_not(text: bool) -> None:
    """The won close about three weeks after their creation, the lost six."""
    close = np.argsort(np.argsort(np.arange(LEADS) + np.where(WON, 21, 42) + 15 * NOISE))

    def shown(numbers: np.ndarray) -> list[Scalar]:
        return [f"K-{n:05}" if text else float(n) for n in numbers[LEAD]]

    (suspect,) = examined(shown(1000 + close)).suspects
    assert "order" in {each.kind for each in suspect.findings}
    assert not suspect.decisive
    assert "earlier in it than they were created" in suspect.evidence
    assert examined(shown(1000 + np.arange(LEADS))).suspects == ()


def test_what_tells_training_from_test_leads_drifts_and_is_no_suspect() -> None:
    found = examined((LEAD / LEADS + NOISE[LEAD] / 20).tolist())
    assert [each.name for each in found.drifting] == ["column"]
    assert found.drifting[0].auc > 0.95
    assert "training from test" in found.drifting[0].evidence
    assert found.suspects == ()


def test_what_does_not_change_over_time_does_not_drift() -> None:
    assert examined(RNG.normal(size=LEADS)[LEAD].tolist()).drifting == ()


def test_a_win_after_the_horizon_is_a_win_to_what_is_filled_in_for_wins() -> None:
    """A third of the wins come late: their label is 0, and yet the column is filled in for wins only."""
    late = WON & (np.arange(LEADS) % 3 == 0)
    seen = replace(SNAPSHOTS, won=(WON & ~late)[LEAD])
    filled: list[Scalar] = [float(n) if w and n % 2 else None for n, w in zip(LEAD.tolist(), WON[LEAD], strict=True)]
    known = replace(LeadHistory.of(seen), ever_won=WON[LEAD])
    assert not examined(filled, seen).suspects[0].decisive
    (suspect,) = examined(filled, seen, history=known).suspects
    assert suspect.decisive
    assert "filled in only where the lead was won" in suspect.evidence


def test_leads_that_share_their_fate_count_for_less() -> None:
    """Blank for every lead of two accounts that were lost as a whole: two losses, not sixty."""
    account = np.arange(LEADS) // 30
    fate = (account % 2 == 0)[LEAD]
    blank = np.isin(account, (1, 3))[LEAD]
    values: list[Scalar] = [None if b else float(n) for b, n in zip(blank, NOISE[LEAD], strict=True)]
    together, apart = (replace(snapshots(cluster), won=fate) for cluster in (account[LEAD], LEAD))
    assert [suspect.decisive for suspect in examined(values, apart).suspects] == [True]
    assert examined(values, together).suspects == ()


def test_the_same_search_comes_to_the_same() -> None:
    values = (np.where(WON, 1.2, 0.0) + NOISE)[LEAD].tolist()
    assert examined(values) == examined(values)
