"""The sealed chain: it holds every decision once, never forks, outlives erasure, and shows whatever was altered."""

import hashlib
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, delete, select, text, update
from sqlalchemy.exc import IntegrityError

from features.value_types import DAY, rfc3339
from serving.decisions import current_scores, merkle, seals, stored_decisions
from serving.decisions.audit import ChainVerdict, verify
from serving.decisions.current_scores import CurrentScore
from serving.decisions.seals import GENESIS, Seal
from serving.decisions.stored_decisions import StoredDecision
from serving.decisions.tables import current_score, decision_payloads
from serving.decisions.tables import decisions as decisions_table
from serving.decisions.tables import seals as seals_table
from serving.store.database import reading
from serving.tables import metadata

pytestmark = pytest.mark.both_databases

NOW = 1_700_000_000_000_000


def decision(number: int, lead_id: str = "L-1") -> StoredDecision:
    return StoredDecision(
        decision_id=stored_decisions.new_id(secrets.token_bytes),
        lead_id=lead_id,
        stored=True,
        as_of=NOW - number,
        created_at=NOW,
        content=f'{{"lead_id":"{lead_id}","π":0.{number}}}',
        request='{"lead":{}}' if number % 2 else None,
        salt=secrets.token_hex(32),
        features='{"features":{"employees":7}}',
        ingest=number,
        history=None if number % 3 else '{"rows":{},"source":"store"}',
    )


def keep(store: Engine, *kept: StoredDecision) -> None:
    with store.begin() as connection:
        stored_decisions.add(connection, kept)


def seal(store: Engine, most: int = seals.MAX_DECISIONS) -> Seal | None:
    with store.begin() as connection:
        return seals.seal(connection, NOW, most)


def verdict(store: Engine, head: str | None = None) -> ChainVerdict:
    with reading(store) as connection:
        return verify(connection, head)


@pytest.fixture
def chain(store: Engine) -> list[StoredDecision]:
    """Three seals over ten decisions."""
    kept = [decision(number, f"L-{number % 4}") for number in range(10)]
    for part in (kept[:5], kept[5:6], kept[6:]):
        keep(store, *part)
        assert seal(store)
    return kept


def test_a_store_without_decisions_is_sound(store: Engine) -> None:
    assert seal(store) is None
    assert verdict(store) == ChainVerdict(seals=0, decisions=0, erased=0, unsealed=0, head=GENESIS, error=None)


def test_every_decision_is_sealed_once(store: Engine) -> None:
    keep(store, *(decision(number) for number in range(7)))
    assert verdict(store).unsealed == 7
    made = [seal(store, 3) for _ in range(4)]
    assert [each and (each.id, each.count) for each in made] == [(1, 3), (2, 3), (3, 1), None]
    last = made[2]
    assert last
    assert verdict(store) == ChainVerdict(seals=3, decisions=7, erased=0, unsealed=0, head=last.head, error=None)


def test_what_is_not_committed_is_not_sealed(store: Engine) -> None:
    with store.connect() as connection:
        stored_decisions.add(connection, [decision(1)])
        connection.rollback()
    assert seal(store) is None


def test_writers_and_sealers_side_by_side_leave_one_chain(store: Engine) -> None:
    def write(number: int) -> None:
        for each in range(3):
            keep(store, decision(number * 10 + each))
        seal(store)

    with ThreadPoolExecutor(16) as threads:
        for done in [threads.submit(write, number) for number in range(50)]:
            done.result()
    while seal(store):
        pass
    found = verdict(store)
    assert (found.error, found.decisions, found.unsealed) == (None, 150, 0)


def dated(created_at: int, number: int = 1) -> StoredDecision:
    return replace(decision(number), created_at=created_at)


@pytest.mark.parametrize("days", [-400, -1, 1, 400])
def test_a_decision_that_is_dated_outside_its_seals_is_found_though_it_is_sealed(store: Engine, days: int) -> None:
    keep(store, dated(NOW))
    seal(store)
    keep(store, forged := dated(NOW + days * DAY))
    if days < 0:
        assert forged.decision_id in str(verdict(store).error)
    assert seal(store)
    assert f"decision {forged.decision_id} in seal 2 is dated {rfc3339(forged.created_at)}" in str(verdict(store).error)


def test_decisions_that_waited_for_a_worker_are_sound(store: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seals, "MAX_DECISIONS", 3)
    keep(store, *(dated(NOW + number * DAY, number) for number in range(7)))
    for _ in range(3):
        with store.begin() as connection:
            assert seals.seal(connection, NOW + 7 * DAY, 3)
    assert verdict(store).error is None
    keep(store, forged := dated(NOW))
    assert forged.decision_id in str(verdict(store).error)


def test_the_head_is_what_its_words_say(store: Engine, chain: list[StoredDecision]) -> None:
    with reading(store) as connection:
        last = seals.newest(connection)
    assert last
    numbers = last.count.to_bytes(8, "big") + last.sealed_at.to_bytes(8, "big")
    said = hashlib.sha256(bytes.fromhex(last.previous_head) + bytes.fromhex(last.root) + numbers)
    assert last.head == said.hexdigest()


def test_every_sealed_decision_has_a_proof_that_outlives_erasure(store: Engine, chain: list[StoredDecision]) -> None:
    with store.begin() as connection:
        stored_decisions.erase(connection, ["L-2"])
        waiting = decision(1)
        stored_decisions.add(connection, [waiting])
        proofs = [seals.proof(connection, each.decision_id) for each in chain]
        assert seals.proof(connection, waiting.decision_id) is None
        assert seals.proof(connection, "none") is None
    for proof, kept in zip(proofs, chain, strict=True):
        assert proof
        assert proof.entry == seals.entry(kept.decision_id, kept.created_at, kept.commitment)
        leaf = hashlib.sha256(b"\x00" + proof.entry.encode()).digest()
        siblings = [bytes.fromhex(sibling) for sibling in proof.siblings]
        root = merkle.root_of(leaf, proof.index, proof.seal.count, siblings)
        assert root
        assert (leaf.hex(), root.hex()) == (proof.leaf, proof.seal.root)


def test_after_erasure_nothing_of_the_lead_is_left_and_the_chain_verifies(
    store: Engine, chain: list[StoredDecision]
) -> None:
    gone = [each for each in chain if each.lead_id == "L-1"]
    score = CurrentScore(
        lead_id="L-1",
        decision_id=gone[0].decision_id,
        qualification="EQL",
        pending=False,
        close_probability=0.3,
        grade="A",
        expected_value_minor=None,
        expected_value_currency=None,
        source_partner_id=None,
        scored_at=NOW,
    )
    with store.begin() as connection:
        current_scores.save(connection, [score, replace(score, lead_id="L-2", decision_id=chain[2].decision_id)])
        assert stored_decisions.erase(connection, ["L-1", "never seen"]) == len(gone)
        assert stored_decisions.erase(connection, []) == 0
    with reading(store) as connection:
        assert current_scores.get(connection, "L-1") is None
        assert current_scores.get(connection, "L-2")
        assert stored_decisions.of_lead(connection, "L-1", 10) == []
        assert stored_decisions.get(connection, gone[0].decision_id) is None
        assert stored_decisions.exists(connection, gone[0].decision_id)
        left = [str(row) for table in metadata.sorted_tables for row in connection.execute(select(table))]
    assert not [row for row in left if "L-1" in row or gone[0].salt in row]
    with store.begin() as connection:
        # Its decision is not one that a scorer made, which the audit would name.
        connection.execute(delete(current_score))
    found = verdict(store)
    assert (found.error, found.decisions, found.erased) == (None, 10, len(gone))


def test_a_head_kept_elsewhere_stays_good_while_the_chain_grows(store: Engine, chain: list[StoredDecision]) -> None:
    kept = verdict(store).head
    keep(store, decision(1))
    seal(store)
    for head in (GENESIS, kept, verdict(store).head):
        assert verdict(store, head).error is None
    assert verdict(store, "f" * 64).error


def test_cutting_off_the_end_is_found_by_the_head_kept_elsewhere(store: Engine, chain: list[StoredDecision]) -> None:
    head = verdict(store).head
    cut = [each.decision_id for each in chain[6:]]
    with unguarded(store) as connection:
        connection.execute(delete(decision_payloads).where(decision_payloads.c.decision_id.in_(cut)))
        connection.execute(delete(decisions_table).where(decisions_table.c.decision_id.in_(cut)))
        connection.execute(delete(seals_table).where(seals_table.c.id == 3))
        assert verify(connection).error is None
        assert "cut off" in str(verify(connection, head).error)


@contextmanager
def unguarded(store: Engine) -> Iterator[Connection]:
    """A transaction for who has the run of the database, foreign keys off; it is rolled back."""
    with store.connect() as connection:
        if store.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        else:
            connection.detach()
            for statement in ("ROLLBACK", "PRAGMA foreign_keys = OFF", "BEGIN IMMEDIATE"):
                connection.exec_driver_sql(statement)
        yield connection
        connection.rollback()


TABLES = {"decisions": "decision_id", "decision_payloads": "decision_id", "seals": "id"}
CELLS = [(name, column.name) for name in TABLES for column in metadata.tables[name].columns]


def altered(value: Any, kind: type, data: st.DataObject) -> Any:
    """A value of its kind that differs by little."""
    if value is None:
        return kind(1)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value ^ (1 << data.draw(st.integers(0, 40)))
    place = data.draw(st.integers(0, len(value) - 1))
    put = data.draw(st.characters(codec="utf-8", exclude_characters="\0" + value[place]) | st.just(""))
    return value[:place] + put + value[place + 1 :]


@given(st.sampled_from(CELLS), st.data())
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_change_of_any_cell_is_found(
    store: Engine, chain: list[StoredDecision], cell: tuple[str, str], data: st.DataObject
) -> None:
    table, column = cell
    found, key = metadata.tables[table], TABLES[table]
    with unguarded(store) as connection:
        rows = connection.execute(select(found).order_by(found.c[key])).mappings().all()
        row = data.draw(st.sampled_from(rows))
        changed = altered(row[column], found.c[column].type.python_type, data)
        try:
            connection.execute(update(found).where(found.c[key] == row[key]).values({column: changed}))
        except IntegrityError:
            return  # such as the id of another seal: the database does not take it
        assert verify(connection).error


@pytest.mark.parametrize("table", ["decisions", "seals"])
def test_any_missing_row_is_found(store: Engine, chain: list[StoredDecision], table: str) -> None:
    found, key = metadata.tables[table], TABLES[table]
    with reading(store) as connection:
        keys = connection.execute(select(found.c[key]).order_by(found.c[key])).scalars().all()
    for each in keys:
        with unguarded(store) as connection:
            connection.execute(delete(found).where(found.c[key] == each))
            fault = verify(connection).error
            assert fault, each
            assert table == "decisions" or f"seal {each}" in fault


def test_decisions_that_changed_places_are_found(store: Engine, chain: list[StoredDecision]) -> None:
    one, other = chain[0], chain[1]
    with unguarded(store) as connection:
        for each, put in ((one, "aside"), (other, one.decision_id), (replace(one, decision_id="aside"), None)):
            for name in ("decisions", "decision_payloads"):
                found = metadata.tables[name]
                moved = update(found).where(found.c.decision_id == each.decision_id)
                connection.execute(moved.values(decision_id=put or other.decision_id))
        assert verify(connection).error


def test_the_decision_that_was_altered_is_named(store: Engine, chain: list[StoredDecision]) -> None:
    one = chain[7].decision_id
    with unguarded(store) as connection:
        chosen = decision_payloads.c.decision_id == one
        connection.execute(update(decision_payloads).where(chosen).values(content='{"grade":"A"}'))
        assert verify(connection).error == f"decision {one} is not what was committed to"
        assert verify(connection).seals == 2


def test_an_unsealed_decision_that_was_altered_is_found(store: Engine, chain: list[StoredDecision]) -> None:
    keep(store, waiting := decision(1))
    with unguarded(store) as connection:
        chosen = decision_payloads.c.decision_id == waiting.decision_id
        connection.execute(update(decision_payloads).where(chosen).values(as_of=1))
        assert waiting.decision_id in str(verify(connection).error)


def test_bytes_that_are_no_text_are_found(store: Engine, chain: list[StoredDecision], database: str) -> None:
    if database == "postgresql":
        pytest.skip("PostgreSQL keeps text only")
    for cell in ("CAST(x'ff' AS TEXT)", "x'ff'"):
        with unguarded(store) as connection:
            connection.execute(text(f"UPDATE decision_payloads SET content = {cell}"))
            assert verify(connection).error
