"""The challenger in shadow: it scores what was decided, beside the answers and never in them.

Decisions wait in a short line for a thread of their own, which scores many at once and keeps the scores. Where the line
is full they are left out: a comparison may miss some, an answer may not wait. The policy has no part in it.
"""

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from queue import Empty, Full, Queue
from threading import Event, Thread

import numpy as np
from sqlalchemy import Engine

from features.values import Scalar
from models.bundle import Bundle
from models.decision import Content, Served
from models.probability import losses, sigmoid
from models.statistics import NORMAL_95, clustered_standard_error
from serving.basis import evaluation_of
from serving.reload import Champion
from serving.store import shadow
from serving.store.decisions import StoredDecision
from serving.store.shadow import Matured, ShadowScore

_LOG = logging.getLogger(__name__)
LONGEST_LINE = 10_000
_AT_ONCE = 500
_PAUSE = 0.2
"""Seconds between two batches: a thread that woke for each decision would take the interpreter from the next answer."""
_STOPS_WITHIN = 5.0
FEWEST_OUTCOMES = 10
"""Leads won, and as many not won, that it takes to compare; promotion asks for as many."""


class UnknownFeatures(ValueError):
    """The challenger reads features that the champion's catalogue does not have."""


@dataclass(frozen=True)
class Decided:
    """A decision that was answered and kept.

    Attributes:
        decision_id: its id.
        features: what the lead's features were.
        sha256: the champion's, None where rules alone decided.
    """

    decision_id: str
    features: Mapping[str, Scalar]
    sha256: str | None


def decided(kept: StoredDecision) -> Decided:
    """What the challenger needs of a decision that was made with features."""
    model = json.loads(kept.content)["model"]
    features = evaluation_of(kept.features).features if kept.features else {}
    return Decided(kept.decision_id, features, model and model["sha256"])


@dataclass
class Shadow:
    """Scores decisions with the challenger.

    Attributes:
        engine: the store's.
        challenger: watches the store for the bundle; a `Champion` of the challenger's alias.
        clock: microseconds now.
        left_out: decisions there was no room for.
    """

    engine: Engine
    challenger: Champion
    clock: Callable[[], int]
    left_out: int = 0
    _failed: str | None = None
    _line: "Queue[StoredDecision | None]" = field(default_factory=lambda: Queue(LONGEST_LINE))
    _thread: Thread | None = None
    _stopping: Event = field(default_factory=Event)

    @property
    def fault(self) -> str | None:
        """Why the challenger does not score, None while it does or there is none."""
        return self.challenger.fault or self._failed

    def start(self) -> None:
        """Begins to take decisions."""
        self._stopping.clear()
        self._thread = Thread(target=self._run, name="shadow", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends, once what waits is scored or a few seconds are over."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stopping.set()
            self._line.put(None)
            thread.join(_STOPS_WITHIN)

    def offer(self, made: Iterable[StoredDecision]) -> None:
        """Hands on decisions that are kept. Never waits and never fails."""
        if self._thread is None:
            return
        for decision in made:
            try:
                self._line.put_nowait(decision)
            except Full:
                self.left_out += 1

    def score(self, decided: Iterable[Decided]) -> int:
        """Scores decisions that the challenger did not make itself, keeps the scores and returns how many.

        Raises:
            UnknownFeatures: the challenger reads others than it is given.
        """
        served = self.challenger.scorer().served
        if served is None:
            return 0
        others = [one for one in decided if one.sha256 != served.bundle.sha256]
        made = _scores(served, others, self.clock())
        if made:
            with self.engine.begin() as connection:
                shadow.add(connection, made)
        return len(made)

    def _run(self) -> None:
        goes_on = True
        while goes_on:
            batch = self._next()
            goes_on = batch[-1] is not None
            if made := [one for one in batch if one is not None]:
                self._try(made)
            self._stopping.wait(_PAUSE)

    def _next(self) -> "list[StoredDecision | None]":
        """What waits, up to many at once; ends with None where there shall be no more."""
        batch = [self._line.get()]
        try:
            while batch[-1] is not None and len(batch) < _AT_ONCE:
                batch.append(self._line.get_nowait())
        except Empty:
            pass
        return batch

    def _try(self, made: Sequence[StoredDecision]) -> None:
        try:
            self.score(decided(one) for one in made)
            self._failed = None
        except Exception as error:  # whatever is wrong with the challenger, it is not the caller's concern
            why = str(error) if isinstance(error, UnknownFeatures) else type(error).__name__
            if why != self._failed:
                _LOG.warning("the challenger in shadow does not score: %s", why)
            self._failed = why


def _scores(served: Served, decided: Sequence[Decided], now: int) -> list[ShadowScore]:
    bundle = served.bundle
    names = bundle.encoding.names
    if not decided:
        return []
    if lacking := {*names} - decided[0].features.keys():
        raise UnknownFeatures(f"it reads {len(lacking)} features that the champion's catalogue does not have")
    columns = {name: [one.features[name] for one in decided] for name in names}
    values = sigmoid(bundle.parts(bundle.encoding.encode(columns, len(decided))).sum(axis=1))
    return [
        ShadowScore(one.decision_id, bundle.sha256, served.version, float(value), now)
        for one, value in zip(decided, values, strict=True)
    ]


@dataclass(frozen=True)
class Comparison:
    """What champion and challenger said of the same decisions; figures are None where there are too few.

    Attributes:
        decisions: how many.
        champion, challenger: mean close probabilities.
        difference: mean of the challenger's less the champion's.
        largest: the greatest difference of a decision, without its sign.
        correlation: of both, by Pearson.
        other_grade: share of decisions with another grade.
    """

    decisions: int
    champion: float | None = None
    challenger: float | None = None
    difference: float | None = None
    largest: float | None = None
    correlation: float | None = None
    other_grade: float | None = None


def compare(pairs: Iterable[tuple[Content, float]], challenger: Bundle) -> Comparison:
    """Decisions with the challenger's close probability of each, compared."""
    told = [
        (content["close_probability"]["value"], value, content["grade"] != challenger.grade(value))
        for content, value in pairs
        if content["close_probability"]
    ]
    if not told:
        return Comparison(0)
    ours, theirs, regraded = (np.array(column, dtype=np.float64) for column in zip(*told, strict=True))
    vary = len(told) > 1 and np.ptp(ours) > 0 and np.ptp(theirs) > 0
    return Comparison(
        decisions=len(told),
        champion=float(ours.mean()),
        challenger=float(theirs.mean()),
        difference=float((theirs - ours).mean()),
        largest=float(np.abs(theirs - ours).max()),
        correlation=float(np.corrcoef(ours, theirs)[0, 1]) if vary else None,
        other_grade=float(regraded.mean()),
    )


@dataclass(frozen=True)
class Judgement:
    """Which of both told outcomes better; one decision a lead. Figures are None where there are too few outcomes.

    Attributes:
        leads: how many are old enough for their outcome to be known.
        won: how many of them were won within the horizon.
        champion, challenger: log losses, in nats a lead.
        difference: the challenger's less the champion's; below 0 the challenger is better.
        lower, upper: the difference's 95 % interval, by account.
    """

    leads: int
    won: int
    champion: float | None = None
    challenger: float | None = None
    difference: float | None = None
    lower: float | None = None
    upper: float | None = None


def judge(matured: Iterable[Matured], horizon_days: int | None) -> Judgement:
    """What came of the decisions against what champion and challenger said, where both speak of the same horizon."""
    told = [
        (said["value"], one.close_probability, one.won, one.cluster)
        for one in matured
        if (said := one.content["close_probability"]) and said["horizon_days"] == horizon_days
    ]
    wins = sum(won for _, _, won, _ in told)
    if min(wins, len(told) - wins) < FEWEST_OUTCOMES:
        return Judgement(len(told), wins)
    ours, theirs, won, clusters = map(np.array, zip(*told, strict=True))
    champion, challenger = losses(won, ours), losses(won, theirs)
    difference = float((challenger - champion).mean())
    reach = NORMAL_95 * clustered_standard_error(challenger - champion, clusters)
    return Judgement(
        len(told),
        wins,
        champion=float(champion.mean()),
        challenger=float(challenger.mean()),
        difference=difference,
        lower=difference - reach,
        upper=difference + reach,
    )
