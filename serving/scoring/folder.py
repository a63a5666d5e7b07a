"""Decisions on the leads of a folder of records, whose features the DuckDB engine evaluates all at once."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from features.delivery import absent_kinds, without_absent
from features.engines.duckdb import DuckDBEngine
from features.engines.python import Evaluation
from features.engines.sql_compiler import entity_columns
from features.partner_history import HORIZON_DAYS
from models.decision import Decision
from models.scorer import Scorer
from serving.scoring.decide import decide
from serving.scoring.inputs import DecisionInputs
from serving.scoring.partner_history import NO_HISTORY

_BATCH = 2_000


def decide_folder(scorer: Scorer, folder: Path, as_of: int | None, now: int) -> Iterator[Decision]:
    """The decisions on the known leads of a folder; by default as of its data cut, or of `now` where it has none."""
    with DuckDBEngine(folder, HORIZON_DAYS) as engine:
        moment = engine.provenance.cut or now if as_of is None else as_of
        absent = absent_kinds(engine.provenance.since, moment)
        evaluated = engine.evaluate(scorer.catalogue, engine.known_leads(moment), fields=True)
        for batch in evaluated.to_batches(_BATCH):
            yield from decide(scorer, [_inputs(row, scorer, moment, absent) for row in batch.to_pylist()])


def _inputs(row: Mapping[str, Any], scorer: Scorer, as_of: int, absent: tuple[str, ...]) -> DecisionInputs:
    """The inputs in a row of features and fields; the partner history is among the features already."""
    entities: dict[str, dict[str, Any]] = {"lead": {}, "account": {}, "partner": {}}
    for entity, column in entity_columns(scorer.catalogue):
        entities[entity][column] = row[f"{entity}.{column}"]
    features = {name: row[name] for name in scorer.catalogue.names}
    evaluation = Evaluation(
        entities["lead"], entities["account"], entities["partner"], features, fold=scorer.catalogue.fold
    )
    evaluation = without_absent(evaluation, scorer.catalogue, absent)
    return DecisionInputs(lead_id=row["lead_id"], as_of=as_of, evaluation=evaluation, history=NO_HISTORY)
