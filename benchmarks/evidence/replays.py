"""Decisions are made, sealed, replayed and compared; then one byte is altered, and the verification must find it."""

import json
import secrets
import time
from collections.abc import Mapping
from typing import Any

import anyio
import httpx
from sqlalchemy import Engine, select, update

from benchmarks.evidence.contract import clock, service_on
from benchmarks.evidence.stores import new_store, open_store
from features.batched import batched
from serving.access import keys
from serving.app import create_app
from serving.decisions import audit, seals
from serving.decisions.tables import decision_payloads as payloads
from serving.replay.replay import replay_all
from serving.scoring.examples import SCORED
from serving.service import Service
from serving.store.database import reading

_BATCH_SIZE = 500


def replays(kind: str, count: int) -> dict[str, Any]:
    """Makes and replays `count` decisions on a new store, and returns the figures."""
    started = time.monotonic()
    with new_store(kind) as url, open_store(url) as store:
        service = _make_decisions(store, count)
        while _seal(store):
            pass
        outcomes = {
            origin: [outcome for _, outcome in replay_all(store, service.scoring.scorers, origin)]
            for origin in ("features", "facts")
        }
        before = _verify(store)
        _alter(store)
        after = _verify(store)
    return {
        "decisions": before.decisions,
        "seals": before.seals,
        "missing": count - before.decisions,
        **{f"differ_from_{name}": sum(not (o and o.equal) for o in replayed) for name, replayed in outcomes.items()},
        "faults_before": int(before.error is not None),
        "alterations_unseen": int(after.error is None),
        "error": after.error,
        "seconds": round(time.monotonic() - started, 1),
    }


def _make_decisions(store: Engine, count: int) -> Service:
    service = service_on(store)
    app = create_app(service)
    with store.begin() as connection:
        key = keys.create(connection, "crm", None, at=1, tokens=secrets.token_bytes)

    async def run() -> None:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://eql.test") as client:
            for numbers in batched(range(count), _BATCH_SIZE):
                body = json.dumps({"items": [_numbered(SCORED, number) for number in numbers]})
                answer = await client.post("/v1/score/batch", content=body, headers={"X-Api-Key": key})
                answer.raise_for_status()

    anyio.run(run)
    return service


def _numbered(example: Mapping[str, Any], number: int) -> dict[str, Any]:
    lead = {**example["lead"], "lead_id": f"L-{number}"}
    return {**example, "lead": lead, "account": {**example["account"], "employees": number}}


def _seal(store: Engine) -> bool:
    with store.begin() as connection:
        return seals.seal(connection, clock()) is not None


def _verify(store: Engine) -> audit.ChainVerdict:
    with reading(store) as connection:
        return audit.verify(connection)


def _alter(store: Engine) -> None:
    """Changes one byte of a decision in the middle, as a user with the password of the database could."""
    with store.begin() as connection:
        rows = connection.execute(select(payloads.c.decision_id, payloads.c.content)).all()
        name, content = rows[len(rows) // 2]
        changed = content.replace("L-", "M-", 1)
        connection.execute(update(payloads).where(payloads.c.decision_id == name).values(content=changed))
