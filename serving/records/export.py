"""The export of the store to a folder of records, which training reads."""

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection

from features.folder import FolderWriter
from features.provenance import Provenance
from features.records import DERIVED, KINDS, Kind, Row
from serving.records.versions import versions

LEFT_OUT = frozenset({"email", "url", "ingest"})
"""Columns that identify a person, which training does not need; and the ingest number, which the row order gives."""


def export(connection: Connection, folder: Path, provenance: Provenance) -> None:
    """Writes every version of every record to `folder` in the order of ingest, without `email` and `url`.

    Run it inside `reading(engine)`, so that the folder shows one state of the store.

    Args:
        connection: the store's.
        folder: the folder for the files.
        provenance: the provenance of the records; for a live store its cut is the moment of the export.
    """
    with FolderWriter(folder, provenance) as writer:
        for kind in (*KINDS.values(), *DERIVED):
            writer.write(kind, _rows(connection, kind))


def _rows(connection: Connection, kind: Kind) -> Iterator[Row]:
    for row in versions(connection, kind):
        yield {name: value for name, value in row.items() if name not in LEFT_OUT}
