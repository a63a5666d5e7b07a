"""The words around the software are true: what they name exists, and what they show works."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import pytest
import typer.main
import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from app.cli import LateCommand, app
from app.settings import Settings
from features.catalogue import CATALOGUE, engagement
from features.catalogue.catalogue import Catalogue
from features.catalogue.document import markdown
from features.engines.python import evaluate
from features.engines.sql_compiler import query
from features.quality.checks import CHECKS
from features.value_types import parse_instant
from models.policy import Gate, Policy
from models.probability import RUNGS
from models.scorer import Scorer
from serving.decisions.responses import DecisionAnswer
from serving.http.bodies import read
from serving.http.responses import ProblemAnswer
from serving.http.strict_json import read_object
from serving.identity import ROLES
from serving.leads.responses import SubmittedLeadAnswer
from serving.scoring.requests import LeadRequest, ScoreRequest
from training.importing import mapping

ROOT = Path(__file__).parent.parent
NAMES = ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
POLICY = Path(str(files("models") / "default_policy.yaml"))
ROOMS = "features|models|training|operations|serving|app|benchmarks|tests|notebooks|examples"
LATER = parse_instant("2026-11-01T00:00:00Z")


@dataclass(frozen=True)
class Document:
    """A Markdown file."""

    name: str

    @property
    def path(self) -> Path:
        return ROOT / self.name

    @property
    def text(self) -> str:
        return self.path.read_text("utf-8")

    @property
    def tokens(self) -> Iterator[Token]:
        for token in MarkdownIt("commonmark").enable("table").parse(self.text):
            yield from (token, *(token.children or ()))

    def fences(self, *kinds: str) -> list[str]:
        """The fenced blocks of these kinds."""
        return [token.content for token in self.tokens if token.type == "fence" and token.info.strip() in kinds]

    @property
    def command_lines(self) -> list[str]:
        """What follows `eql` in the fenced blocks, to the end of the command."""
        text = "\n".join(self.fences("", "bash", "sh", "console")).replace("\\\n", " ")
        return re.findall(r"(?m)(?:^|[ (])eql ((?:\"[^\"\n]*\"|[^|>;)&\n\"#])+)", text)

    @property
    def inline_commands(self) -> list[str]:
        """What follows `eql` in running text."""
        inline = [token.content for token in self.tokens if token.type == "code_inline"]
        return [content.removeprefix("eql ") for content in inline if content.startswith("eql ")]


@pytest.fixture(params=NAMES)
def document(request: pytest.FixtureRequest) -> Document:
    return Document(request.param)


def words(line: str) -> list[str]:
    return [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', line)]


def find(line: str) -> tuple[Any, list[str]]:
    """The command that a line names, and the rest of the line."""
    command: Any = typer.main.get_command(app)
    rest = words(line)
    while rest and rest[0] in getattr(command, "commands", {}):
        command, rest = command.commands[rest[0]], rest[1:]
        command = command.load() if isinstance(command, LateCommand) else command
    runs = not hasattr(command, "commands") or command.invoke_without_command
    assert runs, f"there is no command: eql {line}"
    return command, rest


def test_commands_and_their_options_exist(document: Document) -> None:
    for line in document.command_lines:
        command, rest = find(line)
        command.make_context(command.name, rest)  # raises where an option or argument is not one
    for line in document.inline_commands:
        if line not in ("keys", "policy"):
            command, rest = find(line)
            options = {option for parameter in command.params for option in parameter.opts}
            assert {word for word in rest if word.startswith("-")} <= options, f"eql {line}"


def test_every_command_is_documented() -> None:
    documents = [Document(name) for name in NAMES]
    told = {words(line)[0] for d in documents for line in (*d.command_lines, *d.inline_commands)}
    command: Any = typer.main.get_command(app)
    assert told == {*command.commands}


def test_make_targets_exist(document: Document) -> None:
    targets = set(re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text("utf-8")))
    inline = [token.content for token in document.tokens if token.type == "code_inline"]
    named = re.findall(r"(?m)^make ([a-z]+)", "\n".join([*inline, *document.fences("")]))
    assert {*named} <= targets


def test_json_is_what_the_api_reads_and_writes(document: Document) -> None:
    for block in document.fences("json"):
        read_object(block.encode())


def test_yaml_is_a_mapping_or_a_rule(document: Document, tmp_path: Path) -> None:
    for block in document.fences("yaml"):
        content = yaml.safe_load(block)
        if isinstance(content, list):
            default = yaml.safe_load(POLICY.read_text("utf-8"))
            Policy.model_validate({**default, "rules": default["rules"] + content}).check(CATALOGUE)
        elif "records" in content:
            (tmp_path / "mapping.yaml").write_text(block, "utf-8")
            mapping.load(tmp_path / "mapping.yaml")


def test_links_lead_somewhere(document: Document) -> None:
    attributes = {"link_open": "href", "image": "src"}
    targets = [str(token.attrGet(attributes[token.type])) for token in document.tokens if token.type in attributes]
    relative = [target.partition("#")[0] for target in targets if not re.match(r"[a-z]+:|#", target)]
    missing = [target for target in relative if not (document.path.parent / target).exists()]
    assert not missing


def test_files_of_the_code_exist(document: Document) -> None:
    inline = {token.content for token in document.tokens if token.type == "code_inline"}
    files_named = {name for name in inline if re.fullmatch(rf"({ROOMS})/[\w/]+(\.py|\.yaml)?", name)}
    assert {name for name in files_named if not (ROOT / name).exists()} == set()


def test_every_document_is_linked_from_the_readme() -> None:
    hrefs = {str(token.attrGet("href")) for token in Document("README.md").tokens if token.type == "link_open"}
    assert {*NAMES} - {"README.md"} <= hrefs


def test_settings_are_documented_and_no_others() -> None:
    settings = {f"EQL_{name.upper()}" for name in Settings.model_fields}
    assert settings <= {*re.findall(r"EQL_[A-Z_]+", Document("docs/operate.md").text)}
    assert {found for name in NAMES for found in re.findall(r"EQL_[A-Z_]+", Document(name).text)} <= settings


@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("docs/policy.md", get_args(Gate)),
        ("docs/model.md", RUNGS),
        ("docs/operate.md", ROLES),
        ("docs/quality.md", [c.id for c in CHECKS]),
    ],
)
def test_no_term_is_left_out(name: str, terms: tuple[str, ...]) -> None:
    text = Document(name).text
    assert not [term for term in terms if f"| `{term}` |" not in text]


def test_each_test_that_is_named_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", Document("docs/security.md").text)
    missing = [f"{path}::{name}" for path, name in named if f"def {name}(" not in (ROOT / path).read_text("utf-8")]
    assert len(named) > 50
    assert not missing


def decide(body: bytes) -> dict[str, Any]:
    """What the default policy decides on a request, without a model."""
    request, _ = read(ScoreRequest, body)
    as_of = request.as_of or LATER
    policy = Policy.model_validate(yaml.safe_load(POLICY.read_text("utf-8")))
    facts = evaluate(CATALOGUE, request.facts(), as_of)
    return Scorer(CATALOGUE, policy, None).decide(request.lead.lead_id, as_of, facts).to_dict()


def same_rules(shown: dict[str, Any], decided: dict[str, Any]) -> bool:
    """Whether the rules shown are among those decided, as far as they are shown."""
    outcomes = {rule["rule"]: (rule["gate"], rule["outcome"], rule["reason"]) for rule in decided["rules"]}
    for rule in shown["rules"]:
        gate, outcome, reason = outcomes[rule["rule"]]
        if (gate, outcome) != (rule["gate"], rule["outcome"]) or not reason.startswith(
            rule["reason"].removesuffix("…")
        ):
            return False
    return True


def test_the_readme_shows_what_its_request_is_answered() -> None:
    readme = Document("README.md")
    [body] = re.findall(r"-d '(\{.*?\})'", "\n".join(readme.fences("")), re.DOTALL)
    [answer] = map(json.loads, readme.fences("json"))
    decided = decide(body.encode())
    assert {*answer} <= {*DecisionAnswer.model_fields}
    for name in ("qualification", "pending", "missing", "next_actions"):
        assert answer[name] == decided[name]
    assert same_rules(answer, decided)


def test_scoring_shows_what_its_request_is_answered() -> None:
    scoring = Document("docs/scoring.md")
    body, answer, problem = scoring.fences("json")
    shown, decided = DecisionAnswer.model_validate_json(answer).model_dump(), decide(body.encode())
    [promised] = re.findall(r"this lead is an \*\*([A-Z]+)\*\*", scoring.text)
    assert promised == shown["qualification"] == decided["qualification"]
    for name in ("lead_id", "as_of", "pending", "missing", "next_actions"):
        assert shown[name] == decided[name]
    assert same_rules(shown, decided)
    ProblemAnswer.model_validate_json(problem)


def test_leads_shows_what_its_request_is_answered() -> None:
    body, answer = Document("docs/leads.md").fences("json")
    read(LeadRequest, body.encode())
    shown, decided = json.loads(answer), decide(body.encode())
    assert {*shown} == {*SubmittedLeadAnswer.model_fields} - {"dry_run"}
    assert shown["lead_id"] == decided["lead_id"]
    assert shown["decision"] == {name: decided[name] for name in shown["decision"]}


def test_the_feature_of_the_recipe_works() -> None:
    [block] = Document("CONTRIBUTING.md").fences("python")
    assert len(block.splitlines()) < 10
    entry = eval(block, vars(engagement))
    catalogue = Catalogue((*CATALOGUE, entry))
    body = {"lead": {"lead_id": "L-1"}, "touchpoints": [{"channel": "webinar", "occurred_at": "2026-10-30T00:00:00Z"}]}
    request, _ = read(ScoreRequest, json.dumps(body).encode())
    assert evaluate(catalogue, request.facts(), LATER).features[entry.name] == 1
    assert entry.name in query(catalogue, "duckdb")
    assert entry.description in markdown(catalogue)


def test_the_features_page_is_the_catalogue() -> None:
    page = (ROOT / "docs" / "features.md").read_text("utf-8")
    assert page == markdown(CATALOGUE), "docs/features.md is out of date: run `make docs`"
