"""The explanation of a probability: what each feature adds, in log-odds and in percentage points.

Both scales are exactly additive. Log-odds are the calibrated contributions: base + contributions = served log-odds.
Percentage points rescale each contribution by one factor, the mean slope of the sigmoid between the base and the served
log-odds (`chord`), so they sum to 100 * (probability - baseline).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from features.catalogue.catalogue import Catalogue
from features.catalogue.entry import FAMILIES, Entry
from features.engines.python import Evaluation
from features.value_types import Scalar
from models.arrays import Reals
from models.encoding import Encoding
from models.probability import sigmoid


class Contribution(NamedTuple):
    """The share of one feature in a probability.

    Attributes:
        feature: the feature's name.
        family: the feature's family.
        value: the feature's value for this lead; None is missing.
        log_odds: added to the baseline's log-odds.
        points: added to the baseline, in percentage points.
        sentence: how sales reads the value.
    """

    feature: str
    family: str
    value: Scalar
    log_odds: float
    points: float
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return self._asdict()

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Contribution":
        """The contribution that `to_dict` wrote."""
        return cls(**content)


@dataclass(frozen=True, slots=True)
class Explanation:
    """A probability split into the contributions of its features.

    Attributes:
        baseline: the probability of a lead without any contribution, 0 to 1.
        contributions: one a feature, the strongest first.
        families: percentage points by family, in the catalogue's order; families without any are left out.
    """

    baseline: float
    contributions: tuple[Contribution, ...]
    families: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "baseline": self.baseline,
            "contributions": [contribution.to_dict() for contribution in self.contributions],
            "families": [{"family": family, "points": points} for family, points in self.families.items()],
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Explanation":
        """The explanation that `to_dict` wrote."""
        return cls(
            content["baseline"],
            tuple(map(Contribution.from_dict, content["contributions"])),
            {each["family"]: each["points"] for each in content["families"]},
        )


def explain(catalogue: Catalogue, encoding: Encoding, log_odds: Reals, evaluation: Evaluation) -> Explanation:
    """The explanation of one lead.

    Args:
        catalogue: the families and sentences of the features.
        encoding: the features that the model reads, in its order, with the levels that it knows.
        log_odds: the calibrated contributions of those features, then the base: shape (features + 1,).
        evaluation: the lead.
    """
    base, total = float(log_odds[-1]), float(log_odds.sum())
    scale = 100 * chord(base, total)
    features, read = evaluation.features, sentences(catalogue, encoding, evaluation)
    contributions = [
        Contribution(entry.name, entry.family, features[entry.name], added, added * scale, read(entry))
        for entry, added in zip(catalogue.select(encoding.names), log_odds[:-1].tolist(), strict=True)
    ]
    contributions.sort(key=lambda c: (-abs(c.log_odds), c.feature))
    points: dict[str, list[float]] = {family: [] for family in FAMILIES}
    for contribution in contributions:
        points[contribution.family].append(contribution.points)
    families = {family: sum(of_family) for family, of_family in points.items()}
    return Explanation(float(sigmoid(base)), tuple(contributions), {f: p for f, p in families.items() if p})


def sentences(catalogue: Catalogue, encoding: Encoding, evaluation: Evaluation) -> Callable[[Entry], str]:
    """The function that gives the sentence for sales on a feature of a lead, with texts as sent.

    Of a category's value that is no level of the model, the sentence says so.
    """
    features, texts = evaluation.features, evaluation.texts(catalogue)

    def read(entry: Entry) -> str:
        value = features[entry.name]
        if value is None:
            return entry.absent
        text = texts.get(entry.name, str(value)).strip() if entry.kind == "category" else None
        # Decisions on text as sent keep their words, so that they come out the same when they are made again.
        if text is None or not evaluation.fold:
            return entry.read(value)
        known = encoding.levels.get(entry.name)
        return entry.read(text) if known is None or value in known else entry.read_unseen(text)

    return read


def chord(base: float, total: float) -> float:
    """Mean slope of the sigmoid between two log-odds; the derivative of the sigmoid where they are equal.

    >>> round(chord(0.0, 2.0), 4)  # (sigmoid(2) - sigmoid(0)) / 2 = (0.8808 - 0.5) / 2
    0.1904
    >>> round(chord(0.0, 0.0), 4)  # the derivative p * (1 - p) at p = 0.5
    0.25
    """
    # Why this factor. A contribution in log-odds has no percentage points of its own: the sigmoid is not linear, so the
    # points that a feature adds depend on the features added before it. The Aumann-Shapley value averages that over the
    # straight path on which all features grow together from nothing to their full contribution. At every place of that
    # path the slope is the same for all features, so its average is one factor for all: the slope of the chord. Hence
    # the points keep the order and the signs of the log-odds, and sum to the difference of the two probabilities.
    if abs(total - base) < 1e-9:
        # The quotient below would divide two rounding errors.
        p = float(sigmoid(base))
        return p * (1 - p)
    return float((sigmoid(total) - sigmoid(base)) / (total - base))
