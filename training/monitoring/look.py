"""`monitor`: from a folder of records and the champion to a report."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from features.catalogue.catalogue import Catalogue
from features.engines.duckdb import DuckDBEngine
from features.values import DAY, parse_instant
from models.bundle import Bundle
from training.calibrating import ROWS_FOR_SLOPE
from training.monitoring import outcomes
from training.monitoring.apart import apart
from training.monitoring.leads import Flags, Leads, Periods, observe, periods
from training.monitoring.report import Report
from training.monitoring.shift import FEWEST, HABIT, Shift, shift

DAYS = 90
"""How far back leads are recent."""
_MOST_WINDOWS = 12


def monitor(
    folder: Path, bundle: Bundle, catalogue: Catalogue, as_of: int | None = None, *, days: int = DAYS, seed: int = 0
) -> Report:
    """Look at the champion over a folder of records.

    Args:
        folder: the records, those the champion learned from among them.
        bundle: the champion.
        catalogue: the base catalogue.
        as_of: what was known then, microseconds; by default at the cut of the records.
        days: leads created in the last so many days are recent.
        seed: of the classifier and the bootstraps.

    Raises:
        NothingToMonitor: no dated lead, or none of the champion's, is in the records.
        UntrustedBundle: the champion reads features that this software no longer has.
        FolderError, UnreadableRecords: the folder cannot be read.
    """
    with DuckDBEngine(folder, bundle.horizon_days or DAYS) as engine:
        known = engine.provenance.cut
        moment = as_of if as_of is not None else known
        if moment is None:
            raise ValueError(f"{folder} does not say when it was cut; give the moment with --as-of")
        return look(observe(engine, bundle, catalogue, moment), bundle, moment, days=days, seed=seed)


def look(leads: Leads, bundle: Bundle, as_of: int, *, days: int = DAYS, seed: int = 0) -> Report:
    """The report on leads that were observed as of a moment.

    Raises:
        NothingToMonitor: as `monitor`.
    """
    when = periods(leads, bundle, as_of, days)
    counts = {name: int(flags.sum()) for name, flags in when.__dict__.items()}
    inputs = min(counts["training"], counts["recent"]) >= FEWEST
    judged = counts["judged"] >= FEWEST
    shifts = _shifts(leads, bundle, when, days) if inputs else []
    steady = {one.name for one in shifts if one.usual <= HABIT}
    rivals = when.judged & ~when.recent
    told = partial(apart, leads, bundle.encoding, steady, when.training, seed=seed)
    return Report(
        as_of=as_of,
        cut=parse_instant(bundle.facts["cut"]),
        days=days,
        leads=counts,
        notes=tuple(_notes(counts, bundle)),
        shifts=tuple(sorted(shifts, key=lambda one: (one.p, one.name))),
        apart=told(when.recent) if inputs else None,
        usual=told(rivals) if inputs and rivals.sum() >= FEWEST else None,
        expected=outcomes.expected(leads, when, bundle, seed) if inputs and judged else None,
        early=tuple(outcomes.early(leads, when, bundle, as_of, days, seed)),
        matured=outcomes.matured(leads, when, bundle, seed),
        slope=outcomes.slope(leads, when, bundle, seed),
        segments=tuple(outcomes.by_segment(leads, when, bundle, seed)),
        months=tuple(outcomes.by_month(leads, when, bundle, seed)),
    )


def _shifts(leads: Leads, bundle: Bundle, when: Periods, days: int) -> list[Shift]:
    windows = earlier_windows(leads, when, days)
    reach = _reach(leads, when, windows)
    return [
        shift(
            leads.matrix[:, column], feature, bundle.reference[feature.name], when.training, when.recent, windows, reach
        )
        for column, feature in enumerate(bundle.encoding.features)
    ]


def earlier_windows(leads: Leads, when: Periods, days: int) -> Sequence[Flags]:
    """Windows among the leads the champion learned from and was judged by, latest first, none of them recent.

    Each is of `days`, or a quarter of the time there is, and leaves enough leads on either side; 12 at most.
    """
    before = (when.training | when.judged) & ~when.recent
    end, first = int(leads.created[before].max()), int(leads.created[before].min())
    length = min(days * DAY, (end - first) // 4 + 1)
    found = []
    for last in range(end, first + length - 1, -length)[:_MOST_WINDOWS]:
        window = before & (leads.created > last - length) & (leads.created <= last)
        if min(window.sum(), (when.training & ~window).sum()) >= FEWEST:
            found.append(window)
    return found


def _reach(leads: Leads, when: Periods, windows: Sequence[Flags]) -> float:
    """How much farther from training the recent leads are than the windows, in squared time; at least 1."""

    def squared(window: Flags, rest: Flags) -> float:
        return float((leads.created[window].mean() - leads.created[rest].mean()) ** 2)

    near = [squared(window, when.training & ~window) for window in windows]
    return max(1.0, squared(when.recent, when.training) / max(float(np.mean(near)), 1.0)) if near else 1.0


def _notes(counts: dict[str, int], bundle: Bundle) -> list[str]:
    found = []
    for name in ("training", "recent"):
        if counts[name] < FEWEST:
            found.append(f"drift of what goes in was not looked for: {counts[name]} {name} leads, {FEWEST} are needed")
    if not counts["since"]:
        found.append(f"no lead matured since the champion was made: a label needs {bundle.horizon_days} days")
    elif counts["since"] < ROWS_FOR_SLOPE:
        needed = f"{ROWS_FOR_SLOPE:,} are needed"
        found.append(f"no calibration slope: {counts['since']:,} leads matured since the champion was made, {needed}")
    return found
