"""What a lead is worth, through the store: its own open amount first, in the currency of the model."""

import json
import shutil
from pathlib import Path
from typing import Any

from app.settings import Settings
from app.wiring import Wiring, now
from features.catalogue import CATALOGUE
from features.records import KINDS, Stored, parse
from features.value_types import DAY
from serving.champion.scorer_cache import ScorerCache
from serving.decisions import current_scores, stored_decisions
from serving.records import versions
from serving.replay.replay import replay
from serving.scoring.stored_leads import rescore
from serving.store.database import reading


def stored(kind: str, identity: str, content: dict[str, Any], parent: str | None = None) -> Stored:
    return Stored(KINDS[kind], identity, parse(KINDS[kind], content), parent)


def test_the_amount_of_an_opportunity_is_the_basis_and_the_replay_is_the_same(
    trained_home: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.copytree(trained_home, home)
    parts = Wiring(Settings(home=home))
    at = now() - DAY
    with reading(parts.engine) as connection:
        first, second = versions.open_leads(connection, now())[:2]

    def decided(lead_id: str) -> Any:
        list(rescore(parts.service.scoring, [lead_id]))
        with reading(parts.engine) as connection:
            score = current_scores.get(connection, lead_id)
            kept = stored_decisions.get(connection, score.decision_id) if score else None
            assert kept is not None
            for origin in ("facts", "features"):
                assert replay(connection, ScorerCache(CATALOGUE), kept, origin).equal
        return json.loads(kept.content)

    served = parts.service.champion.scorer().served
    assert served is not None
    assert served.bundle.expected_amount is not None
    _, currency = served.bundle.expected_amount
    assert decided(first)["expected_value"]["basis"] in ("segment", "all", "opportunity")
    amount = {"minor": 5_000_000, "currency": "NOK"}
    event = {"event": "stage", "occurred_at": at, "recorded_at": at, "amount": amount}
    with parts.engine.begin() as connection:
        versions.add(connection, [stored("lead_events", f"E-{lead}", event, lead) for lead in (first, second)])
    worth = decided(first)
    probability = worth["close_probability"]["value"]
    expected = {"minor": round(5_000_000 * probability), "currency": amount["currency"], "basis": "opportunity"}
    assert worth["expected_value"] == expected
    rate = {"base": amount["currency"], "quote": currency, "rate": 1.25, "occurred_at": at, "recorded_at": at}
    with parts.engine.begin() as connection:
        versions.add(connection, [stored("exchange_rates", "X-1", rate)])
    worth = decided(second)
    probability = worth["close_probability"]["value"]
    expected = {"minor": round(6_250_000 * probability), "currency": currency, "basis": "opportunity"}
    assert worth["expected_value"] == expected
    parts.close()
