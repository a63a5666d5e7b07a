"""Monitoring: from a folder of records and the champion to a report."""

from functools import partial
from pathlib import Path

from features.catalogue.catalogue import Catalogue
from features.engines.duckdb import DuckDBEngine
from features.value_types import parse_instant
from models.bundle import Bundle
from training.fitting.calibration import MIN_ROWS_FOR_SLOPE
from training.hazard import Hazard
from training.monitoring import outcomes
from training.monitoring.domain_classifier import domain_separation
from training.monitoring.feature_drift import FeatureDrift, feature_drift
from training.monitoring.leads import ObservedLeads, observe, periods
from training.monitoring.report import MonitoringReport
from training.monitoring.windows import MIN_LEADS, ComparedWindows, compare_windows

DAYS = 90
"""Leads created in this many last days are recent, by default."""


def monitor(
    folder: Path,
    bundle: Bundle,
    catalogue: Catalogue,
    as_of: int | None = None,
    *,
    days: int = DAYS,
    seed: int = 0,
    hazard: Hazard | None = None,
) -> MonitoringReport:
    """Monitor the champion over a folder of records.

    Args:
        folder: the records, with the champion's training leads among them.
        bundle: the champion.
        catalogue: the base catalogue.
        as_of: the moment by which facts must be known, microseconds; by default the cut of the records.
        days: leads created in the last `days` days are recent.
        seed: random seed of the classifier and the bootstraps.
        hazard: the champion's hazard model, which predicts early wins; without it the champion's probability does.

    Raises:
        NothingToMonitor: no dated lead, or none of the champion's, is in the records.
        UntrustedBundle: the champion reads features that this software no longer has.
        FolderError, UnreadableRecords: the folder cannot be read.
    """
    with DuckDBEngine(folder, bundle.horizon_days or DAYS) as engine:
        known = engine.provenance.cut
        moment = as_of if as_of is not None else known
        if moment is None:
            raise ValueError(f"{folder} has no data cut; give the moment with --as-of")
        leads = observe(engine, bundle, catalogue, moment)
        return monitor_leads(leads, bundle, moment, days=days, seed=seed, hazard=hazard)


def monitor_leads(
    leads: ObservedLeads, bundle: Bundle, as_of: int, *, days: int = DAYS, seed: int = 0, hazard: Hazard | None = None
) -> MonitoringReport:
    """The report on leads observed as of a moment.

    Raises:
        NothingToMonitor: as `monitor`.
    """
    when = periods(leads, bundle, as_of, days)
    compared = compare_windows(leads.created, parse_instant(bundle.training_summary["cut"]), as_of, days)
    counts = {name: int(flags.sum()) for name, flags in when.__dict__.items()} | {
        "before": int(compared.recent.before.sum())
    }
    inputs, judged = compared.recent.smaller >= MIN_LEADS, counts["judged"] > 0
    drifts = _drifts(leads, bundle, compared) if inputs else []
    steady = {one.name for one in drifts if not one.dates}
    separation = partial(domain_separation, leads, bundle.encoding, steady, seed=seed)
    return MonitoringReport(
        as_of=as_of,
        cut=parse_instant(bundle.training_summary["cut"]),
        days=days,
        leads=counts,
        notes=tuple(_notes(counts, bundle)),
        drifts=tuple(sorted(drifts, key=lambda one: (one.p, one.name))),
        domain=separation(compared.recent) if inputs else None,
        past_domains=tuple(separation(pair) for pair in compared.past) if inputs else (),
        expected=outcomes.expected_loss(leads, when, compared, bundle, seed) if inputs and judged else None,
        early=tuple(outcomes.early(leads, when, bundle, as_of, days, seed, hazard)),
        matured=outcomes.matured(leads, when, bundle, seed),
        slope=outcomes.slope(leads, when, bundle, seed),
        segments=tuple(outcomes.by_segment(leads, when, bundle, seed)),
        months=tuple(outcomes.by_month(leads, when, bundle, seed)),
    )


def _drifts(leads: ObservedLeads, bundle: Bundle, compared: ComparedWindows) -> list[FeatureDrift]:
    return [
        feature_drift(leads.matrix[:, column], feature, bundle.reference[feature.name], compared)
        for column, feature in enumerate(bundle.encoding.features)
    ]


def _notes(counts: dict[str, int], bundle: Bundle) -> list[str]:
    notes = []
    for name in ("before", "recent"):
        if counts[name] < MIN_LEADS:
            notes.append(
                f"drift of what goes in was not looked for: {counts[name]} {name} leads, {MIN_LEADS} are needed"
            )
    if not counts["since"]:
        notes.append(f"no lead matured since the champion was made: a label needs {bundle.horizon_days} days")
    elif counts["since"] < MIN_ROWS_FOR_SLOPE:
        needed = f"{MIN_ROWS_FOR_SLOPE:,} are needed"
        notes.append(f"no calibration slope: {counts['since']:,} leads matured since the champion was made, {needed}")
    return notes
