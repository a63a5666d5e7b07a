"""What the tests of this room share."""

import csv
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from features.records import Stored
from training.importing import importer, mapping
from training.importing.report import ImportReport


@dataclass
class Imported:
    """What an import of a made-up export came to."""

    report: ImportReport
    records: list[Stored]
    rejects: list[dict[str, str]]

    def of(self, kind: str) -> dict[str, Stored]:
        return {stored.id: stored for stored in self.records if stored.kind.name == kind}

    def reasons(self) -> set[tuple[str, str, str]]:
        return {(line["row"], line["field"], line["reason"]) for line in self.rejects}


@dataclass
class Sink:
    """Takes records and remembers how often it was called."""

    calls: int = 0
    records: list[Stored] = field(default_factory=list)

    def __call__(self, records: list[Stored]) -> None:
        self.calls += 1
        self.records += records


ImportFiles = Callable[..., Imported]


@pytest.fixture
def export(tmp_path: Path) -> Path:
    folder = tmp_path / "export"
    folder.mkdir()
    return folder


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def import_files(export: Path, tmp_path: Path, sink: Sink) -> ImportFiles:
    """Imports files, given as text or bytes by name, by the text of a mapping."""

    def run(text: str, files: dict[str, str | bytes], *, first: bool = False) -> Imported:
        for name, content in files.items():
            (export / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        (tmp_path / "crm.yaml").write_text(text, "utf-8")
        rejects = tmp_path / "rejects.csv"
        report = importer.run(export, mapping.load(tmp_path / "crm.yaml"), sink, rejects, first=first)
        with rejects.open(encoding="utf-8", newline="") as stream:
            return Imported(report, sink.records, list(csv.DictReader(stream)))

    return run
