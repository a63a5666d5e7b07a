"""The bundle: everything that serves a model, as a few plain files and a manifest of their hashes.

The files are LightGBM's own text and JSON; reading them runs no code. The bundle's hash is the hash of its manifest, so
it covers every byte. Reading a bundle verifies the manifest, refuses missing and extra files, and scores the golden
rows.

The place where bundles are kept is not trusted: a writer there can also write a manifest that fits. So every content
leads to a bundle or to `UntrustedBundle`, and LightGBM's text is checked before LightGBM's parser reads it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from features.catalogue.catalogue import Catalogue
from features.folding import FOLD_VERSION
from features.provenance import Attribute
from features.value_types import Scalar
from models.arrays import Matrix, Reals
from models.calibration import Calibration
from models.encoding import EncodedFeature, Encoding
from models.probability import RUNGS, TREES, MarginModel, Rung, read_model

Grade: TypeAlias = Literal["A", "B", "C", "D"]
GRADES: tuple[Grade, ...] = get_args(Grade)
"""The best first."""
_MODEL_FILES: Mapping[str, str] = {rung: "model.txt" if rung in TREES else "model.json" for rung in RUNGS}
_TOLERANCE = 1e-9
"""Log-odds by which a golden row may differ: the last bits depend on the processor."""
MAX_FILES = 16
MAX_BYTES = 64 * 2**20
"""The size of all files together. The files of the default model take half a MiB."""


class UntrustedBundle(ValueError):
    """A bundle that must not be served: its files differ from its manifest, or its golden rows score differently."""


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A trained, calibrated model with everything it needs to serve.

    Attributes:
        name: the registered model's name.
        encoding: the encoding of the features as numbers.
        model: the rung of the ladder that was chosen.
        calibration: the map from margins to log-odds.
        horizon_days: days within which "close" counts; None for "ever won".
        base_rate: share of wins among the training rows, 0 to 1.
        grades: the cut-offs (least probabilities) of the grades A, B and C; None where all leads get one probability.
        attributes: the import's attributes among the features.
        features_sha256: hash of the definitions that gave the features their values (`Catalogue.values_sha256`).
        fold: the version of the folding by which its texts are compared; 0, of earlier bundles, is text as sent.
        expected_amount: mean amount of the wins known at the data cut (minor units, currency), if any.
        segment_amounts: the same by segment of accounts (see `models.expected_value`), in minor units; None in a bundle
            from before these averages.
        reference: by feature, the distribution in the training rows (missing share, quantiles or level shares).
        history: by derived kind, the last row of each partner and tier at the data cut. It serves where the store has
            no partner history.
        golden: rows of features with the log-odds that they must get.
        training_summary: figures that reports quote: cut, rows, reasons for the rung, metrics. Its key in the bundle's
            file is `facts`.
    """

    name: str
    encoding: Encoding
    model: MarginModel
    calibration: Calibration
    horizon_days: int | None
    base_rate: float
    grades: tuple[float, float, float] | None
    attributes: tuple[Attribute, ...]
    features_sha256: str
    fold: int = FOLD_VERSION
    expected_amount: tuple[int, str] | None = None
    segment_amounts: Mapping[str, int] | None = None
    reference: Mapping[str, Any] = field(default_factory=dict)
    history: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    golden: tuple[tuple[Mapping[str, Scalar], float], ...] = ()
    training_summary: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.base_rate <= 1:
            raise ValueError(f"the base rate must lie between 0 and 1, not {self.base_rate}")
        if self.grades is not None and not 1 >= self.grades[0] >= self.grades[1] >= self.grades[2] >= 0:
            raise ValueError(f"the cut-offs of the grades must lie between 1 and 0 and not rise, not {self.grades}")
        if self.horizon_days is not None and not self.horizon_days > 0:
            raise ValueError(f"the horizon must be positive, not {self.horizon_days}")
        if self.fold not in range(FOLD_VERSION + 1):
            raise ValueError(f"it folds texts by version {self.fold}, and this software knows {FOLD_VERSION} at most")

    @property
    def rung(self) -> Rung:
        """The rung that is served."""
        return self.model.rung

    def contributions(self, matrix: Matrix) -> Matrix:
        """Calibrated contributions in log-odds (rows, features + 1), the base last. A row sums to its log-odds."""
        contributions = self.model.contributions(matrix) * self.calibration.slope
        contributions[:, -1] += self.calibration.intercept
        return contributions

    def margins(self, contributions: Matrix) -> Reals:
        """The uncalibrated margins (rows,) of calibrated contributions."""
        margins: Reals = (contributions.sum(axis=1) - self.calibration.intercept) / self.calibration.slope
        return margins

    def grade(self, probability: float) -> Grade | None:
        """The grade of a probability; None where all leads get one probability, so that a grade would mislead."""
        return None if self.grades is None else grade_of(probability, self.grades)

    def catalogue(self, base: Catalogue) -> Catalogue:
        """`base` with the bundle's attributes, and with its folding of texts.

        Raises:
            UntrustedBundle: the bundle reads a feature that this software lacks, or defines differently.
        """
        catalogue = base.folded_by(self.fold).with_attributes(self.attributes)
        names = self.encoding.names
        if not set(names) <= set(catalogue.names) or catalogue.values_sha256(names) != self.features_sha256:
            raise UntrustedBundle("the bundle was trained with other features than this software's; train and promote")
        return catalogue

    @cached_property
    def files(self) -> Mapping[str, bytes]:
        """The files' contents by name, with the manifest."""
        files = {
            _MODEL_FILES[self.rung]: self.model.to_bytes(),
            "bundle.json": _dumps(self._description()),
            "golden.json": _dumps([{"features": dict(row), "log_odds": odds} for row, odds in self.golden]),
        }
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        return {**files, "manifest.json": _dumps({"sha256": hashes})}

    @cached_property
    def sha256(self) -> str:
        """Hash of the manifest, which holds the hash of every other file."""
        return hashlib.sha256(self.files["manifest.json"]).hexdigest()

    def _description(self) -> Mapping[str, Any]:
        return {
            "name": self.name,
            "rung": self.rung,
            "encoding": [asdict(feature) for feature in self.encoding.features],
            "calibration": _described_calibration(self.calibration),
            "horizon_days": self.horizon_days,
            "base_rate": self.base_rate,
            "grades": self.grades,
            "attributes": [asdict(attribute) for attribute in self.attributes],
            "features_sha256": self.features_sha256,
            # An earlier bundle has no such key, and keeps its hash.
            **({"fold": self.fold} if self.fold else {}),
            "expected_amount": self.expected_amount,
            **({} if self.segment_amounts is None else {"segment_amounts": dict(self.segment_amounts)}),
            "reference": self.reference,
            "history": self.history,
            "facts": self.training_summary,
        }


def _described_calibration(calibration: Calibration) -> Mapping[str, Any]:
    """The map with the spreads that it holds. An earlier bundle has none, and keeps its hash."""
    return {name: value for name, value in asdict(calibration).items() if value or not name.endswith("_spread")}


def grade_of(probability: float, cut_offs: tuple[float, float, float]) -> Grade:
    """The grade of a probability: the first of A, B and C whose cut-off it reaches, else D.

    >>> [grade_of(probability, (0.4, 0.3, 0.2)) for probability in (0.4, 0.39, 0.2, 0.1)]
    ['A', 'B', 'C', 'D']
    """
    reached = (grade for grade, least in zip(GRADES, cut_offs, strict=False) if probability >= least)
    return next(reached, GRADES[-1])


def read(files: Mapping[str, bytes]) -> Bundle:
    """The bundle of `files` (contents by name), verified.

    Raises:
        UntrustedBundle: the manifest does not match, a file is missing or extra, or a golden row scores differently.
    """
    verify(files)
    try:
        bundle = _parse(files)
        _check_all_levels(bundle)
        worst = _golden_error(bundle)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise UntrustedBundle(f"the bundle's files cannot be read ({error}); train and promote again") from None
    if not worst <= _TOLERANCE:
        raise UntrustedBundle(f"a golden row of the bundle scores {worst:.2g} log-odds off; train and promote again")
    return bundle


def read_folder(folder: Path) -> Bundle:
    """The bundle whose files are in `folder`, verified.

    Raises:
        UntrustedBundle: as in `read`; or the folder holds something other than regular files, such as a link.
        OSError: the folder cannot be read.
    """
    paths = list(folder.iterdir())
    if not all(path.is_file() and not path.is_symlink() for path in paths):
        raise UntrustedBundle("a bundle's folder must hold plain files only, no links and no folders")
    check_size([path.stat().st_size for path in paths])
    return read({path.name: path.read_bytes() for path in paths})


def check_size(sizes: Sequence[int]) -> None:
    """Checks the sizes of a bundle's files, in bytes, before they are read.

    Raises:
        UntrustedBundle: the files are too many or too large.
    """
    if len(sizes) > MAX_FILES or sum(sizes) > MAX_BYTES:
        raise UntrustedBundle(
            f"a bundle must have at most {MAX_FILES} files of {MAX_BYTES // 2**20} MiB in total, "
            f"not {len(sizes)} files of {sum(sizes) / 2**20:.1f} MiB"
        )


def verify(files: Mapping[str, bytes]) -> str:
    """The hash of a bundle's manifest, once every file has the hash that the manifest says.

    Raises:
        UntrustedBundle: a file is missing, extra or altered, or there is no readable manifest.
    """
    check_size([len(content) for content in files.values()])
    try:
        expected = dict(json.loads(files["manifest.json"])["sha256"])
    except (KeyError, TypeError, ValueError, RecursionError):
        raise UntrustedBundle("the bundle has no readable manifest.json; promote again") from None
    if set(expected) != set(files) - {"manifest.json"}:
        raise UntrustedBundle(f"the bundle's files must be {sorted(expected)}, not {sorted(set(files))}")
    for name, sha256 in expected.items():
        if hashlib.sha256(files[name]).hexdigest() != sha256:
            raise UntrustedBundle(f"{name} of the bundle does not have its hash in the manifest; promote again")
    return hashlib.sha256(files["manifest.json"]).hexdigest()


def _parse(files: Mapping[str, bytes]) -> Bundle:
    described: dict[str, Any] = json.loads(files["bundle.json"])
    golden = json.loads(files["golden.json"])
    rung = described.pop("rung")
    expected = {_MODEL_FILES[rung], "bundle.json", "golden.json", "manifest.json"}
    if set(files) != expected:
        raise ValueError(f"a {rung} bundle has the files {sorted(expected)}, not {sorted(files)}")
    calibration = described.pop("calibration")
    amount, segments = _amount(described.pop("expected_amount")), described.get("segment_amounts", {})
    if not all(isinstance(minor, int) for minor in segments.values()):
        raise TypeError("the amounts of segments must be whole minor units")
    grades = described.pop("grades")
    encoding = [EncodedFeature(f["name"], f["kind"], tuple(f["levels"])) for f in described.pop("encoding")]
    return Bundle(
        encoding=Encoding(tuple(encoding)),
        model=read_model(rung, files[_MODEL_FILES[rung]], len(encoding)),
        calibration=Calibration(**{**calibration, "draws": tuple(map(tuple, calibration["draws"]))}),
        attributes=tuple(Attribute(**attribute) for attribute in described.pop("attributes")),
        fold=described.pop("fold", 0),
        expected_amount=amount,
        grades=None if grades is None else (grades[0], grades[1], grades[2]),
        golden=tuple((row["features"], row["log_odds"]) for row in golden),
        training_summary=described.pop("facts", {}),
        **described,
    )


def _amount(described: Any) -> tuple[int, str] | None:
    if described is None:
        return None
    minor, currency = described
    if not isinstance(minor, int) or not isinstance(currency, str):
        raise TypeError("the expected amount must be whole minor units and a currency")
    return minor, currency


def _check_all_levels(bundle: Bundle) -> None:
    """Checks that the model has a finite answer for every level of every category, and for a lead without values."""
    levels = [len(feature.levels) for feature in bundle.encoding.features]
    # Row n has the n-th level of every category, or its last one; a number is 0.
    rows = np.arange(max([*levels, 1]))[:, None]
    codes = np.minimum(rows, np.maximum(np.array(levels, dtype=np.int64) - 1, 0)).astype(np.float64)
    matrix = np.vstack([codes, np.full((1, len(levels)), np.nan)])
    if not np.isfinite(bundle.contributions(matrix)).all():
        raise ValueError("the model has no finite answer for some leads")


def _golden_error(bundle: Bundle) -> float:
    """The largest difference, in log-odds, between a golden row's score and the score it must get."""
    if not bundle.golden:
        raise ValueError("the bundle has no golden rows")
    columns = {name: [row[name] for row, _ in bundle.golden] for name in bundle.encoding.names}
    matrix = bundle.encoding.encode(columns, len(bundle.golden))
    scores = bundle.contributions(matrix).sum(axis=1)
    return float(np.abs(scores - [log_odds for _, log_odds in bundle.golden]).max())


def _dumps(content: Any) -> bytes:
    return json.dumps(content, indent=1, sort_keys=True, allow_nan=False).encode()
