"""Decisions are made and sealed, made again and compared; then one byte of one is changed, which must be found."""

import json
import secrets
import time
from typing import Any

import anyio
import httpx
from sqlalchemy import Engine, select, update

from benchmarks.evidence.contract import clock, service_on
from benchmarks.evidence.stores import new_store, open_store
from serving.access import keys
from serving.app import create_app
from serving.decisions import audit, seals
from serving.decisions.tables import decision_payloads as payloads
from serving.replay.replay import replay_all
from serving.scoring.examples import SCORED
from serving.service import Service
from serving.store.database import reading

_BATCH = 500


def replays(kind: str, count: int) -> dict[str, Any]:
    """So many decisions on a new store of a database, and what came of them."""
    began = time.monotonic()
    with new_store(kind) as url, open_store(url) as store:
        service = _decided(store, count)
        while _sealed(store):
            pass
        outcomes = {
            origin: [found for _, found in replay_all(store, service.scoring.scorers, origin)]
            for origin in ("features", "facts")
        }
        sound = _verdict(store)
        _alter(store)
        altered = _verdict(store)
    return {
        "decisions": sound.decisions,
        "seals": sound.seals,
        "missing": count - sound.decisions,
        **{f"differ_from_{name}": sum(not (o and o.equal) for o in found) for name, found in outcomes.items()},
        "faults_before": int(sound.fault is not None),
        "alterations_unseen": int(altered.fault is None),
        "told": altered.fault,
        "seconds": round(time.monotonic() - began, 1),
    }


def _decided(store: Engine, count: int) -> Service:
    service = service_on(store)
    app = create_app(service)
    with store.begin() as connection:
        key = keys.create(connection, "crm", None, at=1, tokens=secrets.token_bytes)
    example = SCORED

    async def run() -> None:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://eql.test") as client:
            for first in range(0, count, _BATCH):
                items = [_lead(dict(example), number) for number in range(first, min(first + _BATCH, count))]
                body = json.dumps({"items": items})
                answer = await client.post("/v1/score/batch", content=body, headers={"X-Api-Key": key})
                answer.raise_for_status()

    anyio.run(run)
    return service


def _lead(example: dict[str, Any], number: int) -> dict[str, Any]:
    lead = {**example["lead"], "lead_id": f"L-{number}"}
    return {**example, "lead": lead, "account": {**example["account"], "employees": number}}


def _sealed(store: Engine) -> bool:
    with store.begin() as connection:
        return seals.seal(connection, clock()) is not None


def _verdict(store: Engine) -> audit.Verdict:
    with reading(store) as connection:
        return audit.verify(connection)


def _alter(store: Engine) -> None:
    """Changes one byte of a decision in the middle, as somebody with the database's password could."""
    with store.begin() as connection:
        rows = connection.execute(select(payloads.c.decision_id, payloads.c.content)).all()
        name, content = rows[len(rows) // 2]
        changed = content.replace("L-", "M-", 1)
        connection.execute(update(payloads).where(payloads.c.decision_id == name).values(content=changed))
