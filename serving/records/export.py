"""The store as a folder of records, which is what training reads."""

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection

from features.folder import FolderWriter
from features.provenance import Provenance
from features.records import DERIVED, KINDS, Kind, Row
from serving.records.versions import versions

LEFT_OUT = frozenset({"email", "url", "ingest"})
"""Columns that trace a person, which training has no use for; and the ingest number, which the order of rows tells."""


def export(connection: Connection, folder: Path, provenance: Provenance) -> None:
    """Writes every version of every record to `folder` in the order of ingest, without `email` and `url`.

    Run it inside `reading(engine)`, so that the folder shows one state of the store.

    Args:
        connection: the store's.
        folder: where the files go.
        provenance: of the records; a live store's has the moment of the export as its cut.
    """
    with FolderWriter(folder, provenance) as writer:
        for kind in (*KINDS.values(), *DERIVED):
            writer.write(kind, _rows(connection, kind))


def _rows(connection: Connection, kind: Kind) -> Iterator[Row]:
    for row in versions(connection, kind):
        yield {name: value for name, value in row.items() if name not in LEFT_OUT}
