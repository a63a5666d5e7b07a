"""The compiler: the catalogue as one portable SQL query, for any engine that holds the records as tables.

A table holds the columns of `Kind.columns` (instants as int64 microseconds), beside each free text a column with the
folded text (see `features.folding`), and `superseded_at`: the moment at which a later version of the same record
replaced a version, null for the last version. So the version visible at `as_of` is found by an equi-join and a time
filter. The table `snapshots(snapshot, lead_id, as_of)` holds the leads and moments to evaluate; `snapshot` numbers its
rows, to group by. Where the records have no dates (an undated export), any `as_of` gives the same features. sqlglot
writes the query in the dialect of the engine.

The query is built in three steps for each kind of fact:

1. A scan joins each snapshot with its visible facts: `f_<record>` with all facts, `recent_<record>` with those of the
   longest window. Each aggregate has one column in the scan, its contribution of each fact; the contribution is null
   where the fact does not qualify.
2. A group reduces the scan to one row for each snapshot. A count of distinct values groups twice, first by snapshot and
   value, so that one pass serves all windows of a column.
3. The features are arithmetic over the columns of the groups and of the joined entities.
"""

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, singledispatch
from string import ascii_lowercase, ascii_uppercase

from sqlglot import exp

from features.catalogue.catalogue import Catalogue
from features.catalogue.entry import (
    ENTITIES,
    FACTS,
    PARTNER_TOUCHES,
    READABLE,
    REFERRALS,
    Aggregate,
    Condition,
    DaysSince,
    Difference,
    Entry,
    Expression,
    Given,
    LeadChannel,
    Matches,
    Month,
    Quotient,
    Reading,
    ShrunkRate,
)
from features.folding import folded_column, sent_column
from features.partner_lead import PARTNER_ONLY_CHANNELS, SHARED_CHANNELS
from features.records import EVERYONE, OWN_CHANNELS
from features.rows import list_fields
from features.value_types import DAY

ENTITY_COLUMNS: tuple[tuple[str, str], ...] = tuple(
    (entity, column.name) for entity, kind in ENTITIES.items() for column in kind.content
)
"""The columns of the entities that rules read."""


def entity_columns(catalogue: Catalogue) -> Sequence[tuple[str, str]]:
    """The entity columns that `query` can return beside the features, named `entity.column`; texts are as sent.

    They are those that rules read, and the attributes whose text a sentence shows.
    """
    return (*ENTITY_COLUMNS, *(place for place in catalogue.texts.values() if place not in ENTITY_COLUMNS))


_EARLIEST = exp.column("earliest", table="parameters", quoted=True)
"""A placeholder for a number in a template.

Its text cannot occur inside another name, because a quotation mark inside a quoted name is doubled.
"""


def query(catalogue: Catalogue, dialect: str, earliest: int = 0, *, fields: bool = False) -> str:
    """SQL with one row for each snapshot, sorted by lead_id and as_of: lead_id, as_of, then the features in order.

    Args:
        catalogue: the features to compute.
        dialect: a sqlglot dialect, such as `duckdb`, `postgres` or `spark`.
        earliest: the earliest `as_of` of the snapshots, microseconds; facts before all windows are not read.
        fields: whether to return the entity columns (`entity_columns`) too, which rules and sentences read.
    """
    return fill_template(template(catalogue, dialect, fields), dialect, earliest)


def fill_template(text: str, dialect: str, earliest: int) -> str:
    """The query of a template, for snapshots from `earliest` (microseconds) on."""
    return text.replace(_EARLIEST.sql(dialect=dialect, identify=True), str(earliest))


@lru_cache(maxsize=32)
def template(catalogue: Catalogue, dialect: str, fields: bool) -> str:
    """The SQL of `query` with a placeholder for the earliest moment, which `fill_template` replaces."""
    distinct = aggregates(catalogue)
    select = exp.select(_column("s", "lead_id"), _column("s", "as_of")).from_("snapshots AS s")
    select = select.select(*(_named(_feature(entry), entry.name) for entry in catalogue.evaluated))
    if fields:
        select = select.select(
            *(_named(_column(entity, column), f"{entity}.{column}") for entity, column in entity_columns(catalogue))
        )
    select = _join_entities(select)
    for group, needed in _grouped_by(distinct, _group_name).items():
        # The facts of a lead that is not visible at the moment must not count, so the join also needs the lead.
        on = exp.and_(_same("s", group, "snapshot"), exp.not_(_column("lead", "lead_id").is_(exp.null())))
        select = select.join(_grouped(needed).subquery(), on=on, join_type="left", join_alias=group)
    for scan, needed in _grouped_by(distinct, _scan_name).items():
        select = select.with_(exp.to_identifier(scan, quoted=True), as_=_facts(needed))
    return select.order_by(_column("s", "lead_id"), _column("s", "as_of")).sql(dialect=dialect, identify=True)


def _column(table: str, name: str) -> exp.Column:
    return exp.column(name, table=table, quoted=True)


def _named(expression: exp.Expr, name: str) -> exp.Expr:
    return exp.alias_(expression, name, quoted=True)


def _same(left: str, right: str, column: str) -> exp.Expr:
    return exp.EQ(this=_column(left, column), expression=_column(right, column))


def _join_entities(select: exp.Select) -> exp.Select:
    """Joins the lead, its account, its source partner and the histories, each as of the snapshot."""
    # The key of a history is null, and so its join empty, for a lead without a source partner. A partner's tier may
    # itself be called like the history of all partners, so that name is excluded. Histories have folded tiers.
    source = _column("lead", "source_partner_id")
    everyone = exp.Case().when(exp.not_(source.is_(exp.null())), exp.Literal.string(EVERYONE))
    folded = _column("partner", folded_column("tier"))
    tier = exp.Case().when(folded.neq(EVERYONE), folded)
    keys: Mapping[str, exp.Expr] = {
        "lead": _column("s", "lead_id"),
        "account": _column("lead", "account_id"),
        "partner": source,
        "partner_history": source,
        "tier_history": tier,
        "all_history": everyone,
    }
    for alias, key in keys.items():
        kind = READABLE[alias]
        on = exp.and_(exp.EQ(this=_column(alias, kind.id), expression=key), _visible(alias))
        select = select.join(exp.to_table(kind.name), on=on, join_type="left", join_alias=alias)
    return select


def _visible(table: str) -> exp.Expr:
    """The condition that a version is the last one recorded by the snapshot's moment, and no tombstone."""
    moment = _column("s", "as_of")
    recorded, superseded = _column(table, "recorded_at"), _column(table, "superseded_at")
    return exp.and_(
        exp.or_(recorded.is_(exp.null()), recorded <= moment),
        exp.or_(superseded.is_(exp.null()), superseded > moment),
        exp.not_(_column(table, "deleted")),
    )


def aggregates(catalogue: Catalogue) -> list[Aggregate]:
    """The different aggregates of a catalogue."""
    return list(dict.fromkeys(aggregate for entry in catalogue.evaluated for aggregate in _aggregates_in(entry.value)))


def _grouped_by(all_of: Iterable[Aggregate], key: Callable[[Aggregate], str]) -> dict[str, list[Aggregate]]:
    groups: dict[str, list[Aggregate]] = {}
    for aggregate in all_of:
        groups.setdefault(key(aggregate), []).append(aggregate)
    return groups


def _aggregates_in(expression: Expression) -> list[Aggregate]:
    match expression:
        case Aggregate():
            return [expression]
        case Difference(minuend, subtrahend):
            return _aggregates_in(minuend) + _aggregates_in(subtrahend)
        case Quotient(dividend, divisor):
            return _aggregates_in(dividend) + ([] if isinstance(divisor, int | float) else _aggregates_in(divisor))
        case ShrunkRate(successes, trials, prior, strength):
            return [part for each in (successes, trials, prior, strength) for part in _aggregates_in(each)]
        case LeadChannel():
            return [REFERRALS, PARTNER_TOUCHES]
        case _:
            return []


def _scan_name(aggregate: Aggregate) -> str:
    """The name of an aggregate's scan. Aggregates over a window share a scan that reads recent facts only."""
    return f"f_{aggregate.record}" if aggregate.days is None else f"recent_{aggregate.record}"


def _group_name(aggregate: Aggregate) -> str:
    """The name of an aggregate's group. The distinct values of a column have a group of their own."""
    return f"{_scan_name(aggregate)}_{aggregate.column if aggregate.how == 'distinct' else 'all'}"


def _facts(aggregates: Sequence[Aggregate]) -> exp.Select:
    """The scan of some aggregates: a row for each visible fact of each snapshot, with every contribution."""
    record = aggregates[0].record
    kind = FACTS[record]
    parent = kind.parent or kind.id
    conditions = [condition for aggregate in aggregates for condition in aggregate.where]
    select = exp.select(_column("s", "snapshot")).from_("snapshots AS s")
    key = _column("s", "lead_id")
    if parent == "account_id" or any(condition.test == "source" for condition in conditions):
        lead = ENTITIES["lead"]
        on = exp.and_(exp.EQ(this=_column("lead", lead.id), expression=key), _visible("lead"))
        select = select.join(exp.to_table(lead.name), on=on, join_alias="lead")
        key = _column("lead", parent)
    occurred = _column("f", "occurred_at")
    happened = exp.or_(occurred.is_(exp.null()), occurred <= _column("s", "as_of"))
    on = exp.and_(
        exp.EQ(this=_column("f", parent), expression=key), _visible("f"), happened, *_window_start(aggregates)
    )
    select = select.join(exp.to_table(record), on=on, join_alias="f")
    if any(condition.column.startswith("partner.") for condition in conditions):
        on = exp.and_(_same("partner", "f", "partner_id"), _visible("partner"))
        select = select.join(exp.to_table("partners"), on=on, join_type="left", join_alias="partner")
    counted = dict.fromkeys(a.column for a in aggregates if a.how == "distinct" and a.column)
    select = select.select(*(_column("f", column) for column in counted))
    return select.select(*(_named(_contribution(aggregate), _name(aggregate)) for aggregate in aggregates))


def _window_start(aggregates: Sequence[Aggregate]) -> list[exp.Expr]:
    """The conditions that a fact lies in the longest window; empty where an aggregate has none."""
    days = [aggregate.days + aggregate.skip for aggregate in aggregates if aggregate.days is not None]
    if len(days) < len(aggregates):
        return []
    # The second condition follows from the first. It compares with a number, from which an engine knows beforehand
    # which parts of a file it need not read.
    starts = (_before(moment, max(days)) for moment in (_column("s", "as_of"), _EARLIEST))
    return [_column("f", "occurred_at") > start for start in starts]


def _before(moment: exp.Expr, days: int) -> exp.Expr:
    return exp.Sub(this=moment.copy(), expression=exp.Literal.number(days * DAY))


def _grouped(aggregates: Sequence[Aggregate]) -> exp.Select:
    """One row for each snapshot with every aggregate of one group."""
    rows: exp.Table | exp.Subquery = exp.to_table(_scan_name(aggregates[0]))
    if aggregates[0].how == "distinct":
        # Engines would scan the rows once for each COUNT(DISTINCT ...); grouping by the value needs one scan for all.
        value = exp.column(aggregates[0].column or "", quoted=True)
        flags = (_named(exp.Max(this=_own(aggregate)), _name(aggregate)) for aggregate in aggregates)
        rows = exp.select("snapshot", *flags).from_(rows).group_by("snapshot", value).subquery("each")
    columns = (_named(_reduced(aggregate), _name(aggregate)) for aggregate in aggregates)
    return exp.select("snapshot", *columns).from_(rows).group_by("snapshot")


def _name(aggregate: Aggregate) -> str:
    """A column name for an aggregate, unique within its scan and short enough for every engine."""
    return f"{aggregate.how}_{zlib.crc32(repr(aggregate).encode()):08x}"


def _own(aggregate: Aggregate) -> exp.Column:
    return exp.column(_name(aggregate), quoted=True)


def _contribution(aggregate: Aggregate) -> exp.Expr:
    """The contribution of a fact to an aggregate; null where the fact does not qualify."""
    conditions = [*_window(aggregate), *map(_condition, aggregate.where)]
    expression: exp.Expr = _column("f", aggregate.column or "occurred_at")
    if aggregate.how == "distinct":
        conditions.append(exp.not_(expression.is_(exp.null())))
    if aggregate.how in ("count", "distinct"):
        expression = exp.Literal.number(1)
    if aggregate.how == "faded":
        expression = _weight(aggregate)
    return exp.Case().when(exp.and_(*conditions), expression) if conditions else expression


def _reduced(aggregate: Aggregate) -> exp.Expr:
    """The aggregate of the contributions of a snapshot's facts."""
    expression = _own(aggregate)
    match aggregate.how:
        case "count" | "distinct":
            return exp.Count(this=expression)
        case "days_since_first":
            return exp.Min(this=expression)
        case "days_since_last" | "max":
            return exp.Max(this=expression)
        case "faded":
            return exp.Sum(this=expression)
    # Engines sum integers in wider types of their own (HUGEINT, NUMERIC), so the sum is cast to one type.
    integral = next(c for c in FACTS[aggregate.record].content if c.name == aggregate.column).type == "integer"
    return exp.cast(exp.Sum(this=expression), "BIGINT" if integral else "DOUBLE")


def _weight(aggregate: Aggregate) -> exp.Expr:
    """The share that a fact states, halved for every half-life since the fact was recorded."""
    as_of, column = _column("s", "as_of"), _column("f", aggregate.column or "")
    half_life = _double(exp.Literal.number((aggregate.half_life or 1) * DAY))
    age = exp.paren(exp.Sub(this=as_of, expression=exp.func("COALESCE", _column("f", "recorded_at"), as_of)))
    power = exp.Pow(this=_double(exp.Literal.number(0.5)), expression=_double(age) / half_life)
    return exp.func("COALESCE", column, _double(exp.Literal.number(1))) * power


def _double(number: exp.Expr) -> exp.Expr:
    return exp.cast(number, "DOUBLE")


def _days(instant: exp.Expr) -> exp.Expr:
    since = exp.paren(exp.Sub(this=_column("s", "as_of"), expression=instant))
    return exp.Div(this=_double(since), expression=_double(exp.Literal.number(DAY)), typed=False)


def _window(aggregate: Aggregate) -> list[exp.Expr]:
    """The conditions that a fact lies in the window of an aggregate; a fact without a date lies in none."""
    occurred, as_of = _column("f", "occurred_at"), _column("s", "as_of")
    end = [occurred <= _before(as_of, aggregate.skip)] if aggregate.skip else []
    start = [occurred > _before(as_of, aggregate.skip + aggregate.days)] if aggregate.days else []
    return [*end, *start]


def _condition(condition: Condition) -> exp.Expr:
    table, column = "f", condition.column
    if column.startswith("partner."):
        table, column = "partner", column.removeprefix("partner.")
    return _tested(_column(table, column), condition)


def _tested(column: exp.Column, condition: Condition) -> exp.Expr:
    match condition.test:
        case "given":
            return exp.not_(column.is_(exp.null()))
        case "absent":
            return column.is_(exp.null())
        case "mentions":
            return _holds(column, str(condition.values[0]))
        case "out":
            return exp.or_(column.is_(exp.null()), exp.not_(column.isin(*condition.values)))
        case "source":
            return exp.EQ(this=column, expression=_column("lead", "source_partner_id"))
    return column.isin(*condition.values)


def _holds(column: exp.Expr, item: str) -> exp.Expr:
    return exp.StrPosition(this=column, substr=exp.Literal.string(f"|{item}|")) > exp.Literal.number(0)


def _feature(entry: Entry) -> exp.Expr:
    expression = _value(entry.value)
    return _or_zero(expression) if entry.missing == "none" else expression


def _or_zero(expression: exp.Expr) -> exp.Expr:
    return (
        expression if isinstance(expression, exp.Coalesce) else exp.func("COALESCE", expression, exp.Literal.number(0))
    )


_FROM_ZERO = ("count", "distinct", "sum", "faded")
"""The aggregates that are 0 where no fact qualifies."""


@singledispatch
def _value(expression: Expression) -> exp.Expr:
    raise NotImplementedError(f"no SQL for {expression!r}")


@_value.register
def _(aggregate: Aggregate) -> exp.Expr:
    expression: exp.Expr = _column(_group_name(aggregate), _name(aggregate))
    if aggregate.how in ("days_since_first", "days_since_last"):
        return _days(expression)
    return _or_zero(expression) if aggregate.how in _FROM_ZERO else expression


@_value.register
def _(reading: Reading) -> exp.Expr:
    expression: exp.Expr = _column(reading.entity, reading.column)
    flags = {column.name for column in READABLE[reading.entity].content if column.type == "flag"}
    if reading.column in flags:
        expression = (
            exp.Case().when(expression, exp.Literal.number(1)).when(exp.not_(expression), exp.Literal.number(0))
        )
    if reading.where:
        holds = exp.and_(*(_tested(_column(reading.entity, c.column), c) for c in reading.where))
        expression = exp.Case().when(holds, expression)
    return expression


@_value.register
def _(channel: LeadChannel) -> exp.Expr:
    name, source, none = _column("lead", "channel"), _column("lead", "source_partner_id"), exp.Literal.number(0)
    partner = exp.or_(
        exp.not_(source.is_(exp.null())), *(_value(aggregate) > none for aggregate in (REFERRALS, PARTNER_TOUCHES))
    )
    if channel.side == "partner":
        holds = exp.or_(name.isin(*PARTNER_ONLY_CHANNELS), exp.and_(name.isin(*SHARED_CHANNELS), partner))
    else:
        holds = exp.or_(name.isin(*OWN_CHANNELS), exp.and_(name.isin(*SHARED_CHANNELS), exp.not_(partner)))
    return exp.Case().when(holds, name)


@_value.register
def _(days: DaysSince) -> exp.Expr:
    instant = _value(days.instant)
    return exp.Case().when(exp.LTE(this=instant, expression=_column("s", "as_of")), _days(instant))


@_value.register
def _(matches: Matches) -> exp.Expr:
    expression, one, none = _value(matches.reading), exp.Literal.number(1), exp.Literal.number(0)
    count: exp.Expr
    column = sent_column(matches.reading.column) or matches.reading.column
    if column in list_fields(READABLE[matches.reading.entity]):
        counts = [exp.Case().when(_holds(_lower(expression), value), one).else_(none) for value in matches.values]
        count = exp.paren(sum(counts, none))
    else:
        count = exp.Case().when(_lower(expression).isin(*matches.values), one).else_(none)
    return exp.Case().when(exp.not_(expression.is_(exp.null())), count)


def _lower(text: exp.Expr) -> exp.Expr:
    """A text with its ASCII letters in lower case; engines differ in the lower case of other letters."""
    return exp.func("TRANSLATE", text, *(exp.Literal.string(letters) for letters in (ascii_uppercase, ascii_lowercase)))


@_value.register
def _(given: Given) -> exp.Expr:
    expression, one, none = _value(given.reading), exp.Literal.number(1), exp.Literal.number(0)
    return exp.Case().when(exp.not_(expression.is_(exp.null())), one).else_(none)


@_value.register
def _(_month: Month) -> exp.Expr:
    moment = exp.UnixToTime(this=_column("s", "as_of"), scale=exp.UnixToTime.MICROS)
    return exp.cast(exp.Extract(this=exp.var("month"), expression=moment), "BIGINT")


@_value.register
def _(quotient: Quotient) -> exp.Expr:
    if isinstance(quotient.divisor, int | float):
        return _double(_value(quotient.dividend)) / _double(exp.Literal.number(quotient.divisor))
    divisor = exp.func("NULLIF", _double(_value(quotient.divisor)), _double(exp.Literal.number(0)))
    return _double(_value(quotient.dividend)) / divisor


@_value.register
def _(difference: Difference) -> exp.Expr:
    return exp.paren(exp.Sub(this=_value(difference.minuend), expression=_value(difference.subtrahend)))


@_value.register
def _(rate: ShrunkRate) -> exp.Expr:
    none = exp.Literal.number(0)
    prior, strength = _double(_value(rate.prior)), _double(_value(rate.strength))
    successes, trials = (_double(exp.func("COALESCE", _value(part), none)) for part in (rate.successes, rate.trials))
    total = exp.func("NULLIF", exp.paren(trials + strength), _double(none))
    return exp.paren(successes + strength * exp.paren(prior)) / total
