from pathlib import Path

import pytest

from features import yaml_document
from features.catalogue import CATALOGUE
from features.quality import thresholds
from models import policy


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: the key 'a' is there twice"),
        ("a:\n  b: 1\n  b: 2\n", "line 3: the key 'b' is there twice"),
        ('a: 1\n"a": 2\n', "line 2: the key 'a' is there twice"),
        ("- a: 1\n  a: 2\n", "line 2: the key 'a' is there twice"),
        ("a: &x {c: 1, c: 2}\nb: *x\n", "the key 'c' is there twice"),
        ("? [a]\n: 1\n", "a key must be text"),
        ("a: [", "line 1: "),
        ("[" * 5000 + "]" * 5000, "nested too deeply"),
        ("a: 2026-02-31\n", "day is out of range"),
        ("a: \x00", "not YAML"),
    ],
)
def test_what_two_readers_could_read_differently_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(yaml_document.InvalidYaml, match=said):
        yaml_document.load(text)
    file = tmp_path / "file.yaml"
    file.write_text(text)
    with pytest.raises(policy.InvalidPolicy, match=said):
        policy.load(file, CATALOGUE)
    with pytest.raises(thresholds.InvalidThresholds, match=said):
        thresholds.load(file)


def test_a_document_is_read_as_yaml_reads_it() -> None:
    assert yaml_document.load("a: 1\nb: [x, 'on', 2.5, null]\n") == {"a": 1, "b": ["x", "on", 2.5, None]}
    assert yaml_document.load("a: &x [1]\nb: *x\n") == {"a": [1], "b": [1]}
    assert yaml_document.load("") is None
