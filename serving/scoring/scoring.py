"""The scoring of one process: the champion's scorer, the store that keeps decisions, and those that follow them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from operator import itemgetter

from models.scorer import Scorer
from serving.champion.scorer_cache import ScorerCache
from serving.champion.watcher import ModelWatcher
from serving.scoring.decide import NewDecision, decide_and_issue
from serving.scoring.inputs import DecisionInputs, SentLead, from_request
from serving.shadow.shadow import Shadow
from serving.store.batching import MicroBatcher
from serving.store.database import reading
from serving.store.store import Store


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """The parts that decide on leads.

    Attributes:
        store: keeps the decisions.
        champion: gives the scorer to decide with.
        scorers: the scorers of earlier decisions.
        shadow: scores decisions with the challenger, beside the answers; None without a shadow.
        count: counts decisions by their qualifications.
    """

    store: Store
    champion: ModelWatcher
    scorers: ScorerCache
    shadow: Shadow | None
    count: Callable[[Iterable[str]], None]

    @cached_property
    def _batcher(self) -> MicroBatcher[tuple[Scorer, SentLead], NewDecision]:
        return MicroBatcher(self._decide_batch)

    def decide(self, scorer: Scorer, sent: Sequence[SentLead]) -> list[NewDecision]:
        """The decisions on leads that were sent with their facts, in their order."""
        return decide_and_issue(scorer, self.inputs(scorer, sent), self.store.tokens, self.store.clock())

    def inputs(self, scorer: Scorer, sent: Sequence[SentLead]) -> list[DecisionInputs]:
        """The inputs of decisions on leads that were sent with their facts, in their order."""
        with reading(self.store.engine) as connection:
            return [from_request(connection, scorer, each) for each in sent]

    def decide_batched(self, scorer: Scorer, sent: SentLead) -> NewDecision:
        """The same for one lead, together with the leads of concurrent requests: a batch costs less than each alone."""
        return self._batcher.submit((scorer, sent))

    def _decide_batch(self, batch: Sequence[tuple[Scorer, SentLead]]) -> list[NewDecision]:
        # The champion may have changed between two requests of a batch.
        return [
            decision
            for scorer, group in groupby(batch, itemgetter(0))
            for decision in self.decide(scorer, [sent for _, sent in group])
        ]

    def keep_policy(self, scorer: Scorer, now: int) -> None:
        """Keeps the scorer's policy in the store, before a decision names it."""
        self.scorers.keep_policy(self.store.engine, scorer.policy, now)

    def report_decisions(self, decisions: Sequence[NewDecision]) -> None:
        """Counts decisions that are kept by now, and hands them to the shadow."""
        self.count(each.issued.decision.qualification for each in decisions)
        if self.shadow is not None:
            self.shadow.offer(each.stored for each in decisions)
