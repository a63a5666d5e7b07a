"""The policy file: what it may say, and one clear sentence for what it may not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from features.catalogue import CATALOGUE
from models import policy

DEFAULT = Path(policy.__file__).with_name("default_policy.yaml")
Content = dict[str, Any]


def loaded(tmp_path: Path, text: str | bytes) -> policy.Policy:
    path = tmp_path / "policy.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return policy.load(path, CATALOGUE)


def refused(tmp_path: Path, text: str | bytes) -> str:
    """The message about a faulty file; it names the file and is one line."""
    with pytest.raises(policy.InvalidPolicy) as caught:
        loaded(tmp_path, text)
    message = str(caught.value)
    start = f"{tmp_path / 'policy.yaml'}: "
    assert message.startswith(start)
    assert "\n" not in message
    return message.removeprefix(start)


@pytest.fixture
def content() -> Content:
    found: Content = yaml.safe_load(DEFAULT.read_text())
    return found


def rule(content: Content, rule_id: str) -> Content:
    found: Content = next(each for each in content["rules"] if each["id"] == rule_id)
    return found


def test_the_default_policy_loads_and_names_what_it_is() -> None:
    default = policy.load(DEFAULT, CATALOGUE)
    assert default.version == "2"
    assert default.minimum_probability is None
    assert {each.gate for each in default.rules} >= set(policy.EQL_GATES) - {"close_probability"}


def test_every_question_a_qualifying_rule_leaves_open_says_how_to_close_it() -> None:
    for each in policy.load(DEFAULT, CATALOGUE).rules:
        may_be_unknown = each.gate in ("record", "icp", "confirmation")
        assert (each.ask is not None) == may_be_unknown, each.id


def test_the_hash_is_of_what_a_policy_says_and_not_of_how_it_is_written(tmp_path: Path, content: Content) -> None:
    default = policy.load(DEFAULT, CATALOGUE)
    assert loaded(tmp_path, "# a comment\n" + yaml.safe_dump(content)).sha256 == default.sha256
    content["sql_probability"] = 0.21
    assert loaded(tmp_path, yaml.safe_dump(content)).sha256 != default.sha256


def test_the_json_schema_is_published_and_as_strict_as_the_loader() -> None:
    schema = json.loads(json.dumps(policy.Policy.model_json_schema()))
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == {"version", "sql_probability", "actions", "rules"}
    assert schema["$defs"]["Test"]["additionalProperties"] is False
    assert set(schema["$defs"]["Test"]["properties"]) == {"field", "feature", "label", "otherwise"} | set(
        policy.OPERATORS["text"] + policy.OPERATORS["integer"]
    )
    assert set(schema["$defs"]["Not"]["properties"]) == {"not"}


def _set(*path: Any, to: Any) -> Callable[[Content], None]:
    """An edit of one value; the first of `path` names a rule where it is no key of the policy."""

    def edit(content: Content) -> None:
        inside: Any = content if path[0] in content or len(path) == 1 else rule(content, path[0])
        for key in path[:-1] if inside is content else path[1:-1]:
            inside = inside[key]
        inside[path[-1]] = to

    return edit


def _drop(*path: Any) -> Callable[[Content], None]:
    def edit(content: Content) -> None:
        (rule(content, path[0]) if len(path) > 1 else content).pop(path[-1])

    return edit


def _repeat(rule_id: str) -> Callable[[Content], None]:
    def edit(content: Content) -> None:
        content["rules"].append(rule(content, rule_id))

    return edit


TYPOS: dict[str, tuple[Callable[[Content], None], str]] = {
    "unknown key": (_set("sql_probabilty", to=0.2), "sql_probabilty: is not a key that belongs here"),
    "missing key": (_drop("sql_probability"), "sql_probability: is required"),
    "probability as text": (_set("sql_probability", to="0.2"), "sql_probability: must be a valid number, not '0.2'"),
    "probability in percent": (
        _set("sql_probability", to=20),
        "sql_probability: must be less than or equal to 1, not 20",
    ),
    "version as a number": (_set("version", to=1), "version: must be a valid string, not 1"),
    "no rules": (_set("rules", to=[]), "rules: must have at least 1 item"),
    "action of no qualification": (_set("actions", "EQLS", to="Call"), "actions.EQLS: must be 'EQL', 'SQL'"),
    "unquoted NO": (_set("lists", "countries", 1, to=False), "lists.countries.1: must be a valid string, not False"),
    "unknown key of a rule": (_set("icp_fit", "requires", to={}), "rule icp_fit, requires: is not a key"),
    "unknown gate": (_set("icp_fit", "gate", to="fit"), "rule icp_fit, gate: must be 'record', 'disqualifier'"),
    "rule without a condition": (_drop("icp_fit", "require"), "rule icp_fit: a rule of gate icp has require"),
    "qualifying gate that forbids": (
        _set("icp_fit", "forbid", to={"field": "lead.opted_out", "equals": True}),
        "rule icp_fit: a rule of gate icp has require, and only that",
    ),
    "two rules of one id": (_repeat("icp_fit"), "the policy: rule ids must be unique; repeated: icp_fit"),
    "text for a condition": (_set("opted_out", "forbid", to="lead.opted_out"), "rule opted_out, forbid: must be a map"),
    "all of nothing": (_set("icp_fit", "require", to={"all": []}), "rule icp_fit, require.all: must have at least 1"),
    "unknown operator": (
        _set("buying_signal", "require", to={"feature": "buying_signals", "atleast": 1}),
        "rule buying_signal, require.atleast: is not a key that belongs here",
    ),
    "unknown operator deep inside": (
        _set("icp_fit", "require", "all", 0, to={"field": "account.employees", "betwen": [1, 2]}),
        "rule icp_fit, require.all.0.betwen: is not a key that belongs here",
    ),
    "two operators": (
        _set("buying_signal", "require", "at_most", to=3),
        "rule buying_signal, require: needs exactly one of equals, one_of, in_list",
    ),
    "no operator": (
        _set("buying_signal", "require", to={"feature": "buying_signals"}),
        "rule buying_signal, require: needs exactly one of equals",
    ),
    "two subjects": (
        _set("buying_signal", "require", "field", to="lead.channel"),
        "rule buying_signal, require: needs exactly one of field and feature",
    ),
    "bounds the wrong way round": (
        _set("icp_fit", "require", "all", 0, "between", to=[5000, 50]),
        "rule icp_fit, require.all.0: between needs the lower bound first",
    ),
    "unknown feature": (
        _set("buying_signal", "require", "feature", to="buying_signal"),
        "there is no feature 'buying_signal'; the closest are buying_signals",
    ),
    "unknown field": (
        _set("known_duplicate", "forbid", "field", to="lead.duplicate"),
        "there is no field 'lead.duplicate'; the closest are lead.duplicate_of",
    ),
    "outcome as a field": (
        _set("known_duplicate", "forbid", "field", to="lead_events.event"),
        "there is no field 'lead_events.event'",
    ),
    "undefined list": (
        _set("own_domain", "forbid", "any", 0, "in_list", to="own_domain"),
        "the policy: in_list names 'own_domain', which lists does not define",
    ),
    "number asked of text": (
        _set("buying_signal", "require", to={"field": "account.industry", "at_least": 3}),
        "at_least does not fit field account.industry (text); use equals or one_of",
    ),
    "list asked of a number": (
        _set("buying_signal", "require", to={"feature": "own_touches", "in_list": "industries"}),
        "in_list does not fit feature own_touches (real)",
    ),
    "number asked of a date": (
        _set("opted_out", "forbid", to={"field": "lead.referral_date", "at_least": 20}),
        "at_least does not fit field lead.referral_date (date); use given",
    ),
    "text for a flag": (
        _set("opted_out", "forbid", "equals", to="yes"),
        "field lead.opted_out (flag) never equals 'yes'; compare it with true or false",
    ),
}


@pytest.mark.parametrize(("edit", "says"), TYPOS.values(), ids=TYPOS)
def test_a_typo_is_refused_in_one_sentence(
    tmp_path: Path, content: Content, edit: Callable[[Content], None], says: str
) -> None:
    edit(content)
    assert refused(tmp_path, yaml.safe_dump(content)).startswith(says)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rules: [a: b: c\n  -", "not YAML: "),
        (b"\xff\xfe\x00", "not YAML: "),
        ('version: "\0"', "not YAML: "),
        ("!!python/object/apply:os.getcwd []", "not YAML: "),
        ("", "the policy: must be a mapping"),
        ("- a\n- b\n", "the policy: must be a mapping"),
    ],
)
def test_what_is_no_policy_at_all_is_refused(tmp_path: Path, text: str | bytes, says: str) -> None:
    assert refused(tmp_path, text).startswith(says)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(policy.InvalidPolicy, match=r"absent\.yaml: cannot be read .* give the path of a policy file"):
        policy.load(tmp_path / "absent.yaml", CATALOGUE)
