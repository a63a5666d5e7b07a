"""The champion in service: forged bundles are refused while the old one serves, and swaps disturb nobody."""

import hashlib
import json
import pickle
import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import anyio
import httpx
import pytest
from sqlalchemy import Engine, update

import serving.champion.watcher
from features.catalogue import CATALOGUE
from features.value_types import parse_instant
from models.bundle import MAX_BYTES, Bundle
from models.policy import load
from models.probability import sigmoid
from serving.access import keys
from serving.app import create_app
from serving.champion import bundles
from serving.champion.tables import bundle_files
from serving.champion.watcher import CHECK_EVERY, ModelWatcher
from serving.service import Service
from tests.serving.conftest import saying

NOW = parse_instant("2026-11-20T00:00:00Z")
POLICY = load(Path("models/default_policy.yaml"), CATALOGUE)
BODY = {"lead": {"lead_id": "L-1"}, "as_of": "2026-11-01T00:00:00Z"}


def publish(engine: Engine, files: Mapping[str, bytes], sha256: str, version: str) -> None:
    with engine.begin() as connection:
        bundles.publish(
            connection, files, name="test", version=version, sha256=sha256, actor="tests", reason="tests", at=NOW
        )


@pytest.fixture
def champion(store: Engine) -> ModelWatcher:
    """Looks at the store each time it is asked."""
    ticks = count(NOW, CHECK_EVERY)
    found = ModelWatcher(store, CATALOGUE, POLICY, lambda: next(ticks))
    publish(store, saying(-2.0).files, saying(-2.0).sha256, "1")
    assert version(found) == "1"
    return found


def version(champion: ModelWatcher) -> str | None:
    served = champion.scorer().served
    return None if served is None else served.version


def forged(edit: Callable[[dict[str, bytes]], None], *, signed: bool = True) -> dict[str, bytes]:
    """The files of a bundle after an edit, with a manifest that fits, as who can write to the store can make it."""
    files = dict(saying(-1.0).files)
    edit(files)
    if signed:
        hashes = {name: hashlib.sha256(c).hexdigest() for name, c in files.items() if name != "manifest.json"}
        files["manifest.json"] = json.dumps({"sha256": hashes}).encode()
    return files


def described(**changes: Any) -> Callable[[dict[str, bytes]], None]:
    def edit(files: dict[str, bytes]) -> None:
        files["bundle.json"] = json.dumps(json.loads(files["bundle.json"]) | changes).encode()

    return edit


class Trap:
    sprung = False

    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit",)


ROW = {"partner_id": "P-1", "leads": "many"}
FORGED: dict[str, dict[str, bytes]] = {
    "extra file": forged(lambda files: files.update({"notes.txt": b"x"})),
    "pickle beside": forged(lambda files: files.update({"model.pkl": pickle.dumps(Trap())})),
    "pickle as model": forged(lambda files: files.update({"model.json": pickle.dumps(Trap())})),
    "path upwards": forged(lambda files: files.update({"../model.json": files.pop("model.json")})),
    "absolute path": forged(lambda files: files.update({"/etc/cron.d/eql": b"x"})),
    "missing file": forged(lambda files: files.pop("golden.json") and None),
    "flipped byte": forged(lambda files: files.update({"model.json": files["model.json"] + b" "}), signed=False),
    "no golden rows": forged(lambda files: files.update({"golden.json": b"[]"})),
    "other golden rows": forged(lambda files: files.update({"golden.json": saying(-1.5).files["golden.json"]})),
    "other rung": forged(described(rung="lightgbm")),
    "other features": forged(described(features_sha256="0" * 64)),
    "attributes of no kind": forged(described(attributes=[{"name": "x", "kind": "code", "known": "now"}])),
    "rubbish as history": forged(described(history={"partner_history": [ROW]})),
    "oversize": forged(lambda files: files.update({"golden.json": b" " * MAX_BYTES})),
    "nothing": {"manifest.json": b""},
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_bundle_is_refused_the_old_one_serves_and_a_good_one_heals(
    store: Engine, champion: ModelWatcher, name: str
) -> None:
    files = FORGED[name]
    publish(store, files, hashlib.sha256(files["manifest.json"]).hexdigest(), "2")
    assert version(champion) == "1"
    assert champion.error is not None
    assert champion.error.startswith("version 2 cannot be served: ")
    publish(store, saying(-0.5).files, saying(-0.5).sha256, "3")
    assert version(champion) == "3"
    assert champion.error is None


def test_a_bundle_under_another_ones_name_is_refused(store: Engine, champion: ModelWatcher) -> None:
    publish(store, saying(-1.0).files, saying(-1.5).sha256, "2")
    assert version(champion) == "1"
    assert "not the one that was promoted" in (champion.error or "")


@pytest.mark.both_databases
def test_what_was_changed_in_the_store_is_put_right_by_promoting_it_again(
    store: Engine, champion: ModelWatcher
) -> None:
    other = saying(-1.0)
    publish(store, other.files, other.sha256, "2")
    with store.begin() as connection:
        wanted = (bundle_files.c.sha256 == other.sha256, bundle_files.c.path == "model.json")
        connection.execute(update(bundle_files).where(*wanted).values(content=b"{}"))
    assert version(champion) == "1"
    publish(store, other.files, other.sha256, "2")
    assert version(champion) == "2"


def test_the_first_bundle_may_be_bad_and_rules_decide_then(store: Engine) -> None:
    found = ModelWatcher(store, CATALOGUE, POLICY, lambda: NOW)
    publish(store, FORGED["no golden rows"], "x", "1")
    assert version(found) is None
    assert found.error


def test_while_a_bundle_loads_others_are_served(
    store: Engine, champion: ModelWatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    loading, go_on, read = Event(), Event(), serving.champion.watcher.read

    def slow(files: Mapping[str, bytes]) -> Bundle:
        loading.set()
        assert go_on.wait(10)
        return read(files)

    monkeypatch.setattr(serving.champion.watcher, "read", slow)
    publish(store, saying(-1.0).files, saying(-1.0).sha256, "2")
    with ThreadPoolExecutor(1) as threads:
        renewing = threads.submit(version, champion)
        assert loading.wait(10)
        assert version(champion) == "1"
        go_on.set()
        assert renewing.result() == "2"
    assert version(champion) == "2"


def test_a_store_that_is_away_leaves_the_model_in_place(
    store: Engine, champion: ModelWatcher, store_url: str, tmp_path: Path
) -> None:
    hidden = tmp_path / "away"
    store.dispose()
    Path(store_url.removeprefix("sqlite:///")).rename(hidden)
    hidden.with_name("store.sqlite").mkdir()
    assert version(champion) == "1"


@pytest.mark.both_databases
def test_each_answer_is_of_the_model_it_names_while_models_are_swapped(store: Engine) -> None:
    models = {bundle.sha256: bundle for bundle in (saying(-2.0), saying(-1.0))}
    values = {sha256: float(sigmoid(bundle.model.log_odds)) for sha256, bundle in models.items()}
    ticks = count(NOW, CHECK_EVERY)
    service = Service(
        engine=store,
        champion=ModelWatcher(store, CATALOGUE, POLICY, lambda: next(ticks)),
        clock=lambda: NOW,
        tokens=secrets.token_bytes,
    )
    with store.begin() as connection:
        key = keys.create(connection, "crm", None, at=NOW, tokens=secrets.token_bytes)
    publish(store, saying(-2.0).files, saying(-2.0).sha256, "0")
    found: list[tuple[int, Any]] = []

    def swap() -> None:
        for number in range(1, 13):
            bundle = list(models.values())[number % 2]
            publish(store, bundle.files, bundle.sha256, str(number))

    async def run() -> None:
        transport, headers = httpx.ASGITransport(app=create_app(service)), {"X-Api-Key": key}

        async def call(client: httpx.AsyncClient, done: anyio.Event) -> None:
            while not done.is_set():
                answer = await client.post("/v1/score", json=BODY, headers=headers)
                found.append((answer.status_code, answer.json()))

        done = anyio.Event()
        client = httpx.AsyncClient(transport=transport, base_url="http://eql.test")
        async with client, anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(call, client, done)
            await anyio.to_thread.run_sync(swap)
            done.set()

    anyio.run(run)
    assert {status for status, _ in found} == {200}
    for _, answer in found:
        assert answer["close_probability"]["value"] == values[answer["model"]["sha256"]]
