"""The challenger in shadow: it scores the decisions of the champion, beside the answers and never in them.

Decisions wait in a bounded queue for a thread of its own, which scores many at once and keeps the scores. Where the
queue is full, decisions are dropped and counted: an answer never waits for the shadow. The policy has no part in it.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from queue import Empty, Full, Queue
from threading import Event, Thread

from sqlalchemy import Engine

from features.catalogue.catalogue import Catalogue
from features.engines.python import Evaluation
from features.value_types import Scalar
from models.bundle import Bundle
from models.probability import sigmoid
from models.scorer import ServedModel
from serving.champion.watcher import ModelWatcher
from serving.decisions.evaluations import evaluation_from_json
from serving.decisions.stored_decisions import StoredDecision
from serving.shadow import shadow_scores
from serving.shadow.shadow_scores import ShadowScore

_LOG = logging.getLogger(__name__)
MAX_QUEUED = 10_000
_BATCH = 500
_PAUSE = 0.2
"""Seconds between two batches: a thread that woke for each decision would take the interpreter from the next answer."""
_STOP_TIMEOUT = 5.0
"""Seconds that stopping waits for the queue."""


class UnknownFeatures(ValueError):
    """The challenger reads features that the champion's catalogue lacks."""


@dataclass(frozen=True)
class ChampionDecision:
    """A kept decision, as the challenger needs it.

    Attributes:
        decision_id: its id.
        evaluation: the lead as the champion read it; None where it is not kept.
        sha256: the champion's bundle; None where the rules alone decided.
    """

    decision_id: str
    evaluation: Evaluation | None
    sha256: str | None


def champion_decision(kept: StoredDecision) -> ChampionDecision:
    """The part of a kept decision that the challenger needs."""
    model = kept.issued.decision.model
    evaluation = evaluation_from_json(kept.features) if kept.features else None
    return ChampionDecision(kept.decision_id, evaluation, model and model.sha256)


@dataclass
class Shadow:
    """Scores decisions with the challenger.

    Attributes:
        engine: the store's.
        challenger: watches the challenger's alias.
        clock: the current time in microseconds.
        left_out: decisions that were dropped because the queue was full.
    """

    engine: Engine
    challenger: ModelWatcher
    clock: Callable[[], int]
    left_out: int = 0
    _failed: str | None = None
    _queue: "Queue[StoredDecision | None]" = field(default_factory=lambda: Queue(MAX_QUEUED))
    _thread: Thread | None = None
    _stopping: Event = field(default_factory=Event)

    @property
    def error(self) -> str | None:
        """Why the challenger does not score; None while it scores, or where there is no challenger."""
        return self.challenger.error or self._failed

    def start(self) -> None:
        """Starts the thread."""
        self._stopping.clear()
        self._thread = Thread(target=self._run, name="shadow", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stops the thread, once the queue is empty or a few seconds are over."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stopping.set()
            self._queue.put(None)
            thread.join(_STOP_TIMEOUT)

    def offer(self, made: Iterable[StoredDecision]) -> None:
        """Queues kept decisions. It never waits and never fails."""
        if self._thread is None:
            return
        for decision in made:
            try:
                self._queue.put_nowait(decision)
            except Full:
                self.left_out += 1

    def score(self, decisions: Iterable[ChampionDecision]) -> int:
        """Scores decisions that another model made, keeps the scores and returns how many.

        Raises:
            UnknownFeatures: the challenger reads features that the decisions lack.
        """
        scorer = self.challenger.scorer()
        served = scorer.served
        if served is None:
            return 0
        others = [decision for decision in decisions if decision.sha256 != served.bundle.sha256]
        scores = _scores(served, scorer.catalogue, others, self.clock())
        if scores:
            with self.engine.begin() as connection:
                shadow_scores.add(connection, scores)
        return len(scores)

    def _run(self) -> None:
        running = True
        while running:
            batch = self._next()
            running = batch[-1] is not None
            if made := [decision for decision in batch if decision is not None]:
                self._try(made)
            self._stopping.wait(_PAUSE)

    def _next(self) -> "list[StoredDecision | None]":
        """The next batch of the queue; it ends with None where the thread shall stop."""
        batch = [self._queue.get()]
        try:
            while batch[-1] is not None and len(batch) < _BATCH:
                batch.append(self._queue.get_nowait())
        except Empty:
            pass
        return batch

    def _try(self, made: Sequence[StoredDecision]) -> None:
        try:
            self.score(map(champion_decision, made))
            self._failed = None
        except Exception as error:  # a broken challenger must not disturb the champion
            reason = str(error) if isinstance(error, UnknownFeatures) else type(error).__name__
            if reason != self._failed:
                _LOG.warning("the challenger in shadow does not score: %s", reason)
            self._failed = reason


def _scores(
    served: ServedModel, catalogue: Catalogue, decisions: Sequence[ChampionDecision], now: int
) -> list[ShadowScore]:
    bundle = served.bundle
    names = bundle.encoding.names
    if not decisions:
        return []
    features = [_features(decision, bundle, catalogue) for decision in decisions]
    if lacking := {*names} - features[0].keys():
        raise UnknownFeatures(f"it reads {len(lacking)} features that the champion's catalogue does not have")
    columns = {name: [of_lead[name] for of_lead in features] for name in names}
    values = sigmoid(bundle.contributions(bundle.encoding.encode(columns, len(decisions))).sum(axis=1))
    return [
        ShadowScore(
            decision_id=decision.decision_id,
            sha256=bundle.sha256,
            version=served.version,
            close_probability=float(value),
            created_at=now,
        )
        for decision, value in zip(decisions, values, strict=True)
    ]


def _features(decision: ChampionDecision, bundle: Bundle, catalogue: Catalogue) -> Mapping[str, Scalar]:
    """The features of a decision as the challenger reads them: the two may fold texts by different versions."""
    return {} if decision.evaluation is None else decision.evaluation.features_folded_by(bundle.fold, catalogue)
