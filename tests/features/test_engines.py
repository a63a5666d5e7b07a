"""I2: the same feature rows from every engine. I3: nothing recorded after the moment changes anything."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from features.catalogue import CATALOGUE
from features.direct import evaluate
from features.engines.duckdb import DuckDBEngine
from features.folder import FolderWriter
from features.partner_history import derive
from features.provenance import Attribute, Provenance
from features.records import KINDS, OWN_CHANNELS, PARTNER_CHANNELS
from features.values import DAY, Scalar

PROVENANCE = Provenance(
    attributes=(Attribute("score", "number", "at_creation"), Attribute("origin", "category", "at_creation"))
)
WITH_ATTRIBUTES = CATALOGUE.with_attributes(PROVENANCE.attributes)
NOW = 20_000 * DAY
HORIZON = 90

LEADS, ACCOUNTS, PARTNERS = ("L1", "L2"), ("A1", "A2"), ("P1", "P2", "P3")
days = st.integers(-200, 30).map(lambda d: NOW + d * DAY)
instants = st.one_of(days, st.integers(NOW - 120 * DAY, NOW + 5 * DAY), st.just(NOW))


def optional(strategy: st.SearchStrategy[Scalar]) -> st.SearchStrategy[Scalar]:
    return st.one_of(st.none(), strategy)


def record(
    kind: str, ids: Sequence[str], parents: Sequence[str], /, **columns: st.SearchStrategy[Scalar]
) -> st.SearchStrategy[dict[str, Scalar]]:
    """Flat rows of one kind; few ids, so that versions, ties and tombstones of one record happen often."""
    known = KINDS[kind]
    empty: dict[str, Scalar] = {column.name: None for column in known.columns}
    content = {known.id: st.sampled_from(ids), "recorded_at": instants, "occurred_at": instants}
    content |= {"deleted": st.sampled_from([False, False, False, True])}
    if known.parent:
        content[known.parent] = st.sampled_from(parents)

    return st.fixed_dictionaries(content | columns).map(lambda row: empty | row)


IDS = tuple(f"R{n}" for n in range(6))
partner = st.sampled_from((*PARTNERS, "P-unknown"))
channels = st.sampled_from((*PARTNER_CHANNELS, *OWN_CHANNELS))
ROWS: Mapping[str, st.SearchStrategy[dict[str, Scalar]]] = {
    "accounts": record(
        "accounts",
        ACCOUNTS,
        (),
        employees=optional(st.integers(0, 9000)),
        industry=optional(st.sampled_from(["software", "mining"])),
        annual_revenue_minor=optional(st.integers(0, 10**12)),
        annual_revenue_currency=optional(st.sampled_from(["USD", "EUR"])),
        recorded_at=optional(instants),
    ),
    "partners": record("partners", PARTNERS, (), certified=optional(st.booleans()), tier=optional(st.just("gold"))),
    "leads": record(
        "leads",
        LEADS,
        (),
        account_id=optional(st.sampled_from(ACCOUNTS)),
        created_at=optional(instants),
        channel=optional(channels),
        source_partner_id=optional(partner),
        recorded_at=instants,
        occurred_at=optional(instants),
    ).flatmap(
        lambda row: st.builds(
            lambda score, origin: row | {"attributes.score": score, "attributes.origin": origin},
            optional(st.floats(-5, 5)),
            optional(st.sampled_from(["a", "b"])),
        )
    ),
    "referrals": record("referrals", IDS, LEADS, partner_id=partner),
    "confirmations": record(
        "confirmations",
        IDS,
        LEADS,
        side=st.sampled_from(["partner", "vendor"]),
        subjects=st.sampled_from(["|fit|", "|intent|", "|fit|intent|"]),
    ),
    "integration_usage": record(
        "integration_usage",
        IDS,
        ACCOUNTS,
        integration=st.sampled_from(["slack", "jira"]),
        day=days,
        calls=optional(st.integers(0, 999)),
        active_users=optional(st.integers(0, 99)),
    ),
    "shared_customers": record(
        "shared_customers",
        IDS,
        ACCOUNTS,
        partner_id=partner,
        relationship=st.sampled_from(["customer", "opportunity", "prospect"]),
        confidence=optional(st.floats(0, 1)),
        occurred_at=optional(instants),
        recorded_at=optional(instants),
    ),
    "touchpoints": record("touchpoints", IDS, LEADS, channel=channels, partner_id=optional(partner)),
    "buying_signals": record("buying_signals", IDS, LEADS, kind=st.sampled_from(["demo_request", "budget_confirmed"])),
    "lead_events": record("lead_events", IDS, LEADS, event=st.sampled_from(["won", "lost", "opened"])),
}
worlds = st.fixed_dictionaries({kind: st.lists(rows, max_size=8) for kind, rows in ROWS.items()})
World = Mapping[str, Sequence[Mapping[str, Scalar]]]


def batch(world: World, as_ofs: Sequence[int]) -> list[dict[str, Scalar]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "records"
        with FolderWriter(folder, PROVENANCE) as writer:
            for kind, rows in world.items():
                writer.write(KINDS[kind], rows)
        snapshots = pa.table({"lead_id": [i for i in LEADS for _ in as_ofs], "as_of": [*as_ofs] * len(LEADS)})
        with DuckDBEngine(folder, HORIZON) as engine:
            return engine.evaluate(WITH_ATTRIBUTES, snapshots, fields=True).to_pylist()


def direct(world: World, lead_id: str, as_of: int) -> dict[str, Scalar]:
    """As the store hands it over: rows of the lead and of its accounts, and the history of every partner."""
    facts = {**world, "leads": [row for row in world["leads"] if row["lead_id"] == lead_id]}
    facts["partner_history"] = derive(world["leads"], world["lead_events"], HORIZON)
    found = evaluate(WITH_ATTRIBUTES, facts, as_of)
    fields = {"lead": found.lead, "account": found.account, "partner": found.partner}
    return dict(found.features) | {f"{e}.{c}": value for e, row in fields.items() for c, value in row.items()}


def same(left: Scalar, right: Scalar) -> bool:
    if isinstance(left, float) or isinstance(right, float):
        return left == right or (
            left is not None and right is not None and abs(left - right) <= 1e-9 * max(1, abs(left))
        )
    return left == right


@settings(max_examples=25, deadline=None)
@given(worlds, st.lists(instants, min_size=1, max_size=2, unique=True))
def test_engines_agree_on_any_world(world: World, as_ofs: list[int]) -> None:
    for row in batch(world, as_ofs):
        wanted = direct(world, row["lead_id"], row["as_of"])
        for name in WITH_ATTRIBUTES.names:
            assert same(row[name], wanted[name]), (name, row["lead_id"], row[name], wanted[name])
        for name in ("lead.channel", "account.employees", "partner.certified"):
            assert row[name] == wanted.get(name), name


@settings(max_examples=25, deadline=None)
@given(worlds, worlds, st.sampled_from([NOW, NOW - 40 * DAY]))
def test_nothing_recorded_later_changes_a_feature(world: World, later: World, as_of: int) -> None:
    """Rows recorded after as_of, tombstones and corrections among them, are added; the rows before are all the same."""
    seen = {kind: [row for row in rows if (row["recorded_at"] or 0) <= as_of] for kind, rows in world.items()}
    future = {kind: [row for row in rows if (row["recorded_at"] or 0) > as_of] for kind, rows in later.items()}
    mixed = {kind: [*seen[kind], *future[kind]] for kind in world}
    assert batch(seen, [as_of]) == batch(mixed, [as_of])
    for lead_id in LEADS:
        assert direct(seen, lead_id, as_of) == direct(mixed, lead_id, as_of)
