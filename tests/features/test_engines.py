"""I2: the same feature rows from every engine. I3: nothing recorded after the moment changes anything.

A Spark query takes seconds, however small; so Spark gets many worlds at once, side by side in one folder.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from features.catalogue import CATALOGUE
from features.engines.duckdb import DuckDBEngine
from features.engines.engine import Engine, plain, shaped
from features.engines.postgres import PostgresEngine
from features.engines.python import evaluate
from features.engines.spark import SparkEngine
from features.folder import FolderWriter, Format
from features.partner_history import histories
from features.provenance import ATTRIBUTE_PREFIX, Attribute, Provenance
from features.records import KINDS, OWN_CHANNELS, PARTNER_CHANNELS
from features.value_types import DAY, Scalar, parse_instant

LONG = "как давно мы знаем этого клиента, по словам партнёра " * 5
ODD = """it's 100 % "odd". `so` \\ said; -- she $1 ? {x} [y] <z>|"""
PROVENANCE = Provenance(
    attributes=(
        Attribute("score", "number", "at_creation"),
        Attribute("origin", "category", "at_creation"),
        Attribute(f"{LONG}first", "number", "at_creation"),
        Attribute(f"{LONG}second", "category", "at_creation"),
        Attribute(ODD, "number", "at_creation"),
        Attribute("employees", "category", "at_creation"),
    )
)
WITH_ATTRIBUTES = CATALOGUE.with_attributes(PROVENANCE.attributes)
LEAP_DAY = parse_instant("2024-02-29T00:00:00Z")
NOW = LEAP_DAY + DAY
HORIZON = 90

LEADS, ACCOUNTS, PARTNERS = ("L1", "l1", "Ł-😀"), ("A1", "A2"), ("P1", "P2", "P3")
days = st.integers(-200, 30).map(lambda d: NOW + d * DAY)
instants = st.one_of(
    days,
    st.integers(NOW - 120 * DAY, NOW + 5 * DAY),
    st.sampled_from([NOW, NOW - 1, NOW + 1, LEAP_DAY, LEAP_DAY - 90 * DAY, LEAP_DAY - 366 * DAY]),
)
Row: TypeAlias = Mapping[str, Scalar]
World: TypeAlias = Mapping[str, Sequence[Row]]


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
        content[known.parent] = st.sampled_from((*parents, "unknown"))
    return st.fixed_dictionaries(content | columns).map(lambda row: empty | row)


IDS = tuple(f"R{n}" for n in range(6))
partner = st.sampled_from((*PARTNERS, "unknown"))
channels = st.sampled_from((*PARTNER_CHANNELS, *OWN_CHANNELS))
reals = st.floats(-1e6, 1e6)
ATTRIBUTES = {
    f"{ATTRIBUTE_PREFIX}{attribute.name}": optional(
        reals if attribute.kind == "number" else st.sampled_from(["a", "A ", "b", "", " ", "ü\n'\"\\|,"])
    )
    for attribute in PROVENANCE.attributes
}
ROWS: Mapping[str, st.SearchStrategy[dict[str, Scalar]]] = {
    "accounts": record(
        "accounts",
        ACCOUNTS,
        (),
        employees=optional(st.integers(0, 2**53)),
        industry=optional(st.sampled_from(["software", " Software", "SOFTWARE", " ", "mining"])),
        annual_revenue_minor=optional(st.integers(0, 10**12)),
        annual_revenue_currency=optional(st.sampled_from(["USD", "EUR"])),
        technologies=optional(st.sampled_from(["||", "|slack|", "|Slack |Jira|", "|slacker|sl_ck|", "| |"])),
        competitor=optional(st.booleans()),
        recorded_at=optional(instants),
    ),
    "partners": record(
        "partners",
        PARTNERS,
        (),
        certified=optional(st.booleans()),
        tier=optional(st.sampled_from(["gold", "Gold ", "silver", "*", " "])),
        kind=optional(st.sampled_from(["agency", "integration"])),
    ),
    "leads": record(
        "leads",
        LEADS,
        (),
        account_id=optional(st.sampled_from((*ACCOUNTS, "unknown"))),
        created_at=optional(instants),
        channel=optional(channels),
        source_partner_id=optional(partner),
        email_domain=optional(st.sampled_from(["gmail.com", "acme.example"])),
        region=optional(st.sampled_from(["EMEA", "emea", "e\u0301\u0301 'x'", "é\u0301 'X'"])),
        occurred_at=optional(instants),
        **ATTRIBUTES,
    ),
    "referrals": record("referrals", IDS, LEADS, partner_id=partner),
    "confirmations": record(
        "confirmations",
        IDS,
        LEADS,
        side=st.sampled_from(["partner", "vendor"]),
        partner_id=optional(partner),
        subjects=st.sampled_from(["|fit|", "|intent|", "|fit|intent|"]),
    ),
    "integration_usage": record(
        "integration_usage",
        IDS,
        ACCOUNTS,
        integration=st.sampled_from(["slack", "Slack ", "jira"]),
        partner_id=optional(partner),
        day=days,
        calls=optional(st.integers(0, 2**53)),
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
    "touchpoints": record(
        "touchpoints",
        IDS,
        LEADS,
        channel=channels,
        kind=optional(st.sampled_from(["visit", "download", "webinar"])),
        partner_id=optional(partner),
        url_tagged=optional(st.booleans()),
    ),
    "buying_signals": record("buying_signals", IDS, LEADS, kind=st.sampled_from(["demo_request", "budget_confirmed"])),
    "lead_events": record("lead_events", IDS, LEADS, event=st.sampled_from(["won", "lost", "opened", "reopened"])),
}
worlds = st.fixed_dictionaries({kind: st.lists(rows, max_size=8) for kind, rows in ROWS.items()})


@contextmanager
def written(world: World, format: Format = "parquet") -> Iterator[Path]:
    """A folder that holds a world."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "records"
        with FolderWriter(folder, PROVENANCE, format) as writer:
            for kind, rows in world.items():
                writer.write(KINDS[kind], rows)
        yield folder


def asked(world: World, as_ofs: Sequence[int]) -> pa.Table:
    """Snapshots of every lead a world knows of, at each moment, and of one it does not."""
    leads = sorted({*LEADS, "unknown", *(str(row["lead_id"]) for row in world["leads"])}, reverse=True)
    return pa.table({"lead_id": [i for i in leads for _ in as_ofs], "as_of": [*as_ofs] * len(leads)})


def answers(engine: Engine, snapshots: pa.Table) -> tuple[pa.Table, ...]:
    """The features, and the leads open and known at the first moment."""
    with engine:
        found = engine.evaluate(WITH_ATTRIBUTES, snapshots, fields=True)
        moment = snapshots["as_of"][0].as_py()
        tables = (
            shaped(found, WITH_ATTRIBUTES, Provenance(), fields=True),
            engine.open_leads(moment),
            engine.known_leads(moment),
        )
        return tuple(plain(table).combine_chunks() for table in tables)


def direct(world: World, lead_id: str, as_of: int) -> dict[str, Scalar]:
    """As the store hands it over: rows of the lead and of its accounts, and the history of every partner."""
    leads, partners, events = (world[name] for name in ("leads", "partners", "lead_events"))
    facts: dict[str, Sequence[Row]] = {**world, "leads": [row for row in leads if row["lead_id"] == lead_id]}
    facts |= {kind.name: rows for kind, rows in histories(leads, partners, events, HORIZON).items()}
    found = evaluate(WITH_ATTRIBUTES, facts, as_of)
    entities = {"lead": found.lead, "account": found.account, "partner": found.partner}
    return dict(found.features) | {f"{e}.{c}": value for e, row in entities.items() for c, value in row.items()}


def same(left: Scalar, right: Scalar) -> bool:
    """Whether two values are one: counts and categories to the bit, reals to 1e-9."""
    if isinstance(left, float) or isinstance(right, float):
        if left is None or right is None or isinstance(left, str) or isinstance(right, str):
            return left == right
        return abs(left - right) <= 1e-9 * max(1, abs(left))
    return left == right


def assert_direct(found: pa.Table, world: World) -> None:
    """Every row is what the direct engine says, the fields that rules read included."""
    for row in found.to_pylist():
        wanted = direct(world, row["lead_id"], row["as_of"])
        for name in found.column_names[2:]:
            assert same(row[name], wanted.get(name)), (name, row["lead_id"], row[name], wanted.get(name))


def assert_same(left: tuple[pa.Table, ...], right: tuple[pa.Table, ...]) -> None:
    """The same columns of the same types, the same rows in the same order."""
    for one, other in zip(left, right, strict=True):
        assert one.schema == other.schema
        for name in one.column_names:
            pairs = zip(one[name].to_pylist(), other[name].to_pylist(), strict=True)
            assert all(same(a, b) for a, b in pairs), name


def in_order(found: pa.Table) -> bool:
    """Whether rows are in the order of the bytes of their lead, then of their moment."""
    keys = [(row["lead_id"].encode(), row["as_of"]) for row in found.select(["lead_id", "as_of"]).to_pylist()]
    return keys == sorted(keys)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=worlds, as_ofs=st.lists(instants, min_size=1, max_size=2, unique=True))
def test_engines_agree_on_any_world(postgres_url: str, world: World, as_ofs: list[int]) -> None:
    snapshots = asked(world, as_ofs)
    with written(world) as folder:
        duckdb = answers(DuckDBEngine(folder, HORIZON), snapshots)
        postgres = answers(PostgresEngine(folder, HORIZON, postgres_url), snapshots)
    assert in_order(duckdb[0])
    assert len(duckdb[0]) == len(snapshots)
    assert_direct(duckdb[0], world)
    assert_same(duckdb, postgres)


def split(world: World, later: World, as_of: int) -> tuple[World, World]:
    """What of `world` was recorded by a moment, and the same among what `later` says was recorded after it."""
    seen = {kind: [row for row in rows if (row["recorded_at"] or 0) <= as_of] for kind, rows in world.items()}
    future = {kind: [row for row in rows if (row["recorded_at"] or 0) > as_of] for kind, rows in later.items()}
    return seen, {kind: [*future[kind][::2], *seen[kind], *future[kind][1::2]] for kind in world}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=worlds, later=worlds, as_of=st.sampled_from([NOW, NOW - 40 * DAY]))
def test_nothing_recorded_later_changes_a_feature(postgres_url: str, world: World, later: World, as_of: int) -> None:
    """Rows recorded after as_of, tombstones and corrections among them, are added; the rows before are all the same."""
    seen, mixed = split(world, later, as_of)
    snapshots = asked(mixed, [as_of])
    with written(seen) as without, written(mixed) as amid:
        assert answers(DuckDBEngine(without, HORIZON), snapshots) == answers(DuckDBEngine(amid, HORIZON), snapshots)
        postgres = [answers(PostgresEngine(folder, HORIZON, postgres_url), snapshots) for folder in (without, amid)]
    assert postgres[0] == postgres[1]
    for lead_id in LEADS:
        assert direct(seen, lead_id, as_of) == direct(mixed, lead_id, as_of)


def some(count: int, strategy: st.SearchStrategy[Any]) -> list[Any]:
    """The same `count` examples at every run."""
    found: list[Any] = []

    @settings(max_examples=count, derandomize=True, database=None, deadline=None, phases=[Phase.generate])
    @given(strategy)
    def collect(example: Any) -> None:
        found.append(example)

    collect()
    return found


NAMES = {"lead_id", "account_id", "partner_id", "source_partner_id", *(kind.id for kind in KINDS.values())}


def side_by_side(several: Sequence[World]) -> World:
    """One world of several, in which their records do not meet, but for what all partners' leads came to."""

    def apart(row: Row, number: int) -> Row:
        return {
            name: f"{number}-{value}" if name in NAMES and value is not None else value for name, value in row.items()
        }

    return {kind: [apart(row, n) for n, world in enumerate(several) for row in world[kind]] for kind in ROWS}


def test_spark_agrees_on_many_worlds(spark: SparkSession) -> None:
    world = side_by_side(some(30, worlds))
    snapshots = asked(world, [NOW, NOW - 40 * DAY])
    with written(world) as folder:
        duckdb = answers(DuckDBEngine(folder, HORIZON), snapshots)
        found = answers(SparkEngine(folder, HORIZON, spark), snapshots)
    assert in_order(found[0])
    assert_direct(found[0], world)
    assert_same(duckdb, found)


def test_spark_sees_nothing_recorded_later(spark: SparkSession) -> None:
    pairs = [split(world, later, NOW) for world, later in some(30, st.tuples(worlds, worlds))]
    seen, mixed = (side_by_side(several) for several in zip(*pairs, strict=True))
    snapshots = asked(mixed, [NOW])
    with written(seen) as without, written(mixed) as amid:
        found = [answers(SparkEngine(folder, HORIZON, spark), snapshots) for folder in (without, amid)]
    assert found[0] == found[1]


@pytest.fixture(params=["duckdb", "postgres", "spark"])
def opened(request: pytest.FixtureRequest) -> Callable[[Path], Engine]:
    """Each engine, of a folder."""
    if request.param == "duckdb":
        return lambda folder: DuckDBEngine(folder, HORIZON)
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
        return lambda folder: PostgresEngine(folder, HORIZON, url)
    session = request.getfixturevalue("spark")
    return lambda folder: SparkEngine(folder, HORIZON, session)


def test_csv_gives_what_parquet_gives(opened: Callable[[Path], Engine]) -> None:
    world = side_by_side(some(10, worlds))
    snapshots = asked(world, [NOW])
    with written(world) as parquet, written(world, "csv") as csv:
        assert_same(answers(DuckDBEngine(parquet, HORIZON), snapshots), answers(opened(csv), snapshots))
