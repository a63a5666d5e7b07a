import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from serving.access import keys, sessions
from serving.identity import PREFIX, ROLES, InvalidRole, Principal, new_key, visible_part, well_formed
from serving.store.database import reading

pytestmark = pytest.mark.both_databases

NOW = 1_000_000
in_one_store = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])

token_sources = st.binary(min_size=32, max_size=32).map(lambda data: lambda length: data[:length])
generated_keys = token_sources.map(new_key)
owners = st.sampled_from(ROLES).map(lambda role: (role, "P-1" if role == "partner" else None))


@given(generated_keys)
def test_a_key_has_the_published_form(key: str) -> None:
    assert well_formed(key)
    assert key.startswith(PREFIX)
    assert len(key) == len(PREFIX) + 30 + 6
    assert key.removeprefix(PREFIX).isalnum()
    assert key.isascii()


@given(generated_keys, st.data())
def test_a_mistyped_key_is_known_without_the_store(key: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(key) - 1))
    other = data.draw(st.characters().filter(lambda character: character != key[place]))
    assert not well_formed(key[:place] + other + key[place + 1 :])
    assert not well_formed(key[:place] + key[place + 1 :])


@given(st.text())
def test_no_text_at_all_breaks_the_check_of_the_form(text: str) -> None:
    assert not well_formed(text)


@given(generated_keys, generated_keys)
def test_different_randomness_gives_different_keys(first: str, second: str) -> None:
    assert (first == second) == (first[:-6] == second[:-6])


@given(owners, token_sources)
@in_one_store
def test_a_key_opens_for_its_owner_and_no_other_key_does(store: Engine, owner: tuple, tokens) -> None:
    role, partner_id = owner
    with store.connect() as connection:
        key = keys.create(connection, role, partner_id, at=NOW, tokens=tokens)
        assert keys.verify(connection, key) == Principal(role, partner_id, visible_part(key))
        assert keys.verify(connection, new_key(secrets.token_bytes)) is None
        assert keys.verify(connection, key[:-1]) is None


def test_keys_with_the_same_visible_part_are_told_apart(store: Engine) -> None:
    # The visible part comes from the low digits of the random number, so adding to its top leaves it as it is.
    numbers = iter((bytes(32), (62**20).to_bytes(32)))
    with store.begin() as connection:
        created = [
            keys.create(connection, role, None, at=NOW, tokens=lambda _: next(numbers)) for role in ("crm", "viewer")
        ]
        assert visible_part(created[0]) == visible_part(created[1])
        assert [keys.verify(connection, key).role for key in created] == ["crm", "viewer"]


def test_a_revoked_key_stops_at_once_and_stays_listed(store: Engine) -> None:
    with store.begin() as connection:
        kept, ended = (keys.create(connection, "crm", None, at=NOW, tokens=secrets.token_bytes) for _ in range(2))
        number = keys.listed(connection)[1].id
        assert keys.revoke(connection, number, at=NOW + 1)
        assert not keys.revoke(connection, number, at=NOW + 2)
        assert not keys.revoke(connection, 99, at=NOW)
    with reading(store) as connection:
        assert keys.verify(connection, ended) is None
        assert keys.verify(connection, kept) is not None
        assert [key.revoked_at for key in keys.listed(connection)] == [None, NOW + 1]


def test_no_secret_is_kept(store: Engine) -> None:
    with store.begin() as connection:
        key = keys.create(connection, "partner", "P-1", at=NOW, tokens=secrets.token_bytes)
        token = sessions.offer(connection, "admin", None, expires_at=NOW + 1, tokens=secrets.token_bytes)
        session = sessions.redeem(connection, token, at=NOW, expires_at=NOW + 9, tokens=secrets.token_bytes)
        tables = ("api_keys", "sign_in_tokens", "sessions")
        kept = str([connection.execute(text(f"SELECT * FROM {table}")).all() for table in tables])
    assert not any(secret in kept for secret in (key, key.removeprefix(visible_part(key)), token, session))


@pytest.mark.parametrize(("role", "partner_id"), [("root", None), ("partner", None), ("partner", ""), ("crm", "P-1")])
def test_a_role_that_is_none_or_lacks_its_partner_is_refused(store: Engine, role: str, partner_id: str | None) -> None:
    with store.begin() as connection:
        with pytest.raises(InvalidRole):
            keys.create(connection, role, partner_id, at=NOW, tokens=secrets.token_bytes)
        with pytest.raises(InvalidRole):
            sessions.offer(connection, role, partner_id, expires_at=NOW, tokens=secrets.token_bytes)
        assert keys.listed(connection) == []


def test_a_sign_in_link_works_once_for_one_of_many(store: Engine) -> None:
    with store.begin() as connection:
        token = sessions.offer(connection, "admin", None, expires_at=NOW + 10, tokens=secrets.token_bytes)

    def redeem(_: int) -> str | None:
        with store.begin() as connection:
            return sessions.redeem(connection, token, at=NOW, expires_at=NOW + 100, tokens=secrets.token_bytes)

    with ThreadPoolExecutor(8) as threads:
        [session] = [found for found in threads.map(redeem, range(8)) if found]
    with reading(store) as connection:
        assert sessions.principal(connection, session, at=NOW + 99) == Principal("admin", None, "session")


def test_sign_in_links_and_sessions_end(store: Engine) -> None:
    with store.begin() as connection:
        late = sessions.offer(connection, "sales", None, expires_at=NOW, tokens=secrets.token_bytes)
        assert sessions.redeem(connection, late, at=NOW, expires_at=NOW + 9, tokens=secrets.token_bytes) is None
        token = sessions.offer(connection, "partner", "P-1", expires_at=NOW + 1, tokens=secrets.token_bytes)
        session = sessions.redeem(connection, token, at=NOW, expires_at=NOW + 9, tokens=secrets.token_bytes)
        assert sessions.principal(connection, session, at=NOW + 8) == Principal("partner", "P-1", "session")
        assert sessions.principal(connection, session, at=NOW + 9) is None
        assert sessions.principal(connection, token, at=NOW) is None
        sessions.close(connection, session)
        assert sessions.principal(connection, session, at=NOW) is None
