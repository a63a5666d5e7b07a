"""Opening a folder of records for examination.

A file that the engine refuses is reported, and is read as far as possible for the other checks.
"""

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from features.engines.duckdb import DuckDBEngine, UnreadableRecords
from features.folder import PROVENANCE, FolderError, read_provenance
from features.quality.scope import Relation, identifier, text
from features.records import KINDS, Column, ColumnType, Kind

_REFUSALS = (UnreadableRecords, FolderError, duckdb.Error)
_MAX_MESSAGE_LENGTH = 400
_READERS = {
    "parquet": "read_parquet({})",
    "csv": "read_csv({}, all_varchar = true, header = true, ignore_errors = true)",
}
_SQL_TYPES: Mapping[ColumnType, str] = {"text": "VARCHAR", "integer": "BIGINT", "real": "DOUBLE", "flag": "BOOLEAN"}


@dataclass(frozen=True)
class Opened:
    """A folder that is open for examination.

    Attributes:
        engine: the engine that runs the SQL.
        relations: the relation of each kind, by the kind's name; a kind without a readable file has none.
        refused: why the engine refuses the file of a kind, by the kind's name, without values of records.
    """

    engine: DuckDBEngine
    relations: Mapping[str, Relation]
    refused: Mapping[str, str]


@contextmanager
def opened(folder: Path, horizon_days: int) -> Iterator[Opened]:
    """A folder of records, open while the block runs.

    Raises:
        FolderError: the folder is no folder of records.
    """
    read_provenance(folder)
    with _engine(folder, horizon_days) as (engine, refused):
        loaded = _loaded(engine)
        relations, unreadable = {name: loaded[name] for name in loaded.keys() - refused.keys()}, dict(refused)
        for kind in KINDS.values():
            if kind.name not in relations and (file := _file(folder, kind)):
                try:
                    relations[kind.name] = _leniently(engine, file, kind)
                except _REFUSALS as error:
                    unreadable.setdefault(kind.name, _refusal(error, folder))
        yield Opened(engine, relations, unreadable)


@contextmanager
def _engine(folder: Path, horizon_days: int) -> Iterator[tuple[DuckDBEngine, dict[str, str]]]:
    """The engine on the files that it accepts; and why it refuses each other file, by the kind's name."""
    try:
        engine = DuckDBEngine(folder, horizon_days)
    except _REFUSALS:
        with tempfile.TemporaryDirectory() as name:
            refused = _refused(folder, Path(name), horizon_days)
            accepted = [kind for kind in KINDS.values() if kind.name not in refused]
            with DuckDBEngine(_part(folder, Path(name) / "accepted", accepted), horizon_days) as part:
                yield part, refused
    else:
        with engine:
            yield engine, {}


def _refused(folder: Path, spare: Path, horizon_days: int) -> dict[str, str]:
    """Why the engine refuses the file of a kind, by the kind's name; it is given each file alone."""
    refused: dict[str, str] = {}
    for kind in KINDS.values():
        alone = _part(folder, spare / kind.name, [kind])
        try:
            with DuckDBEngine(alone, horizon_days):
                pass
        except _REFUSALS as error:
            refused[kind.name] = _refusal(error, alone)
    return refused


def _part(folder: Path, part: Path, kinds: Sequence[Kind]) -> Path:
    """A new folder with links to the files of some kinds of a record folder."""
    part.mkdir()
    for name in (PROVENANCE, *(f"{kind.name}.{suffix}" for kind in kinds for suffix in _READERS)):
        if (folder / name).exists():
            (part / name).symlink_to((folder / name).absolute())
    return part


def _refusal(error: Exception, folder: Path) -> str:
    """The text of a refusal as reports show it: the file without its folder, and no value of a record."""
    line = str(error).splitlines()[0].replace(f"{folder}/", "")
    return re.sub(r"""'.*'|".*\"""", "…", line)[:_MAX_MESSAGE_LENGTH]


def _loaded(engine: DuckDBEngine) -> dict[str, Relation]:
    """The relations of the kinds that the engine holds."""
    rows = engine.sql("SELECT table_name AS kind, column_name AS name FROM information_schema.columns").to_pylist()
    names = {kind: frozenset(row["name"] for row in rows if row["kind"] == kind) for kind in KINDS}
    return {kind: Relation(identifier(kind), columns) for kind, columns in names.items() if columns}


def _file(folder: Path, kind: Kind) -> Path | None:
    paths = (folder / f"{kind.name}.{suffix}" for suffix in _READERS)
    return next((path for path in paths if path.exists()), None)


def _leniently(engine: DuckDBEngine, file: Path, kind: Kind) -> Relation:
    """A file as a relation with the contract's columns; null where a column is missing or a value has another type."""
    source = _READERS[file.suffix.removeprefix(".")].format(text(str(file)))
    present = {row["column_name"] for row in engine.sql(f"DESCRIBE SELECT * FROM {source}").to_pylist()}
    columns = ", ".join(_cast(column, column.name in present) for column in kind.columns)
    superseded = f"lead(coalesce(recorded_at, 0)) OVER (PARTITION BY {identifier(kind.id)} ORDER BY recorded_at)"
    select = f"(SELECT *, {superseded} AS superseded_at FROM (SELECT {columns} FROM {source}))"
    return Relation(select, frozenset(column.name for column in kind.columns))


def _cast(column: Column, present: bool) -> str:
    name = identifier(column.name)
    value = f"CAST({name} AS VARCHAR)" if present else "CAST(NULL AS VARCHAR)"
    if column.type in _SQL_TYPES:
        return f"TRY_CAST({value} AS {_SQL_TYPES[column.type]}) AS {name}"
    return f"epoch_us(TRY_CAST({value} AS TIMESTAMPTZ)) AS {name}"
