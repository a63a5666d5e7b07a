"""Small fitted models of every rung over the whole catalogue, each in a bundle."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from features.catalogue import CATALOGUE
from features.catalogue.entry import Entry
from features.value_types import Scalar
from models.bundle import Bundle
from models.encoding import EncodedFeature, Encoding
from models.probability import Blend, MarginModel, Rung
from training.data.rows import Rows
from training.fitting.calibration import NO_LEADS, ScoredLeads, calibrate
from training.fitting.ladder import TreeSettings, fit_base_rate, fit_logistic, fit_segment_rates, fit_trees
from training.fitting.trainer import cut_offs

# A loaded machine is no fault of the code.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

LEVELS: Mapping[str, tuple[str, ...]] = {
    "industry": ("software", "fintech", "logistics"),
    "country": ("DE", "US", "FR"),
    "own_channel": ("demo_request", "paid_search"),
    "partner_channel": ("partner_referral", "webinar"),
    "region": ("EMEA", "AMER"),
    "product_line": ("core", "plus"),
    "programme_tier": ("gold", "silver"),
    "source_partner_tier": ("gold", "silver"),
    "source_partner_kind": ("agency", "implementation"),
}
LEADS = 500


def _column(entry: Entry, rng: np.random.Generator) -> list[Scalar]:
    if entry.kind == "category":
        return [None if rng.random() < 0.2 else str(rng.choice(LEVELS[entry.name])) for _ in range(LEADS)]
    values = np.round(rng.gamma(1.0, 3.0, LEADS), 2) * (rng.random(LEADS) < 0.7)
    blank = rng.random(LEADS) < (0.3 if entry.missing == "unknown" else 0.0)
    return [None if missing else float(value) for value, missing in zip(values, blank, strict=True)]


@pytest.fixture(scope="session")
def columns() -> Mapping[str, list[Scalar]]:
    """Made-up features of some leads by name, some missing."""
    rng = np.random.default_rng(7)
    return {entry.name: _column(entry, rng) for entry in CATALOGUE}


@pytest.fixture(scope="session")
def encoding() -> Encoding:
    return Encoding(tuple(EncodedFeature(entry.name, entry.kind, LEVELS.get(entry.name, ())) for entry in CATALOGUE))


@pytest.fixture(scope="session")
def directions() -> tuple[int, ...]:
    return tuple(entry.direction for entry in CATALOGUE)


@pytest.fixture(scope="session")
def rows(columns: Mapping[str, list[Scalar]], encoding: Encoding) -> Rows:
    """Outcomes that go with some features and against the direction of others, so that constraints must bind."""
    matrix = encoding.encode(columns, LEADS)
    rng = np.random.default_rng(8)
    effect = rng.normal(0, 0.15, matrix.shape[1])
    log_odds = np.nan_to_num(matrix - np.nanmean(matrix, axis=0)) @ effect - 1.0
    won = (rng.random(LEADS) < 1 / (1 + np.exp(-log_odds))).astype(np.float64)
    return Rows(matrix=matrix, won=won, weight=np.ones(LEADS), at_creation=np.ones(LEADS, dtype=bool))


@pytest.fixture(scope="session")
def fitted(rows: Rows, encoding: Encoding, directions: tuple[int, ...]) -> Mapping[Rung, MarginModel]:
    settings = TreeSettings(trees=40, learning_rate=0.2, fewest_rows_in_leaf=5)
    members: dict[Rung, MarginModel] = {
        "logistic": fit_logistic(rows, encoding, directions, 1.0),
        "additive": fit_trees(rows, encoding, directions, settings.stumps(), 0),
        "lightgbm": fit_trees(rows, encoding, directions, settings, 0),
    }
    return {
        "base_rate": fit_base_rate(rows),
        "segment_rates": fit_segment_rates(rows, encoding.names.index("industry"), len(LEVELS["industry"])),
        **members,
        "blend": Blend(tuple(members.values()), (0.5, 0.2, 0.3)),
    }


def _bundle(model: MarginModel, rows: Rows, encoding: Encoding, columns: Mapping[str, list[Scalar]]) -> Bundle:
    margins = model.contributions(rows.matrix).sum(axis=1)
    clusters = np.array([f"A{i // 2}" for i in range(LEADS)])
    map_ = calibrate(NO_LEADS, ScoredLeads(margins, rows.won, clusters), np.random.default_rng(0))
    described: dict[str, Any] = {
        "name": "test",
        "encoding": encoding,
        "model": model,
        "calibration": replace(map_, slope=0.8),
        "horizon_days": 90,
        "base_rate": float(rows.won.mean()),
        "attributes": (),
        "features_sha256": CATALOGUE.values_sha256(encoding.names),
        "expected_amount": (3_600_000, "USD"),
        "history": {"partner_history": [{"partner_id": "P-1", "leads": 40, "wins": 9}]},
        "training_summary": {"cut": "2026-11-01T00:00:00Z"},
    }
    odds = Bundle(**described, grades=None).contributions(rows.matrix).sum(axis=1)
    golden = tuple(({name: columns[name][i] for name in encoding.names}, float(odds[i])) for i in range(10))
    return Bundle(**described, grades=cut_offs(odds), golden=golden)


@pytest.fixture(scope="session")
def bundles(
    fitted: Mapping[Rung, MarginModel], rows: Rows, encoding: Encoding, columns: Mapping[str, list[Scalar]]
) -> Mapping[Rung, Bundle]:
    """A bundle of every rung."""
    return {rung: _bundle(model, rows, encoding, columns) for rung, model in fitted.items()}
