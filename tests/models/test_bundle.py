"""The bundle: read back byte for byte, and refused at the least change."""

import hashlib
import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.catalogue import CATALOGUE
from features.catalogue.catalogue import Catalogue
from features.catalogue.entry import Entry
from models.bundle import MAX_BYTES, Bundle, UntrustedBundle, read, read_folder
from models.calibration import Calibration
from models.probability import RUNGS, TREES, Rung

Files = dict[str, bytes]


def signed(files: Mapping[str, bytes]) -> Files:
    """Files with a manifest that names them, as a forger would write it."""
    contents = {name: content for name, content in files.items() if name != "manifest.json"}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    return {**contents, "manifest.json": json.dumps({"sha256": hashes}).encode()}


def edited(files: Mapping[str, bytes], name: str, edit: Callable[[Any], None]) -> Files:
    content = json.loads(files[name])
    edit(content)
    return signed({**files, name: json.dumps(content).encode()})


@pytest.mark.parametrize("rung", RUNGS)
def test_a_bundle_is_read_back_byte_for_byte(bundles: Mapping[Rung, Bundle], rung: Rung) -> None:
    again = read(bundles[rung].files)
    assert again.files == bundles[rung].files
    assert again.sha256 == bundles[rung].sha256
    assert again == bundles[rung]


@pytest.mark.parametrize("rung", RUNGS)
def test_a_bundle_is_only_text(bundles: Mapping[Rung, Bundle], rung: Rung) -> None:
    model = "model.txt" if rung in TREES else "model.json"
    assert set(bundles[rung].files) == {model, "bundle.json", "golden.json", "manifest.json"}
    for content in bundles[rung].files.values():
        content.decode("utf-8")


def test_the_hash_names_every_byte(bundles: Mapping[Rung, Bundle]) -> None:
    bundle = bundles["logistic"]
    others = [replace(bundle, **change) for change in ({"name": "other"}, {"base_rate": 0.5}, {"golden": ()})]
    assert len({bundle.sha256, *(other.sha256 for other in others)}) == 4


@given(data=st.data())
def test_a_flipped_bit_is_refused(bundles: Mapping[Rung, Bundle], data: st.DataObject) -> None:
    files = dict(bundles[data.draw(st.sampled_from(RUNGS))].files)
    name = data.draw(st.sampled_from(sorted(files)))
    position = data.draw(st.integers(0, len(files[name]) - 1))
    flipped = bytearray(files[name])
    flipped[position] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(UntrustedBundle):
        read({**files, name: bytes(flipped)})


@pytest.mark.parametrize("rung", RUNGS)
def test_a_missing_file_is_refused(bundles: Mapping[Rung, Bundle], rung: Rung) -> None:
    for name in bundles[rung].files:
        fewer = {other: content for other, content in bundles[rung].files.items() if other != name}
        with pytest.raises(UntrustedBundle):
            read(fewer)
        if name != "manifest.json":
            with pytest.raises(UntrustedBundle):
                read(signed(fewer))


def test_an_extra_file_is_refused_even_where_the_manifest_names_it(bundles: Mapping[Rung, Bundle]) -> None:
    extra = {**bundles["logistic"].files, "notes.txt": b"hello"}
    for files in (extra, signed(extra)):
        with pytest.raises(UntrustedBundle, match=r"notes\.txt"):
            read(files)


class Trap:
    """Unpickling it would be seen."""

    sprung = False

    def __reduce__(self) -> tuple[Callable[..., None], tuple[()]]:
        return _spring, ()


def _spring() -> None:
    Trap.sprung = True


@pytest.mark.parametrize("rung", RUNGS)
def test_a_pickle_is_refused_and_never_loaded(bundles: Mapping[Rung, Bundle], rung: Rung) -> None:
    files, pickled = bundles[rung].files, pickle.dumps(Trap())
    model = "model.txt" if rung in TREES else "model.json"
    for forged in ({**files, "model.pkl": pickled}, *({**files, name: pickled} for name in (model, "bundle.json"))):
        with pytest.raises(UntrustedBundle):
            read(signed(forged))
    assert not Trap.sprung


def _other_odds(golden: Any) -> None:
    golden[0]["log_odds"] += 1e-6


def _other_features(golden: Any) -> None:
    golden[0]["features"] |= dict.fromkeys(golden[0]["features"])


def _no_rows(golden: Any) -> None:
    golden.clear()


def _feature_forgotten(golden: Any) -> None:
    del golden[0]["features"]["buying_signals"]


@pytest.mark.parametrize("edit", [_other_odds, _other_features, _no_rows, _feature_forgotten])
def test_golden_rows_must_score_as_they_did(bundles: Mapping[Rung, Bundle], edit: Callable[[Any], None]) -> None:
    with pytest.raises(UntrustedBundle):
        read(edited(bundles["logistic"].files, "golden.json", edit))


@pytest.mark.parametrize(
    "change",
    [
        {"rung": "lightgbm"},
        {"rung": "neural"},
        {"calibration": {"slope": -1.0, "intercept": 0.0, "draws": []}},
        {"calibration": {"slope": float("inf"), "intercept": 0.0, "draws": []}},
        {"encoding": []},
        {"grades": [0.1]},
        {"unknown": 1},
    ],
    ids=str,
)
def test_a_description_that_contradicts_itself_is_refused(
    bundles: Mapping[Rung, Bundle], change: dict[str, Any]
) -> None:
    with pytest.raises(UntrustedBundle):
        read(edited(bundles["logistic"].files, "bundle.json", lambda described: described.update(change)))


@pytest.mark.parametrize("manifest", [b"", b"[]", b"{}", b'{"sha256": []}', b'{"sha256": 3}', b"\xff"])
def test_an_unreadable_manifest_is_refused(bundles: Mapping[Rung, Bundle], manifest: bytes) -> None:
    with pytest.raises(UntrustedBundle):
        read({**bundles["logistic"].files, "manifest.json": manifest})


def test_a_bundle_of_other_features_is_refused(bundles: Mapping[Rung, Bundle]) -> None:
    """Rewording an entry keeps a bundle servable; another meaning, or a feature gone, does not."""
    bundle = bundles["logistic"]
    name = bundle.encoding.names[0]
    entry = CATALOGUE[name]
    reworded, changed = replace(entry, sentence="{value} other words"), replace(entry, direction=0)
    assert bundle.catalogue(_with(reworded, name)) is not None
    for catalogue in (_with(changed, name), Catalogue(tuple(e for e in CATALOGUE if e.name != name))):
        with pytest.raises(UntrustedBundle, match="other features"):
            bundle.catalogue(catalogue)


def _with(entry: Entry, name: str) -> Catalogue:
    return Catalogue(tuple(entry if e.name == name else e for e in CATALOGUE))


def test_grades_are_given_by_the_cut_offs(bundles: Mapping[Rung, Bundle]) -> None:
    bundle = replace(bundles["logistic"], grades=(0.3, 0.2, 0.1))
    graded = [bundle.grade(p) for p in (1.0, 0.3, 0.29, 0.2, 0.1, 0.09, 0.0)]
    assert graded == ["A", "A", "B", "B", "C", "D", "D"]


def test_a_model_that_tells_no_lead_from_another_gives_no_grade(bundles: Mapping[Rung, Bundle]) -> None:
    assert bundles["base_rate"].grades is None
    assert bundles["base_rate"].grade(0.2) is None


def test_calibration_scales_every_part_and_shifts_the_base(bundles: Mapping[Rung, Bundle], rows: Any) -> None:
    bundle = replace(bundles["logistic"], calibration=Calibration(2.0, 0.5))
    raw, parts = bundle.model.contributions(rows.matrix), bundle.contributions(rows.matrix)
    np.testing.assert_array_equal(parts[:, :-1], 2 * raw[:, :-1])
    np.testing.assert_allclose(parts[:, -1], 2 * raw[:, -1] + 0.5, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("bundle.json", lambda described: described.update(expected_amount=["much", "USD"])),
        ("bundle.json", lambda described: described.update(grades=["A", "B", "C"])),
        ("bundle.json", lambda described: described.update(grades=[0.1, 0.2, 0.3])),
        ("bundle.json", lambda described: described.update(horizon_days=-1)),
        ("bundle.json", lambda described: described.update(base_rate=float("nan"))),
        ("model.json", lambda model: model.update(features=10**12)),
        ("model.json", lambda model: model.update(intercept=float("inf"))),
        ("model.json", lambda model: model["columns"][0].update(feature=-1)),
        ("model.json", lambda model: model["columns"][0].update(scale=0.0)),
    ],
)
def test_what_would_fail_later_is_refused_at_once(bundles: Mapping[Rung, Bundle], name: str, edit: Any) -> None:
    with pytest.raises(UntrustedBundle):
        read(edited(bundles["logistic"].files, name, edit))


def test_a_level_without_a_rate_is_refused(bundles: Mapping[Rung, Bundle]) -> None:
    with pytest.raises(UntrustedBundle):
        read(edited(bundles["segment_rates"].files, "model.json", lambda model: model["effects"].pop()))


@pytest.mark.parametrize("name", ["manifest.json", "bundle.json", "golden.json", "model.json"])
def test_nesting_without_end_is_refused(bundles: Mapping[Rung, Bundle], name: str) -> None:
    deep = {**bundles["logistic"].files, name: b"[" * 100_000}
    with pytest.raises(UntrustedBundle):
        read(deep if name == "manifest.json" else signed(deep))


@pytest.mark.parametrize("path", ["../model.json", "/etc/passwd", "a/model.json", "model.json/..", "C:\\model.json"])
def test_a_path_out_of_the_bundle_is_refused(bundles: Mapping[Rung, Bundle], path: str) -> None:
    files = dict(bundles["logistic"].files)
    for forged in ({**files, path: b"{}"}, {path if name == "model.json" else name: c for name, c in files.items()}):
        with pytest.raises(UntrustedBundle):
            read(signed(forged))


def test_a_bundle_has_a_largest_size(bundles: Mapping[Rung, Bundle]) -> None:
    with pytest.raises(UntrustedBundle, match="64 MiB"):
        read(signed({**bundles["logistic"].files, "golden.json": b" " * MAX_BYTES}))


def test_a_folder_with_anything_but_plain_files_is_refused(bundles: Mapping[Rung, Bundle], tmp_path: Path) -> None:
    for name, content in bundles["logistic"].files.items():
        (tmp_path / name).write_bytes(content)
    assert read_folder(tmp_path).sha256 == bundles["logistic"].sha256
    (tmp_path / "model.json").rename(tmp_path.parent / "elsewhere.json")
    (tmp_path / "model.json").symlink_to(tmp_path.parent / "elsewhere.json")
    with pytest.raises(UntrustedBundle, match="no links"):
        read_folder(tmp_path)
    (tmp_path / "model.json").unlink()
    (tmp_path / "model.json").mkdir()
    with pytest.raises(UntrustedBundle, match="no links"):
        read_folder(tmp_path)
