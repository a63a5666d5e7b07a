"""The explanation of one lead: our contributions against shap.TreeExplainer, on the same trees and rows."""

import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import lightgbm
import numpy as np
import shap

from models.encoding import EncodedFeature, Encoding
from training.data.rows import Rows
from training.fitting.ladder import TreeSettings, fit_trees

ROWS, FEATURES, REPEATS = 20_000, 40, 200


def explain_single() -> dict[str, Any]:
    """Median milliseconds for the explanation of one row of 40 features by 300 trees."""
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(ROWS, FEATURES))
    won = (rng.random(ROWS) < 1 / (1 + np.exp(2 - matrix[:, 0] - matrix[:, 1] * matrix[:, 2]))).astype(float)
    encoding = Encoding(tuple(EncodedFeature(f"f{j}", "number") for j in range(FEATURES)))
    rows = Rows(matrix=matrix, won=won, weight=np.ones(ROWS), at_creation=np.ones(ROWS, dtype=bool))
    model = fit_trees(rows, encoding, [0] * FEATURES, TreeSettings(), seed=0)
    explainer = shap.TreeExplainer(lightgbm.Booster(model_str=model.text))
    ours = _median_ms(lambda row: model.contributions(row), matrix)
    theirs = _median_ms(lambda row: explainer.shap_values(row), matrix)
    return {
        "benchmark": "explain-single",
        "ours": ours,
        "peer": "shap.TreeExplainer",
        "theirs": theirs,
        "ratio": theirs / ours,
        "unit": "ms",
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _median_ms(explain: Callable[[Any], Any], matrix: Any) -> float:
    times = []
    for row in range(REPEATS):
        single_row = matrix[row : row + 1]
        start = time.perf_counter()
        explain(single_row)
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times[10:])
