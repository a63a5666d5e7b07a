"""The bundle: everything a served model is, as a few plain files with a manifest of their hashes.

Native LightGBM text and JSON only; reading it runs no code. The bundle's own hash is that of its manifest, so it names
every byte. Reading verifies the manifest, refuses missing and extra files, and scores the golden rows.

Where bundles are kept is not trusted: who can write there can write a manifest that fits, too. So whatever a bundle
holds, reading it ends with a bundle or a refusal; LightGBM's text is checked before its parser sees it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from features.catalogue.catalogue import Catalogue
from features.provenance import Attribute
from features.value_types import Scalar
from models.encoding import EncodedFeature, Encoding, Matrix
from models.probability import RUNGS, TREES, Calibration, MarginModel, Rung, read_model

GRADES = ("A", "B", "C", "D")
_MODEL_FILES: Mapping[str, str] = {rung: "model.txt" if rung in TREES else "model.json" for rung in RUNGS}
_TOLERANCE = 1e-9
MOST_FILES = 16
MOST_BYTES = 64 * 2**20
"""Of a bundle's files together; the default model's have half a MiB."""


class UntrustedBundle(ValueError):
    """A bundle's files are not what its manifest says, or do not score as they did; it must not be served."""


@dataclass(frozen=True)
class Bundle:
    """A trained, calibrated model with all it needs to serve.

    Attributes:
        name: the registered model's name.
        encoding: how features become numbers.
        model: the rung.
        calibration: margins to log-odds.
        horizon_days: days within which "close" counts; None for "ever won".
        base_rate: share won among the training rows.
        grades: least probabilities of the grades A, B and C; None where all leads get one probability.
        attributes: the import's attributes among the features.
        features_sha256: what decided the values of its features in training (`Catalogue.values_sha256`).
        expected_amount: mean amount of the wins known at the data cut (minor units, currency), if any.
        reference: by feature, what training rows looked like (missing share, quantiles or level shares).
        history: by derived kind, the last row of each partner and tier at the data cut, for a service without any.
        golden: rows of features with the log-odds they must get.
        facts: what reports quote: cut, rows, rung reasons, metrics.
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
    expected_amount: tuple[int, str] | None = None
    reference: Mapping[str, Any] = field(default_factory=dict)
    history: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    golden: tuple[tuple[Mapping[str, Scalar], float], ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.base_rate <= 1:
            raise ValueError(f"the base rate must lie between 0 and 1, not {self.base_rate}")
        if self.grades is not None and not 1 >= self.grades[0] >= self.grades[1] >= self.grades[2] >= 0:
            raise ValueError(f"the grades' least probabilities must fall from 1 to 0, not {self.grades}")
        if self.horizon_days is not None and not self.horizon_days > 0:
            raise ValueError(f"the horizon must be positive, not {self.horizon_days}")

    @property
    def rung(self) -> Rung:
        """The rung served."""
        return self.model.rung

    def parts(self, matrix: Matrix) -> Matrix:
        """Calibrated contributions (rows, features + 1); each row sums to its log-odds, the base being last."""
        parts = self.model.contributions(matrix) * self.calibration.slope
        parts[:, -1] += self.calibration.intercept
        return parts

    def margins(self, parts: Matrix) -> Matrix:
        """The uncalibrated margins behind calibrated parts."""
        margins: Matrix = (parts.sum(axis=1) - self.calibration.intercept) / self.calibration.slope
        return margins

    def grade(self, probability: float) -> str | None:
        """A to D; None where the model tells no lead from another, for a grade would pretend that it does."""
        if self.grades is None:
            return None
        return next((g for g, least in zip(GRADES, self.grades, strict=False) if probability >= least), GRADES[-1])

    def catalogue(self, base: Catalogue) -> Catalogue:
        """`base` with the bundle's attributes.

        Raises:
            UntrustedBundle: the bundle reads a feature this software no longer has, or has changed.
        """
        catalogue = base.with_attributes(self.attributes)
        names = self.encoding.names
        if not set(names) <= set(catalogue.names) or catalogue.values_sha256(names) != self.features_sha256:
            raise UntrustedBundle("the bundle was trained with other features than this software's; train and promote")
        return catalogue

    @cached_property
    def files(self) -> Mapping[str, bytes]:
        """Its files by name, the manifest among them."""
        files = {
            _MODEL_FILES[self.rung]: self.model.to_bytes(),
            "bundle.json": _dumps(self._description()),
            "golden.json": _dumps([{"features": dict(row), "log_odds": odds} for row, odds in self.golden]),
        }
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        return {**files, "manifest.json": _dumps({"sha256": hashes})}

    @cached_property
    def sha256(self) -> str:
        """Hash of the manifest, which names every other file's."""
        return hashlib.sha256(self.files["manifest.json"]).hexdigest()

    def _description(self) -> Mapping[str, Any]:
        return {
            "name": self.name,
            "rung": self.rung,
            "encoding": [asdict(feature) for feature in self.encoding.features],
            "calibration": asdict(self.calibration),
            "horizon_days": self.horizon_days,
            "base_rate": self.base_rate,
            "grades": self.grades,
            "attributes": [asdict(attribute) for attribute in self.attributes],
            "features_sha256": self.features_sha256,
            "expected_amount": self.expected_amount,
            "reference": self.reference,
            "history": self.history,
            "facts": self.facts,
        }


def read(files: Mapping[str, bytes]) -> Bundle:
    """The bundle of `files`, verified.

    Raises:
        UntrustedBundle: the manifest does not match, a file is missing or extra, or a golden row scores differently.
    """
    _verify(files)
    try:
        bundle = _read(files)
        _check_everywhere(bundle)
        worst = _golden_error(bundle)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise UntrustedBundle(f"the bundle's files cannot be read ({error}); train and promote again") from None
    if not worst <= _TOLERANCE:
        raise UntrustedBundle(f"a golden row of the bundle scores {worst:.2g} log-odds off; it must not be served")
    return bundle


def read_folder(folder: Path) -> Bundle:
    """The bundle whose files are in `folder`, verified.

    Raises:
        UntrustedBundle: as `read`; or there is anything in the folder but regular files, such as a link.
        OSError: the folder cannot be read.
    """
    found = list(folder.iterdir())
    if not all(file.is_file() and not file.is_symlink() for file in found):
        raise UntrustedBundle("a bundle's folder must hold plain files only, no links and no folders")
    check_size([file.stat().st_size for file in found])
    return read({file.name: file.read_bytes() for file in found})


def check_size(sizes: Sequence[int]) -> None:
    """Checks that files of these sizes, in bytes, can be a bundle, before they are read.

    Raises:
        UntrustedBundle: they are too many or too large.
    """
    if len(sizes) > MOST_FILES or sum(sizes) > MOST_BYTES:
        raise UntrustedBundle(f"a bundle has at most {MOST_FILES} files, of {MOST_BYTES // 2**20} MiB together")


def _verify(files: Mapping[str, bytes]) -> None:
    check_size([len(content) for content in files.values()])
    try:
        expected = dict(json.loads(files["manifest.json"])["sha256"])
    except (KeyError, TypeError, ValueError, RecursionError):
        raise UntrustedBundle("the bundle has no readable manifest.json") from None
    if set(expected) != set(files) - {"manifest.json"}:
        raise UntrustedBundle(f"the bundle's files must be {sorted(expected)}, not {sorted(set(files))}")
    for name, sha256 in expected.items():
        if hashlib.sha256(files[name]).hexdigest() != sha256:
            raise UntrustedBundle(f"{name} of the bundle is not the file its manifest names")


def _read(files: Mapping[str, bytes]) -> Bundle:
    described: dict[str, Any] = json.loads(files["bundle.json"])
    golden = json.loads(files["golden.json"])
    rung = described.pop("rung")
    known = {_MODEL_FILES[rung], "bundle.json", "golden.json", "manifest.json"}
    if set(files) != known:
        raise ValueError(f"a {rung} bundle has the files {sorted(known)}, not {sorted(files)}")
    calibration = described.pop("calibration")
    amount = _amount(described.pop("expected_amount"))
    grades = described.pop("grades")
    encoding = [EncodedFeature(f["name"], f["kind"], tuple(f["levels"])) for f in described.pop("encoding")]
    return Bundle(
        encoding=Encoding(tuple(encoding)),
        model=read_model(rung, files[_MODEL_FILES[rung]], len(encoding)),
        calibration=Calibration(**{**calibration, "draws": tuple(map(tuple, calibration["draws"]))}),
        attributes=tuple(Attribute(**attribute) for attribute in described.pop("attributes")),
        expected_amount=amount,
        grades=None if grades is None else (grades[0], grades[1], grades[2]),
        golden=tuple((row["features"], row["log_odds"]) for row in golden),
        **described,
    )


def _amount(described: Any) -> tuple[int, str] | None:
    if described is None:
        return None
    minor, currency = described
    if not isinstance(minor, int) or not isinstance(currency, str):
        raise TypeError("the expected amount must be whole minor units and a currency")
    return minor, currency


def _check_everywhere(bundle: Bundle) -> None:
    """Checks that the model has an answer for every level of every category, and for nothing known at all."""
    levels = [len(feature.levels) for feature in bundle.encoding.features]
    rows = np.arange(max([*levels, 1]))[:, None]
    known = np.minimum(rows, np.maximum(np.array(levels, dtype=np.int64) - 1, 0)).astype(np.float64)
    matrix = np.vstack([known, np.full((1, len(levels)), np.nan)])
    if not np.isfinite(bundle.parts(matrix)).all():
        raise ValueError("the model has no finite answer for some leads")


def _golden_error(bundle: Bundle) -> float:
    """How far, in log-odds, the worst golden row is from what it must get."""
    if not bundle.golden:
        raise ValueError("there are no golden rows to check it by")
    columns = {name: [row[name] for row, _ in bundle.golden] for name in bundle.encoding.names}
    matrix = bundle.encoding.encode(columns, len(bundle.golden))
    found = bundle.parts(matrix).sum(axis=1)
    return float(np.abs(found - [odds for _, odds in bundle.golden]).max())


def _dumps(content: Any) -> bytes:
    return json.dumps(content, indent=1, sort_keys=True, allow_nan=False).encode()
