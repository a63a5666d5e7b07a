"""Scorers and leads built by hand, and the decisions on them that were pinned before decisions became typed values."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from features.catalogue.catalogue import Catalogue
from features.catalogue.entry import Aggregate, Entry, Reading
from features.engines.python import Evaluation
from features.value_types import parse_instant
from models.bundle import Bundle
from models.calibration import Calibration
from models.encoding import EncodedFeature, Encoding
from models.policy import AllOf, AnyOf, Policy, Rule, Test
from models.probability import BaseRate, Logistic, LogisticColumn, MarginModel
from models.scorer import Scorer, ServedModel

GOLDEN: Mapping[str, Any] = json.loads(Path(__file__).with_name("golden_decisions.json").read_text(encoding="utf-8"))
"""By the name of the case: `content` is the JSON form with its order of keys, `stored` the text that a store keeps."""

CATALOGUE = Catalogue(
    (
        Entry(
            family="partner_referral",
            name="referrals",
            value=Aggregate("count", "referrals"),
            unit="referrals",
            description="Referrals.",
            sentence="Referred by a partner ({value})",
            absent="No referral",
            direction=1,
            partner=True,
        ),
        Entry(
            family="icp",
            name="employees",
            value=Reading("account", "employees"),
            unit="people",
            description="Employees.",
            sentence="{value} employees",
            absent="Size unknown",
            missing="unknown",
        ),
        Entry(
            family="icp",
            name="industry",
            value=Reading("account", "industry"),
            unit="industry",
            description="Industry.",
            sentence="Industry: {value} – “as told”",
            absent="Industry unknown",
            missing="unknown",
            kind="category",
        ),
    ),
    fold=0,
)
"""The pinned decisions were made before texts were folded."""
POLICY = Policy(
    version="7",
    sql_probability=0.3,
    minimum_probability=0.25,
    actions={"EQL": "Hand it over", "MQL": "Nurture it", "DISQUALIFIED": "Leave it"},
    lists={"industries": ("software", "e-commerce")},
    rules=(
        Rule(
            id="opted_out",
            gate="disqualifier",
            description="Has not opted out",
            forbid=Test(field="lead.opted_out", equals=True),
        ),
        Rule(
            id="record",
            gate="record",
            description="The referral's date is recorded",
            ask="Ask the partner for the date",
            require=AllOf(
                all=(
                    Test(field="lead.partner_lead", equals=True),
                    Test(field="lead.referral_date", given=True, otherwise="unknown"),
                )
            ),
        ),
        Rule(
            id="fit",
            gate="icp",
            description="Fits",
            ask="Ask the partner for size and industry",
            require=AllOf(
                all=(
                    Test(field="account.employees", between=(50, 5000)),
                    Test(field="account.industry", in_list="industries"),
                )
            ),
        ),
        Rule(
            id="ecosystem",
            gate="ecosystem_signal",
            description="A referral, or a stack that fits",
            require=AnyOf(
                any=(
                    Test(feature="referrals", at_least=1),
                    Test(field="account.technologies", one_of=("Salesforce",)),
                )
            ),
        ),
    ),
)
OPEN = POLICY.model_copy(update={"minimum_probability": None})
ENCODING = Encoding(
    (
        EncodedFeature("referrals", "number"),
        EncodedFeature("employees", "number"),
        EncodedFeature("industry", "category", ("software", "mining")),
    )
)


def _bundle(model: MarginModel, **changed: Any) -> Bundle:
    described: dict[str, Any] = {
        "name": "eql",
        "encoding": ENCODING,
        "model": model,
        "calibration": Calibration(0.9, 0.1, ((0.8, 0.0), (0.9, 0.2), (1.0, 0.1))),
        "horizon_days": 90,
        "base_rate": 0.2,
        "grades": (0.4, 0.3, 0.2),
        "attributes": (),
        "fold": 0,
        "features_sha256": CATALOGUE.values_sha256(ENCODING.names),
        "expected_amount": (3_600_000, "USD"),
    }
    return Bundle(**{**described, **changed})


_COLUMNS = (
    LogisticColumn(feature=0, transform="number", mean=0.25, scale=0.5, coefficient=0.4),
    LogisticColumn(feature=1, transform="number", mean=5.0, scale=1.5, coefficient=0.3),
    LogisticColumn(feature=1, transform="missing", mean=0.1, scale=0.3, coefficient=-0.2),
    LogisticColumn(feature=2, transform="level", mean=0.5, scale=0.5, coefficient=0.25, level=1),
)
LOGISTIC = ServedModel(_bundle(Logistic(3, -1.5, _COLUMNS)), "12")
BASE_RATE = ServedModel(
    _bundle(
        BaseRate(3, -1.25), calibration=Calibration(1.0, 0.0), horizon_days=None, grades=None, expected_amount=None
    ),
    "1",
)


def _lead(lead: Mapping[str, Any], account: Mapping[str, Any], referrals: int) -> Evaluation:
    features = {"referrals": referrals, "employees": account.get("employees"), "industry": account.get("industry")}
    partner = {"partner_id": "P-1", "name": "Zoë & Søns"} if lead.get("source_partner_id") else {}
    return Evaluation(lead, account, partner, features, fold=0)


_REFERRED = {"lead_id": "L-1", "channel": "partner_referral", "source_partner_id": "P-1"}
_DAY = parse_instant("2026-10-20T00:00:00Z")
_FITTING = {"employees": 400, "industry": "E_commerce", "technologies": "|Salesforce|slack|"}
REFERRAL = _lead({**_REFERRED, "referral_date": _DAY, "opted_out": False}, _FITTING, 2)
PENDING = _lead(_REFERRED, {"industry": "software"}, 1)
OPTED_OUT = _lead({"lead_id": "L-1", "channel": "co_created_content", "opted_out": True}, _FITTING, 0)

CASES: Mapping[str, tuple[Scorer, int, Evaluation]] = {
    "a referral, without a model": (Scorer(CATALOGUE, OPEN, None), 1_790_000_000_123_456, REFERRAL),
    "what is unknown, without a model": (Scorer(CATALOGUE, POLICY, None), 1_790_000_000_000_000, PENDING),
    "opted out, without a model": (Scorer(CATALOGUE, POLICY, None), 0, OPTED_OUT),
    "a referral, by a model": (Scorer(CATALOGUE, POLICY, LOGISTIC), 1_790_000_000_000_000, REFERRAL),
    "what is unknown, by a model": (Scorer(CATALOGUE, POLICY, LOGISTIC), 1_790_000_000_000_000, PENDING),
    "opted out, by a model": (Scorer(CATALOGUE, OPEN, LOGISTIC), 1_790_000_000_000_000, OPTED_OUT),
    "at the base rate": (Scorer(CATALOGUE, POLICY, BASE_RATE), 1_790_000_000_000_000, REFERRAL),
}
"""By name: the scorer, the moment in microseconds, and the lead as of that moment."""
