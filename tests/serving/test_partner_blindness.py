"""What a partner sees is the same, byte for byte, whether or not its lead joined an account of the vendor."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from sqlalchemy import Engine

from features.catalogue import CATALOGUE
from features.value_types import DAY, SECOND, iso_date
from serving.access import keys, sessions
from serving.app import create_app
from serving.champion import bundles
from serving.champion.watcher import ModelWatcher
from serving.decisions import current_scores
from serving.leads.partner_namespace import partner_account_id
from serving.rescoring.rescoring import queue_open_leads, rescore_due
from serving.service import Service
from serving.store.database import reading
from tests.serving.conftest import POLICY, asked, opened, saying
from tests.serving.test_api_leads import BODY, LEAD, NOW

PARTNER = "P-1"
ADDRESS = "cto@victim.example"
FITTING = {"employees": 900, "industry": "software", "country": "DE", "name": "Victim Plc"}
UNFIT = {**FITTING, "employees": 9}
COMPETITOR = {**FITTING, "competitor": True}
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
PAGES = ("/", "/?view=eql", "/?view=pending")
SENT = {"lead": {**LEAD, "email": ADDRESS}, "referrals": BODY["referrals"]}
CONFIRMED = {**SENT, "confirmations": BODY["confirmations"][:1]}


@dataclass
class World:
    """A service with a model, whose ids and times depend on the requests alone."""

    store: Engine
    now: int = NOW
    numbers: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        bundle = saying(0.0)
        with self.store.begin() as connection:
            bundles.publish(
                connection, bundle.files, name="test", version="1", sha256=bundle.sha256, actor="t", reason="t", at=NOW
            )
            self.crm = {"X-Api-Key": self._key(connection, "crm", None)}
            self.partner = {"X-Api-Key": self._key(connection, "partner", PARTNER)}
            link = sessions.offer(connection, "partner", PARTNER, expires_at=NOW + 9 * DAY, tokens=self.tokens)
            session = sessions.redeem(connection, link, at=NOW, expires_at=NOW + 9 * DAY, tokens=self.tokens)
        self.visitor = {"Cookie": f"eql_session={session}"}
        champion = ModelWatcher(self.store, CATALOGUE, POLICY, lambda: self.now)
        service = Service(engine=self.store, champion=champion, clock=lambda: self.now, tokens=self.tokens)
        self.scoring, self.app = service.scoring, create_app(service)

    def _key(self, connection: Any, role: Any, partner: str | None) -> str:
        return keys.create(connection, role, partner, at=NOW, tokens=self.tokens)

    def tokens(self, size: int) -> bytes:
        return next(self.numbers).to_bytes(size, "big")

    def put(self, path: str, body: Any) -> None:
        answer = asked(self.app, "PUT", path, body, self.crm)
        assert answer.status_code in (200, 201), answer.text

    def use_integration(self, account_id: str) -> None:
        usage = {"record": "integration_usage", "account_id": account_id, "integration": "slack", "calls": 9}
        lines = [json.dumps({**usage, "day": iso_date(NOW - day * DAY)}) for day in range(1, 21)]
        assert asked(self.app, "POST", "/v1/records", "\n".join(lines).encode(), self.crm).status_code == 200

    def ours(self, lead_id: str) -> Any:
        return asked(self.app, "GET", f"/v1/leads/{lead_id}/score", headers=self.crm).json()

    def send(self, body: Any, headers: Any = None) -> tuple[int, dict[str, str], bytes]:
        answer = asked(self.app, "POST", "/v1/leads", body, {**self.partner, **(headers or {})})
        shown = {
            name: answer.headers[name]
            for name in ("location", "content-length", "content-type")
            if name in answer.headers
        }
        return answer.status_code, shown, answer.content

    def rescore(self) -> None:
        queue_open_leads(self.scoring)
        rescore_due(self.scoring)

    def seen(self) -> list[Any]:
        """Everything that the partner can read, with the decisions that it reads of."""
        scores = asked(self.app, "GET", "/v1/scores", headers=self.partner)
        decisions = [item["decision_id"] for item in scores.json()["items"]]
        leads = [item["lead_id"] for item in scores.json()["items"]]
        read = [asked(self.app, "GET", f"/v1/decisions/{each}", headers=self.partner) for each in decisions]
        pages = [
            asked(self.app, "GET", each, headers=self.visitor) for each in (*PAGES, *(f"/leads/{x}" for x in leads))
        ]
        assert {answer.status_code for answer in (scores, *read, *pages)} == {200}
        return [answer.content for answer in (scores, *read, *pages)]


@pytest.fixture
def worlds(database: str, request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Callable[[], World]]:
    """Makes new worlds."""
    with ExitStack() as stack:
        numbers = count()

        def new() -> World:
            if database == "postgresql":
                fresh, template = (request.getfixturevalue(name) for name in ("fresh", "template"))
                url = stack.enter_context(fresh(template))
            else:
                path = tmp_path / f"{next(numbers)}.sqlite"
                path.write_bytes(request.getfixturevalue("template_file").read_bytes())
                url = f"sqlite:///{path}"
            return World(stack.enter_context(opened(url)))

        yield new


def journey(world: World, account: dict[str, Any], domain: str) -> list[Any]:
    """A partner's requests and a vendor's, with all that the partner sees; a lead of `domain` joins the account."""
    told: list[Any] = []
    world.put("/v1/accounts/A-7", {**account, "domain": domain})
    world.use_integration("A-7")
    told += [world.send(SENT, {"Eql-Dry-Run": "true"}), world.send(SENT, {"Idempotency-Key": "k"})]
    told += [world.send(SENT, {"Idempotency-Key": "k"}), world.send(CONFIRMED, {"Idempotency-Key": "k"})]
    told += [world.send(SENT), *world.seen()]
    lead_id = json.loads(told[1][2])["lead_id"]
    world.put("/v1/buying_signals/B-1", {"lead_id": lead_id, **BODY["buying_signals"][0]})
    world.put("/v1/confirmations/C-1", {"lead_id": lead_id, **BODY["confirmations"][1]})
    world.rescore()
    told += world.seen()
    told += [world.send(CONFIRMED), *world.seen()]
    # The account's values change for us alone.
    world.now += SECOND
    world.put("/v1/accounts/A-7", {**account, "domain": domain, "employees": 700})
    world.rescore()
    told += world.seen()
    supplied = {"account_id": "A-7", "employees": 300, "industry": "software"}
    told += [world.send({**CONFIRMED, "account": supplied}), *world.seen()]
    told += [world.send({**CONFIRMED, "account": {**supplied, "country": "DE"}}), *world.seen()]
    told += [world.send({**SENT, "lead": {**SENT["lead"], "lead_id": "L-2", "account_id": "A-7"}}), *world.seen()]
    told += [world.send({**SENT, "lead": {**SENT["lead"], "account_id": 7}}), world.send({**SENT, "partners": []})]
    other = {**LEAD, "source_partner_id": "P-2", "email": ADDRESS}
    told += [world.send({"lead": other}), world.send({**SENT, "buying_signals": BODY["buying_signals"]})]
    return told


def _without_random_ids(seen: list[Any]) -> list[str]:
    """What was seen, with the random ids of decisions numbered as they first appear."""
    names: dict[str, str] = {}
    return [_UUID.sub(lambda found: names.setdefault(found[0], f"decision {len(names)}"), repr(each)) for each in seen]


@pytest.mark.both_databases
def test_a_partner_sees_the_same_whether_or_not_its_lead_joined_an_account(worlds: Callable[[], World]) -> None:
    _same_in_both_worlds(worlds, FITTING)


@pytest.mark.parametrize("account", [UNFIT, COMPETITOR], ids=["unfit", "competitor"])
def test_a_partner_does_not_see_that_the_account_fails_a_rule(
    worlds: Callable[[], World], account: dict[str, Any]
) -> None:
    _same_in_both_worlds(worlds, account)


def _same_in_both_worlds(worlds: Callable[[], World], account: dict[str, Any]) -> None:
    seen = [journey(worlds(), account, domain) for domain in ("victim.example", "other.example")]
    joined, apart = map(_without_random_ids, seen)
    for number, (one, other) in enumerate(zip(joined, apart, strict=True)):
        assert one == other, number
    assert "Victim" not in repr(seen)


def test_our_score_uses_the_account_that_the_partner_does_not_see(worlds: Callable[[], World]) -> None:
    world = worlds()
    world.put("/v1/accounts/A-7", {**FITTING, "domain": "victim.example"})
    lead_id = json.loads(world.send(CONFIRMED)[2])["lead_id"]
    world.put("/v1/buying_signals/B-1", {"lead_id": lead_id, **BODY["buying_signals"][0]})
    world.put("/v1/confirmations/C-1", {"lead_id": lead_id, **BODY["confirmations"][1]})
    assert world.ours(lead_id)["qualification"] == "EQL"
    answer = json.loads(world.send(CONFIRMED)[2])
    icp = "Ask the partner to confirm the account's size, industry and country"
    assert (answer["qualification"], answer["pending"], answer["missing"]) == ("MQL", True, [icp])
    with reading(world.store) as connection:
        listed = {who: current_scores.get(connection, lead_id, who) for who in (None, PARTNER, "P-2")}
    assert [score and score.qualification for score in listed.values()] == ["EQL", "MQL", None]


def test_a_partner_can_supply_what_is_missing(worlds: Callable[[], World]) -> None:
    world = worlds()
    for sent, expected in (
        (CONFIRMED, "pending"),
        ({**CONFIRMED, "account": {"account_id": "X", "employees": 300}}, "pending"),
        ({**CONFIRMED, "account": {"account_id": "X", "industry": "software", "country": "DE"}}, "supplied"),
    ):
        answer = json.loads(world.send(sent)[2])
        assert answer["missing"] == ([] if expected == "supplied" else answer["missing"]) != [expected]
    stored = asked(world.app, "GET", f"/v1/leads/{answer['lead_id']}", headers=world.crm).json()
    assert stored["account_id"] == partner_account_id(PARTNER, "X")
    icp = next(rule for rule in world.ours(answer["lead_id"])["rules"] if rule["rule"] == "icp_fit")
    assert icp["outcome"] == "pass"
