"""Revisions of the tables: they make what the code works with, all of them or none, on both databases."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, column, delete, inspect, select, table, text

from serving.decisions import current_scores, seals, stored_decisions
from serving.decisions.audit import verify
from serving.decisions.current_scores import CurrentScore
from serving.decisions.stored_decisions import StoredDecision
from serving.decisions.tables import current_score
from serving.draft_revision import draft
from serving.records.tables import ingest_counter
from serving.store.database import UnusableStore, connect, create, reading
from serving.store.migrating import REVISION, SCRIPTS, VERSION_TABLE, revision
from serving.tables import metadata

pytestmark = pytest.mark.both_databases

DECISION = StoredDecision(
    decision_id="D-1", lead_id="L-1", stored=True, as_of=10, created_at=20, content="{}", request=None, salt="s"
)
SCORE = CurrentScore(
    lead_id="L-1",
    decision_id="D-1",
    qualification="EQL",
    pending=False,
    close_probability=0.31,
    grade="A",
    expected_value_minor=1116000,
    expected_value_currency="USD",
    source_partner_id="P-1",
    scored_at=20,
    change=1,
    changed_at=20,
)

_HEADER = """
import sqlalchemy as sa
from alembic import op

revision = {revision!r}
down_revision = {before!r}


def upgrade():
"""
_REBUILDS = """
    with op.batch_alter_table("decisions") as batch:
        batch.add_column(sa.Column("sealed", sa.BigInteger()))
        batch.alter_column("commitment", nullable=True)
"""
_FAILS = """
    op.create_table("half_done", sa.Column("a", sa.Text))
    op.execute("INSERT INTO nowhere VALUES (1)")
"""

Later = Callable[..., Path]


@pytest.fixture
def later(tmp_path: Path) -> Later:
    """The migrations of a later version of this software: ours, and a revision for each of these bodies."""

    def make(*bodies: str) -> Path:
        folder = Path(shutil.copytree(SCRIPTS, tmp_path / "later"))
        names = [REVISION, *(f"later{number}" for number in range(len(bodies)))]
        for before, name, body in zip(names, names[1:], bodies, strict=False):
            content = _HEADER.format(revision=name, before=before) + body
            (folder / "versions" / f"{name}.py").write_text(content)
        return folder

    return make


def test_migrations_make_the_tables_that_the_code_works_with(store: Engine) -> None:
    with reading(store) as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert revision(connection) == REVISION


def test_all_text_is_of_bytewise_order(store: Engine, database: str) -> None:
    if database == "sqlite":
        pytest.skip("SQLite orders all text so")
    columns = table("columns", *map(column, ("table_name", "data_type", "collation_name")), schema="information_schema")
    wanted = (columns.c.table_name.in_(list(metadata.tables)), columns.c.data_type == "text")
    with reading(store) as connection:
        found = connection.execute(select(columns.c.collation_name).where(*wanted)).scalars().all()
    assert {*found} == {"C"}


def test_the_newest_revision_is_the_one_the_code_names() -> None:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    assert ScriptDirectory.from_config(config).get_current_head() == REVISION


def test_processes_that_start_together_create_one_store(empty_url: str) -> None:
    engines = [connect(empty_url) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(create, engines))
    with reading(engines[0]) as connection:
        assert connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalars().all() == [REVISION]
        assert connection.execute(select(ingest_counter.c.last)).scalars().all() == [0]
    for engine in engines:
        engine.dispose()


def test_an_older_store_is_upgraded_and_keeps_what_it_has(store: Engine, later: Later) -> None:
    with store.begin() as connection:
        stored_decisions.add(connection, [DECISION])
        current_scores.save(connection, [SCORE])
    create(store, later(_REBUILDS), "later0")
    with reading(store) as connection:
        assert revision(connection) == "later0"
        assert "sealed" in {found["name"] for found in inspect(connection).get_columns("decisions")}
        assert connection.execute(text("SELECT decision_id, sealed FROM decisions")).all() == [("D-1", None)]
        assert current_scores.get(connection, "L-1") == SCORE


_OF_BEFORE = """
INSERT INTO decisions (decision_id, lead_id, stored, as_of, created_at, content, request) VALUES
('D-1', 'L-1', true, 10, 20, '{"π":0.1}', NULL), ('D-2', NULL, false, 11, 21, '{}', '{"lead":{}}')
"""
_SCORES_OF_BEFORE = """
INSERT INTO current_score VALUES ('L-1', 'D-1', 'EQL', false, 0.31, 'A', 1116000, 'USD', 'P-1', 20)
"""


def test_decisions_of_before_they_were_sealed_are_carried_over(empty_url: str, tmp_path: Path) -> None:
    scripts = Path(shutil.copytree(SCRIPTS, tmp_path / "before"))
    for script in (scripts / "versions").glob("*.py"):
        if script.name > "0003":
            script.unlink()
    engine = connect(empty_url)
    create(engine, scripts, "0002")
    with engine.begin() as connection:
        connection.exec_driver_sql(_OF_BEFORE)
        connection.exec_driver_sql(_SCORES_OF_BEFORE)
    create(engine)
    with engine.begin() as connection:
        first, second = stored_decisions.get(connection, "D-1"), stored_decisions.get(connection, "D-2")
        assert first == replace(DECISION, content='{"π":0.1}', salt=first.salt)
        wanted = {"lead_id": None, "stored": False, "as_of": 11, "created_at": 21, "request": '{"lead":{}}'}
        assert second == replace(DECISION, decision_id="D-2", salt=second.salt, **wanted)
        assert len({first.salt, second.salt}) == 2
        assert current_scores.get(connection, "L-1") == SCORE
        assert seals.seal(connection, 30).count == 2
        # The content above is no decision, which the audit of current scores would name.
        connection.execute(delete(current_score))
    with reading(engine) as connection:
        assert verify(connection).error is None
    engine.dispose()


def test_an_upgrade_that_fails_changes_nothing(store: Engine, later: Later) -> None:
    with pytest.raises(UnusableStore, match="nowhere"):
        create(store, later(_REBUILDS, _FAILS), "later1")
    with reading(store) as connection:
        assert revision(connection) == REVISION
        assert not inspect(connection).has_table("half_done")
        assert "sealed" not in {found["name"] for found in inspect(connection).get_columns("decisions")}
    create(store)


def test_an_upgrade_that_would_leave_a_row_without_its_parent_is_undone(store: Engine, later: Later) -> None:
    with store.begin() as connection:
        stored_decisions.add(connection, [DECISION])
        current_scores.save(connection, [SCORE])
    with pytest.raises(UnusableStore):
        create(store, later('\n    op.execute("DELETE FROM decisions")\n'), "later0")
    with reading(store) as connection:
        assert stored_decisions.get(connection, "D-1") == DECISION


def test_a_drafted_revision_runs(store: Engine, later: Later) -> None:
    scripts, following = later(), f"{int(REVISION) + 1:04}"
    draft("nothing", scripts)
    create(store, scripts, following)
    with reading(store) as connection:
        assert revision(connection) == following


def test_a_newer_store_is_refused_with_the_mend(store: Engine, later: Later) -> None:
    create(store, later(_REBUILDS), "later0")
    with pytest.raises(UnusableStore, match=f"revision later0, this software knows {REVISION} at most: upgrade eql"):
        create(store)


def test_a_store_of_before_revisions_is_refused_with_the_mend(empty_url: str) -> None:
    engine = connect(empty_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE schema_version (version INTEGER NOT NULL)"))
    with pytest.raises(UnusableStore, match=r"before revisions.*import the records again into another EQL_HOME"):
        create(engine)
    with reading(engine) as connection:
        assert inspect(connection).get_table_names() == ["schema_version"]
    engine.dispose()
