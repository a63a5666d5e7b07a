"""A store that was imported and lives on: what training reads of it reaches to what came in last."""

from pathlib import Path

import pytest

from app import settings
from app.wiring import Wiring
from features.folder import read_provenance
from features.provenance import Provenance
from features.records import KINDS, Lead, Stored
from features.value_types import DAY, parse_instant
from serving.records import versions

CUT = parse_instant("2026-06-30T00:00:00Z")


def _lead(lead_id: str, at: int) -> Stored:
    return Stored(KINDS["leads"], lead_id, Lead(lead_id=lead_id, created_at=at))


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wiring:
    monkeypatch.setenv("EQL_HOME", str(tmp_path))
    made = Wiring(settings.read())
    made.add([_lead("L-1", CUT - DAY)], Provenance(CUT), recorded=True)
    return made


def _cut(parts: Wiring) -> int | None:
    with parts.records() as folder:
        return read_provenance(folder).cut


def test_the_cut_is_that_of_the_import_until_something_comes_in_later(parts: Wiring) -> None:
    assert _cut(parts) == CUT
    with parts.engine.begin() as connection:
        versions.add(connection, [_lead("L-2", CUT + DAY)])
    assert _cut(parts) == CUT + DAY
