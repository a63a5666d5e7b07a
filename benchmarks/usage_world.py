"""A folder of `records` with any number of rows of integration usage. DuckDB makes it, the same at every run.

The rows cover two years in the order of recording: 200 rows an account, and one lead an account. `snapshots.parquet`
next to the folder has two moments of the second year for each lead. One row in 250 is corrected days later, and one in
eight of these corrections removes the row. One row in 100 is recorded late.
"""

from collections.abc import Mapping
from pathlib import Path

import duckdb

from features.folder import PROVENANCE
from features.provenance import Provenance
from features.records import KINDS, Kind
from features.value_types import DAY

ROWS_AN_ACCOUNT, ROWS_A_SNAPSHOT, CORRECTED, LATE = 200, 100, 250, 100
START, DAYS = 19_000 * DAY, 730
RECORDS, SNAPSHOTS = "records", "snapshots.parquet"

_SQL = {
    "text": "VARCHAR",
    "integer": "BIGINT",
    "real": "DOUBLE",
    "flag": "BOOLEAN",
    "instant": "TIMESTAMPTZ",
    "date": "TIMESTAMPTZ",
}


def write_world(home: Path, rows: int) -> None:
    """Writes accounts, leads, `rows` rows of usage with corrections, and the snapshots."""
    folder = home / RECORDS
    folder.mkdir(parents=True)
    accounts = rows // ROWS_AN_ACCOUNT
    connection = duckdb.connect(config={"threads": 2, "memory_limit": "4GB"})
    with connection:
        connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
        for kind, source, columns in (
            (KINDS["accounts"], f"range({accounts}) AS r(i)", _ACCOUNTS),
            (KINDS["leads"], f"range({accounts}) AS r(i)", _LEADS),
            (KINDS["integration_usage"], _usage(rows, accounts), _USAGE),
        ):
            connection.execute(_copy(_select(kind, source, columns), folder / f"{kind.name}.parquet"))
        snapshots = (
            f"SELECT {_lead('i')} AS lead_id, {_moment()} AS as_of FROM range({rows // ROWS_A_SNAPSHOT}) AS r(i)"
        )
        connection.execute(_copy(snapshots, home / SNAPSHOTS))
    (folder / PROVENANCE).write_text(Provenance(cut=START + DAYS * DAY).to_json())


def _copy(select: str, path: Path) -> str:
    return f"COPY ({select}) TO '{path}' (FORMAT parquet)"


def _select(kind: Kind, source: str, columns: Mapping[str, str]) -> str:
    listed = (f'({columns.get(c.name, "NULL")})::{_SQL[c.type]} AS "{c.name}"' for c in kind.columns)
    return f"SELECT {', '.join(listed)} FROM {source}"


def _account(number: str) -> str:
    return f"'A' || lpad(({number})::VARCHAR, 8, '0')"


def _lead(number: str) -> str:
    return f"'L' || lpad(({number} // 2)::VARCHAR, 8, '0')"


def _moment() -> str:
    """SQL for the moment of snapshot `i`, in the second year."""
    return f"(i % 2 * {DAYS // 4 * DAY} + {START + DAYS // 2 * DAY} + hash(i) % {DAYS // 4 * DAY})::BIGINT"


_START = f"make_timestamptz({START})"
_ACCOUNTS = {"account_id": _account("i"), "recorded_at": _START, "deleted": "false", "employees": "hash(i) % 5000"}
_LEADS = {
    "lead_id": _lead("2 * i"),
    "account_id": _account("i"),
    "created_at": _START,
    "occurred_at": _START,
    "recorded_at": _START,
    "deleted": "false",
    "channel": "'partner_referral'",
    "source_partner_id": "CASE WHEN i % 2 = 0 THEN 'P' || (i * 7 + 1) % 40 END",
}
_ENDED = "make_timestamptz(day + 86400000000)"
_USAGE = {
    "usage_id": "'U' || lpad(i::VARCHAR, 10, '0')",
    "account_id": _account("account"),
    "occurred_at": _ENDED,
    "recorded_at": f"{_ENDED} + to_days((later + CASE WHEN h % {LATE} = 0 THEN 1 + h // 7 % 20 ELSE 0 END)::INTEGER)",
    "deleted": "later > 0 AND h % 8 = 0",
    "integration": "'integration-' || (account * 7 + h // 11 % 3) % 40",
    "partner_id": "'P' || (account * 7 + h // 11 % 3) % 40",
    "day": "make_timestamptz(day)",
    "calls": "h // 13 % 900 + later",
    "active_users": "h // 17 % 40",
}


def _usage(rows: int, accounts: int) -> str:
    """SQL for the rows in the order of days, then the corrections, which are recorded after every late row."""
    first = f"""
    SELECT i, hash(i) AS h, (hash(i + {rows}) % {accounts})::BIGINT AS account, 0 AS later,
           {START} + (i * {DAYS} // {rows}) * {DAY} AS day FROM range({rows}) AS r(i)"""
    corrected = f"SELECT * REPLACE ((21 + h // 19 % 20)::INTEGER AS later) FROM ({first}) WHERE i % {CORRECTED} = 3"
    return f"({first} UNION ALL {corrected})"
