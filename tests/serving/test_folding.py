"""Free text over HTTP: folded texts decide, texts are shown as sent, and earlier decisions and models keep theirs."""

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, LargeBinary

from features.catalogue import CATALOGUE
from features.records import EVERYONE, PARTNER_HISTORY, TIER_HISTORY, Row
from features.value_types import DAY
from models.bundle import Bundle, read
from models.calibration import Calibration
from models.encoding import EncodedFeature, Encoding
from models.probability import Logistic, LogisticColumn
from serving.decisions import stored_decisions
from serving.records import versions
from serving.store.database import reading
from serving.tables import metadata
from tests.serving.test_replay import START, World

EARLIER: dict[str, list[dict[str, Any]]] = json.loads(
    Path(__file__).with_name("earlier_decisions.json").read_text(encoding="utf-8")
)
"""A store of the version before texts were folded: a policy, a model, and decisions on texts in odd spellings."""

FOLDED: dict[str, Any] = {
    "as_of": "2026-11-01T00:00:00Z",
    "lead": {
        "lead_id": "L-1",
        "channel": "partner_referral",
        "source_partner_id": "P-1",
        "programme_tier": "gold",
        "referral_date": "2026-10-20",
        "region": "emea",
        "product_line": "core",
    },
    "account": {
        "account_id": "A-1",
        "employees": 400,
        "industry": "software",
        "country": "DE",
        "technologies": ["salesforce", "slack"],
    },
    "partners": [{"partner_id": "P-1", "kind": "implementation", "tier": "gold", "certified": True}],
    "referrals": [{"partner_id": "P-1", "occurred_at": "2026-10-20T09:00:00Z"}],
    "integration_usage": [{"integration": "slack", "day": day, "calls": 120} for day in ("2026-10-29", "2026-10-30")],
    "buying_signals": [{"kind": "budget_confirmed", "occurred_at": "2026-10-25T10:00:00Z"}],
}
SPELLINGS: dict[str, tuple[tuple[str | int, ...], Any]] = {
    "industry, capital": (("account", "industry"), "Software"),
    "industry, blank": (("account", "industry"), " software"),
    "industry, capitals": (("account", "industry"), "SOFTWARE"),
    "industry, wide letters": (("account", "industry"), "\N{FULLWIDTH LATIN SMALL LETTER S}oftware\u00a0"),
    "programme tier": (("lead", "programme_tier"), "Gold"),
    "partner's tier": (("partners", 0, "tier"), "GOLD "),
    "region": (("lead", "region"), "EMEA"),
    "product line": (("lead", "product_line"), " Core"),
    "technologies": (("account", "technologies"), ["Salesforce", "slack "]),
    "integration": (("integration_usage", 0, "integration"), "slack "),
}
CATEGORIES = {
    "industry": ("software", "mining"),
    "region": ("emea", "apac"),
    "product_line": ("core",),
    "programme_tier": ("gold", "silver"),
    "source_partner_tier": ("gold",),
}
NUMBERS = ("technology_matches", "integrations_used_90d", "tier_win_rate")


def model() -> Bundle:
    """A small logistic model that reads every free text."""
    numbers = [EncodedFeature(name, "number") for name in NUMBERS]
    categories = [EncodedFeature(name, "category", levels) for name, levels in CATEGORIES.items()]
    columns = [
        LogisticColumn(feature=place, transform="number", mean=1.0, scale=2.0, coefficient=0.4) for place in range(3)
    ]
    columns += [
        LogisticColumn(feature=place, transform="level", mean=0.5, scale=0.5, coefficient=0.1 * place, level=0)
        for place in range(3, 3 + len(categories))
    ]
    encoding = Encoding((*numbers, *categories))
    made = Bundle(
        name="test",
        encoding=encoding,
        model=Logistic(len(encoding.features), -1.0, tuple(columns)),
        calibration=Calibration(1.1, -0.1, ((1.0, -0.2), (1.2, 0.1))),
        horizon_days=90,
        base_rate=0.1,
        grades=(0.4, 0.3, 0.2),
        attributes=(),
        features_sha256=CATALOGUE.values_sha256(encoding.names),
    )
    row = {**dict.fromkeys(NUMBERS, 1), **{name: levels[0] for name, levels in CATEGORIES.items()}}
    parts = made.contributions(made.encoding.encode({name: [value] for name, value in row.items()}, 1))
    return replace(made, golden=((row, float(parts.sum())),))


@pytest.fixture
def world(store: Engine) -> World:
    made = World(store)
    times = {"occurred_at": START - DAY, "recorded_at": START - DAY, "deleted": False}
    counts = (("gold", 40, 20), (EVERYONE, 200, 30))
    strengths = {"partner_strength": 7.0, "tier_strength": 3.0}
    tiers: list[Row] = [{**times, "tier": tier, "leads": n, "wins": won, **strengths} for tier, n, won in counts]
    with store.begin() as connection:
        versions.replace_derived(connection, {PARTNER_HISTORY: [], TIER_HISTORY: tiers})
    made.promote(model(), "1")
    return made


def spelt(path: tuple[str | int, ...], text: Any) -> dict[str, Any]:
    """The body with one text in another spelling."""
    body = deepcopy(FOLDED)
    place: Any = body
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = text
    return body


def decided(answer: dict[str, Any]) -> dict[str, Any]:
    """What a decision says, beside the words and the evidence that show texts as sent."""
    rules = {rule["rule"]: rule["outcome"] for rule in answer["rules"]}
    parts = {c["feature"]: (c["value"], c["log_odds"], c["points"]) for c in answer["explanation"]["contributions"]}
    kept = ("qualification", "pending", "missing", "close_probability", "grade", "without_partner")
    return {"rules": rules, "explanation": parts, **{name: answer[name] for name in kept}}


def features(world: World, decision_id: str) -> dict[str, Any]:
    with reading(world.engine) as connection:
        kept = stored_decisions.get(connection, decision_id)
    found: dict[str, Any] = json.loads(kept.features)["features"]
    return found


@pytest.mark.parametrize(("path", "text"), SPELLINGS.values(), ids=SPELLINGS)
def test_a_text_in_another_spelling_decides_alike(world: World, path: tuple[str | int, ...], text: Any) -> None:
    folded, other = world.score(FOLDED), world.score(spelt(path, text))
    assert decided(other) == decided(folded)
    assert features(world, other["decision_id"]) == features(world, folded["decision_id"])


def test_texts_are_shown_as_sent_and_a_level_that_training_lacked_is_said(world: World) -> None:
    answer = world.score(spelt(("account", "industry"), "SOFTWARE"))
    (rule,) = (rule for rule in answer["rules"] if rule["rule"] == "icp_fit")
    assert rule["evidence"]["industry"] == "SOFTWARE"
    said = {c["feature"]: c["sentence"] for c in answer["explanation"]["contributions"]}
    assert said["industry"] == "Industry: SOFTWARE"
    assert said["region"] == "Region: emea"
    unseen = world.score(spelt(("account", "industry"), "Underwater basketry"))
    said = {c["feature"]: c["sentence"] for c in unseen["explanation"]["contributions"]}
    assert said["industry"].startswith("Industry Underwater basketry: not seen in training")


def test_a_blank_text_is_unknown(world: World) -> None:
    answer, absent = (world.score(spelt(("lead", "programme_tier"), text)) for text in ("  ", None))
    assert decided(answer) == decided(absent)
    assert "Ask the partner to confirm its programme tier" in answer["missing"]


def test_stored_leads_decide_as_bodies_do(world: World) -> None:
    """The same texts, sent as records: in the store they stay as sent, and they decide folded."""
    world.store("partners", "P-1", partner_id="P-1", kind="implementation", tier=" Gold", certified=True)
    account = {**FOLDED["account"], "industry": "SOFTWARE", "technologies": ["Salesforce ", "SLACK"]}
    world.store("accounts", "A-1", **account)
    lead = {**FOLDED["lead"], "account_id": "A-1", "region": "EMEA", "programme_tier": "Gold"}
    world.store("leads", "L-1", **lead)
    world.store("referrals", "R-1", "L-1", partner_id="P-1", occurred_at="2026-10-20T09:00:00Z")
    world.store("buying_signals", "S-1", "L-1", kind="budget_confirmed", occurred_at="2026-10-25T10:00:00Z")
    for number, usage in enumerate(FOLDED["integration_usage"]):
        world.store("integration_usage", f"U-{number}", "A-1", **usage | {"integration": "Slack "})
    world.rescore(["L-1"])
    answer = world.get("/v1/leads/L-1/score")
    sent = decided(world.score({**FOLDED, "as_of": answer["as_of"]}))
    assert decided(answer)["explanation"] == sent["explanation"]
    assert decided(answer)["rules"] == sent["rules"]
    assert world.get("/v1/accounts/A-1")["industry"] == "SOFTWARE"


@pytest.mark.both_databases
def test_decisions_of_the_version_before_come_out_again_byte_for_byte(store: Engine) -> None:
    """Some of them hold codes that are refused by now, and tiers by which the history was kept as sent."""
    world = upgraded(store)
    assert world.outcomes() == [(origin, True) for origin in ("features", "facts") for _ in EARLIER["decisions"]]


def test_a_model_of_the_version_before_serves_and_compares_texts_as_sent(store: Engine) -> None:
    world = upgraded(store)
    champion = world.service.champion
    assert (champion.scorer().served, champion.error) != (None, None)
    (sent,) = (row for row in EARLIER["decision_payloads"] if '"region":"emea"' in row["request"] and row["history"])
    body = json.loads(sent["request"])
    body["account"]["country"] = "GB"
    history = json.loads(sent["history"])["rows"]
    # The history is derived again each day, now by folded tiers.
    tiers = [row | {"tier": row["tier"].casefold()} for row in history["tier_history"]]
    with store.begin() as connection:
        versions.replace_derived(connection, {PARTNER_HISTORY: history["partner_history"], TIER_HISTORY: tiers})
    before, after = json.loads(sent["content"]), world.score(body)
    assert after["close_probability"] == before["close_probability"]
    assert after["explanation"] == before["explanation"]
    assert world.outcomes() == [(origin, True) for origin in ("features", "facts") for _ in range(5)]


def upgraded(store: Engine) -> World:
    """A service over a store that holds what the version before kept."""
    with store.begin() as connection:
        for name, rows in EARLIER.items():
            connection.execute(metadata.tables[name].insert(), [_typed(name, row) for row in rows])
    return World(store)


def _typed(name: str, row: dict[str, Any]) -> dict[str, Any]:
    """A row with its binary columns: a bundle's files are written as text, other bytes in hexadecimal digits."""
    binary = {str(c.name) for c in metadata.tables[name].c if isinstance(c.type, LargeBinary)}
    flags = {str(c.name) for c in metadata.tables[name].c if c.type.python_type is bool}
    content = {
        name_: value.encode() if name == "bundle_files" else bytes.fromhex(value)
        for name_, value in row.items()
        if name_ in binary and value is not None
    }
    return row | content | {flag: bool(row[flag]) for flag in flags if row.get(flag) is not None}


def test_an_earlier_bundle_keeps_its_files_and_so_its_hash() -> None:
    files = {row["path"]: row["content"].encode() for row in EARLIER["bundle_files"]}
    bundle = read(files)
    assert (bundle.fold, dict(bundle.files)) == (0, files)
    assert (
        bundle.catalogue(CATALOGUE).sha256
        == json.loads(EARLIER["decision_payloads"][0]["content"])["catalogue"]["sha256"]
    )
