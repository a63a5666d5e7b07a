"""Landmark snapshots: mature labels, at creation and weekly while open."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.engines.duckdb import DuckDBEngine
from features.folder import FolderWriter
from features.provenance import Provenance
from features.records import KINDS
from features.value_types import DAY, Scalar
from training.data.snapshots import MAX_SNAPSHOTS, NothingToLearn, Snapshots, label_snapshots

CUT = 20_000 * DAY
HORIZON = 90
Row = dict[str, Scalar]


def lead(lead_id: str, created: int | None, **columns: Scalar) -> Row:
    empty: Row = {column.name: None for column in KINDS["leads"].columns}
    times = {"created_at": created, "occurred_at": created, "recorded_at": created, "deleted": False}
    return {**empty, **times, "lead_id": lead_id, **columns}


def event(lead_id: str, name: str, occurred: int | None, **columns: Scalar) -> Row:
    empty: Row = {column.name: None for column in KINDS["lead_events"].columns}
    times = {"occurred_at": occurred, "recorded_at": occurred, "deleted": False}
    return {**empty, **times, "lead_event_id": f"{lead_id}-{name}", "lead_id": lead_id, "event": name, **columns}


TOUCH: Row = {
    "touchpoint_id": "T",
    "lead_id": "L",
    "occurred_at": CUT - 300 * DAY,
    "recorded_at": CUT - 300 * DAY,
    "deleted": False,
    "channel": "webinar",
}


def labelled(
    folder: Path, leads: Iterable[Row], events: Iterable[Row] = (), facts: Sequence[Row] = (), cut: int | None = CUT
) -> Snapshots:
    with FolderWriter(folder, Provenance(cut)) as writer:
        writer.write(KINDS["leads"], leads)
        writer.write(KINDS["lead_events"], events)
        writer.write(KINDS["touchpoints"], facts)
    with DuckDBEngine(folder, HORIZON) as engine:
        return label_snapshots(engine, HORIZON)


def days(found: Snapshots) -> list[float]:
    """Days from creation to each snapshot."""
    return ((found.as_of - found.created) / DAY).tolist()


def test_an_open_lead_is_seen_at_creation_and_weekly_until_its_horizon_leaves_the_data(tmp_path: Path) -> None:
    found = labelled(tmp_path, [lead("L", CUT - 106 * DAY)], facts=[TOUCH])
    assert days(found) == [0, 7, 14]
    assert found.at_creation.tolist() == [True, False, False]
    assert not found.won.any()
    assert found.horizon_days == HORIZON
    assert found.cut == CUT


def test_a_lead_is_seen_so_many_times_at_most(tmp_path: Path) -> None:
    found = labelled(tmp_path, [lead("L", CUT - 700 * DAY)], facts=[TOUCH])
    assert days(found) == [7.0 * week for week in range(MAX_SNAPSHOTS)]


def test_without_facts_beside_the_lead_only_creation_can_tell_anything(tmp_path: Path) -> None:
    assert days(labelled(tmp_path, [lead("L", CUT - 700 * DAY)])) == [0]


def test_a_lead_is_no_longer_seen_once_its_close_was_recorded(tmp_path: Path) -> None:
    created = CUT - 300 * DAY
    late = event("B", "lost", created + 10 * DAY, recorded_at=created + 20 * DAY)
    found = labelled(
        tmp_path, [lead(i, created) for i in "AB"], [event("A", "won", created + 14 * DAY), late], facts=[TOUCH]
    )
    seen = {lead_id: [d for i, d in zip(found.lead_id, days(found), strict=True) if i == lead_id] for lead_id in "AB"}
    assert seen == {"A": [0, 7], "B": [0, 7, 14]}
    assert found.won.tolist() == [True, True, False, False, False]


@pytest.mark.parametrize(("closed", "won"), [(0, True), (HORIZON, True), (HORIZON + 1, False)])
def test_a_win_counts_within_the_horizon_alone(tmp_path: Path, closed: int, won: bool) -> None:
    created = CUT - 300 * DAY
    found = labelled(tmp_path, [lead("L", created)], [event("L", "won", created + closed * DAY)])
    assert found.won.tolist() == [won]


def test_a_lead_lost_reopened_and_won_was_won(tmp_path: Path) -> None:
    created = CUT - 300 * DAY
    events = [event("L", name, created + n * DAY) for name, n in (("lost", 5), ("reopened", 10), ("won", 50))]
    assert labelled(tmp_path, [lead("L", created)], events).won.tolist() == [True]


def test_a_corrected_event_is_taken_at_its_last_word(tmp_path: Path) -> None:
    created = CUT - 300 * DAY
    won, withdrawn = event("L", "won", created + DAY), event("L", "won", created + DAY, deleted=True)
    assert labelled(tmp_path, [lead("L", created)], [won, withdrawn]).won.tolist() == [False]


def test_a_lead_recorded_after_its_creation_is_first_seen_when_it_was_recorded(tmp_path: Path) -> None:
    created = CUT - 300 * DAY
    found = labelled(tmp_path, [lead("L", created, recorded_at=created + 30 * DAY)])
    assert found.as_of.tolist() == [created + 30 * DAY]
    assert found.at_creation.tolist() == [True]


def test_without_a_stated_cut_the_latest_record_is_the_cut(tmp_path: Path) -> None:
    created = CUT - 300 * DAY
    assert labelled(tmp_path, [lead("A", created), lead("B", created + 95 * DAY)], cut=None).lead_id.tolist() == ["A"]


def test_accounts_are_the_clusters_where_no_group_is_and_else_the_lead_itself(tmp_path: Path) -> None:
    created = CUT - 300 * DAY
    leads = [
        lead("A", created, account_id="acme", group="g"),
        lead("B", created, account_id="acme"),
        lead("C", created),
    ]
    assert labelled(tmp_path, leads).cluster.tolist() == ["g", "acme", "C"]


def test_without_closing_times_the_target_is_ever_won_of_leads_with_an_outcome(tmp_path: Path) -> None:
    leads = [lead(i, CUT - n * DAY) for n, i in enumerate("ABC")]
    found = labelled(tmp_path, leads, [event("A", "won", None), event("B", "lost", None)], facts=[TOUCH])
    assert (found.lead_id.tolist(), found.won.tolist()) == (["A", "B"], [True, False])
    assert found.horizon_days is None
    assert found.dated
    assert found.order is None
    assert found.weight.tolist() == [1, 1]


def test_leads_without_times_keep_their_order_and_are_seen_at_the_cut(tmp_path: Path) -> None:
    leads = [lead(i, None, order=n) for n, i in enumerate("ABC")]
    found = labelled(tmp_path, leads, [event("C", "won", None), event("B", "lost", None)])
    assert not found.dated
    assert found.order is not None
    assert dict(zip(found.lead_id.tolist(), found.order.tolist(), strict=True)) == {"B": 1, "C": 2}
    assert set(found.as_of.tolist()) == {CUT}


def test_the_usual_amount_is_the_mean_of_wins_in_their_commonest_currency(tmp_path: Path) -> None:
    created = CUT - 300 * DAY
    amounts = [("A", 100, "EUR"), ("B", 200, "EUR"), ("C", 9_000_000, "USD")]
    events = [event(i, "won", created + DAY, amount_minor=m, amount_currency=c) for i, m, c in amounts]
    found = labelled(tmp_path, [lead(i, created) for i in "ABC"], events)
    assert found.expected_amount == (150, "EUR")


@pytest.mark.parametrize(
    ("leads", "events", "says"),
    [
        ([], [], "there are no leads; run `eql import` first"),
        ([lead("L", CUT - 89 * DAY)], [], "no lead is old enough: a label needs 90 days"),
        ([lead("L", None)], [], "no lead has an outcome"),
    ],
)
def test_nothing_to_learn_from_is_said_with_the_mend(
    tmp_path: Path, leads: list[Row], events: list[Row], says: str
) -> None:
    with pytest.raises(NothingToLearn, match=says):
        labelled(tmp_path, leads, events)


histories = st.lists(
    st.tuples(
        st.integers(0, 400).map(lambda d: CUT - d * DAY),
        st.none() | st.tuples(st.sampled_from(["won", "lost"]), st.integers(0, 200), st.integers(0, 30)),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=25, deadline=None)
@given(histories)
def test_every_label_is_complete_and_true(tmp_path_factory: pytest.TempPathFactory, found: list[Any]) -> None:
    leads, closes = [], {}
    for number, (created, close) in enumerate(found):
        leads.append(lead(f"L{number}", created))
        if close is not None:
            name, after, noticed = close
            closes[f"L{number}"] = (name, created + after * DAY, created + (after + noticed) * DAY)
    # Nothing after the cut can be in the data.
    closes = {i: close for i, close in closes.items() if close[2] <= CUT}
    events = [event(i, name, at, recorded_at=known) for i, (name, at, known) in closes.items()]
    mature = {row["lead_id"]: row["created_at"] for row in leads if row["created_at"] + HORIZON * DAY <= CUT}
    folder = tmp_path_factory.mktemp("world")
    if not mature:
        with pytest.raises(NothingToLearn):
            labelled(folder, leads, events, [TOUCH])
        return
    snapshots = labelled(folder, leads, events, [TOUCH])
    assert set(snapshots.lead_id[snapshots.at_creation].tolist()) == set(mature)
    assert (snapshots.as_of + HORIZON * DAY <= CUT).all()
    weeks = (snapshots.as_of - snapshots.created) // (7 * DAY)
    assert snapshots.weight.tolist() == pytest.approx((1 / (1 + weeks)).tolist())
    for lead_id, as_of, created, won in zip(
        snapshots.lead_id.tolist(), snapshots.as_of.tolist(), snapshots.created.tolist(), snapshots.won, strict=True
    ):
        name, at, known = closes.get(lead_id, ("open", CUT, CUT + 1))
        assert as_of == created or as_of < known
        assert won == (name == "won" and at <= as_of + HORIZON * DAY)
    assert len(np.unique(np.char.add(snapshots.lead_id, snapshots.as_of.astype(str)))) == len(snapshots)
