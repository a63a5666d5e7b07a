"""LightGBM's text: whatever is changed in it is refused, or leaves a model that LightGBM can read and follow."""

import json
import random
import re
import subprocess
import sys
from collections.abc import Callable

import pytest

from models import lightgbm_trial
from models.lightgbm_trial import UnreadableByLightGBM, try_text
from models.probability import LightGBM, MarginModel, Rung, read_model
from models.trees import MalformedTrees, checked_model_text

FOLLOWS = """
import json, sys, lightgbm, numpy
for text in json.load(sys.stdin):
    booster = lightgbm.Booster(model_str=text)
    rows = numpy.random.default_rng(0).normal(scale=50, size=(20, booster.num_feature()))
    rows[0], rows[1], rows[2] = numpy.nan, 0, 1e300
    booster.predict(rows, pred_contrib=True, num_threads=1)
print("followed")
"""


@pytest.fixture(params=["additive", "lightgbm"])
def text(fitted: dict[Rung, MarginModel], request: pytest.FixtureRequest) -> str:
    model = fitted[request.param]
    assert isinstance(model, LightGBM)
    return model.text


def test_a_model_loses_only_what_predictions_do_not_need(text: str) -> None:
    assert text.startswith(checked_model_text(text))
    assert checked_model_text(checked_model_text(text)) == checked_model_text(text)


def _number(random: random.Random, text: str) -> str:
    found = random.choice(list(re.finditer(r"-?\d+(\.\d+)?", text)))
    other = random.choice(["-1", "0", "7", "255", "99999", "2147483647", "-2147483648", "1e308", ""])
    return text[: found.start()] + other + text[found.end() :]


def _line(random: random.Random, text: str) -> str:
    lines = text.split("\n")
    here, there = random.randrange(len(lines)), random.randrange(len(lines))
    lines[here : here + 1] = random.choice([[], [lines[here]] * 2, [lines[there]]])
    return "\n".join(lines)


def _byte(random: random.Random, text: str) -> str:
    place = random.randrange(len(text))
    return text[:place] + chr(random.randrange(1, 255)) + text[place + 1 :]


def _end(random: random.Random, text: str) -> str:
    return text[: random.randrange(len(text))]


def test_whatever_is_changed_lightgbm_gets_only_what_it_can_follow(text: str) -> None:
    """In a process of its own, for without the check most of these texts end it."""
    chance, changes = random.Random(7), [_number, _line, _byte, _end]
    passed = []
    for _ in range(60):
        try:
            passed.append(checked_model_text(chance.choice(changes)(chance, text)))
        except MalformedTrees:
            continue
    assert 0 < len(passed) < 60
    done = subprocess.run([sys.executable, "-c", FOLLOWS], input=json.dumps(passed).encode(), capture_output=True)
    assert (done.returncode, done.stdout.decode(errors="replace")[-9:]) == (0, "followed\n")


def _first(name: str, change: Callable[[list[str]], list[str]]) -> Callable[[str], str]:
    def edit(text: str) -> str:
        found = re.search(rf"^{name}=(.*)$", text, re.MULTILINE)
        assert found is not None
        # The tree keeps its size, so that nothing but the change is wrong.
        changed = " ".join(change(found[1].split(" "))).ljust(len(found[1]), "0")
        return text[: found.start(1)] + changed + text[found.end(1) :]

    return edit


@pytest.mark.parametrize(
    "edit",
    [
        _first("left_child", lambda items: ["0", *items[1:]]),
        _first("right_child", lambda items: ["-9", *items[1:]]),
        _first("split_feature", lambda items: ["-1", *items[1:]]),
        _first("split_feature", lambda items: ["99999", *items[1:]]),
        _first("decision_type", lambda items: ["9", *items[1:]]),
        _first("num_leaves", lambda items: ["9"]),
        _first("leaf_value", lambda items: ["nan", *items[1:]]),
        _first("tree_sizes", lambda items: ["1", *items[1:]]),
        _first("max_feature_idx", lambda items: ["0"]),
    ],
)
def test_what_the_parser_would_follow_out_of_its_memory_is_refused(text: str, edit: Callable[[str], str]) -> None:
    with pytest.raises(MalformedTrees):
        checked_model_text(edit(text))


@pytest.mark.parametrize("text", ["", "tree", "tree\n\n", "\n\n", "tree\nversion=v4\n\nend of trees\n"])
def test_what_is_no_model_at_all_is_refused(text: str) -> None:
    with pytest.raises(MalformedTrees):
        checked_model_text(text)


@pytest.mark.parametrize("name", ["objective", "feature_names", "feature_infos", "monotone_constraints", "label_index"])
@pytest.mark.parametrize(
    "value", ["", " ", "binary sigmoid:-1", "binary", "cross_entropy", "99999999999999", "[0:", "1" * 400]
)
def test_a_header_has_only_texts_that_training_writes(text: str, name: str, value: str) -> None:
    """An empty objective ends the process in LightGBM's parser."""
    edited = re.sub(rf"^{name}=.*$", lambda _: f"{name}={value}", text, count=1, flags=re.MULTILINE)
    assert edited != text
    with pytest.raises(MalformedTrees, match=name):
        checked_model_text(edited)


def test_a_sound_text_passes_and_is_tried_once(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lightgbm_trial, "_sound", set())
    try_text(checked_model_text(text))
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("it was tried before"))
    try_text(checked_model_text(text))


def test_a_text_that_ends_the_parser_ends_a_child_process_alone(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    deadly = re.sub(r"^objective=.*$", "objective=", checked_model_text(text), flags=re.MULTILINE)
    monkeypatch.setattr("models.probability.checked_model_text", lambda _: deadly)
    with pytest.raises(ValueError, match="ended the process that tried"):
        read_model("lightgbm", text.encode(), 3)


def test_a_text_that_lightgbm_refuses_is_refused_with_its_reason() -> None:
    with pytest.raises(UnreadableByLightGBM, match="Model file doesn't specify the number of classes"):
        try_text("tree\nversion=v4\n\nend of trees\n")
