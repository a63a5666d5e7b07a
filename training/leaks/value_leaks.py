"""Marks: whether a column is blank, filled in, or holds one value, and what that says of the outcome.

Two yardsticks. Against chance: the hypergeometric probability of the wins among a tell's leads. Against an honest
signal: the binomial one, had the tell multiplied the odds of winning by `HONEST_ODDS`, more than anything known when a
lead is created is expected to do. Both are corrected for every tell looked at.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, hypergeom

from models.arrays import Reals
from training.evaluation.leak_findings import Evidence
from training.leaks.columns import FeatureColumn
from training.leaks.sample import Sample

HONEST_ODDS = 10.0
LARGE_PART, HALF = 0.1, 0.5
"""Shares of an outcome's leads: what is filled in for a large part of one outcome alone decides; so do values of one
outcome alone that hold half of the rarer outcome's leads."""
BLANKER = 0.3
"""Difference of the blank shares of won and lost from which it is a tell."""
_FEWEST = 5
_MANY_LEVELS = 8
_MOSTLY_ONE = 0.9
"""A word that one level mostly accounts for says no more than the level."""
_WORD = re.compile(r"[^\W\d_]{3,}")

Sort: TypeAlias = Literal["blank", "filled", "value", "other"]


@dataclass(frozen=True)
class Marks:
    """Marks of one column that split leads in two, and the outcomes among the marked; arrays of a tell each.

    Attributes:
        column: the feature's name.
        sorts: blank, filled in, holding one value, or any other than the commonest.
        words: each mark, to be read after "where it is".
        leads: how many are marked.
        wins: how many of those were won.
    """

    column: str
    sorts: tuple[Sort, ...]
    words: tuple[str, ...]
    leads: NDArray[np.int64]
    wins: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.sorts)


def marks(column: FeatureColumn, sample: Sample) -> Marks:
    """All marks of a column that enough of the sample's leads carry, and enough do not."""
    codes, won = column.codes[sample.positions], sample.won
    filled = codes >= 0
    every = len(column.labels)
    leads, wins = (np.bincount(part, minlength=every) for part in (codes[filled], codes[filled & won]))
    sorts: list[Sort] = ["blank", "filled"]
    words = ["blank", "filled in"]
    found = [((~filled).sum(), (~filled & won).sum()), (filled.sum(), (filled & won).sum())]
    for level in np.flatnonzero(leads >= _FEWEST):
        sorts.append("value")
        words.append(_quoted(column, column.labels[level]))
        found.append((leads[level], wins[level]))
    if every > 1:
        mode = int(leads.argmax())
        sorts.append("other")
        words.append(f"filled in with anything but {_quoted(column, column.labels[mode])}")
        found.append((leads.sum() - leads[mode], wins.sum() - wins[mode]))
    for word, marked, marked_wins in _mentions(column, leads, wins):
        sorts.append("value")
        words.append(f"a text with {word!r}")
        found.append((marked, marked_wins))
    table = np.array(found, dtype=np.int64)
    kept = np.flatnonzero((table[:, 0] >= _FEWEST) & (len(won) - table[:, 0] > 0))
    names = tuple(sorts[i] for i in kept), tuple(words[i] for i in kept)
    return Marks(column.name, *names, table[kept, 0], table[kept, 1])


def _quoted(column: FeatureColumn, label: str) -> str:
    return label if column.numbers is not None else repr(label)


def _mentions(
    column: FeatureColumn, leads: NDArray[np.int64], wins: NDArray[np.int64]
) -> Iterator[tuple[str, np.int64, np.int64]]:
    """Words that several levels of a category with many share, with the leads and wins of those."""
    if column.numbers is not None or len(column.labels) <= _MANY_LEVELS:
        return
    levels: dict[str, list[int]] = {}
    for level in np.flatnonzero(leads).tolist():
        for word in {*_WORD.findall(column.labels[level].lower())}:
            levels.setdefault(word, []).append(level)
    for word, of in levels.items():
        marked = leads[of].sum()
        if marked >= _FEWEST and leads[of].max() <= _MOSTLY_ONE * marked:
            yield word, marked, wins[of].sum()


def evidence(found: Marks, sample: Sample, chance: float) -> list[Evidence]:
    """What a column's tells are evidence of.

    Args:
        found: the tells.
        sample: whose outcomes they hold.
        chance: probability below which neither chance nor an honest signal explains a tell; corrected already for
            every tell looked at.
    """
    judged = _Judged.of(found, sample)
    blanks = [i for i, sort in enumerate(found.sorts) if sort == "blank" and judged.exact[i]]
    if any(judged.by_chance[i] < chance for i in blanks):
        return [judged.blank_with_one_outcome(blanks[0])]
    missing = [
        judged.filled_for_one_outcome(i)
        for i, sort in enumerate(found.sorts)
        if sort in ("filled", "other") and judged.exact[i] and judged.by_chance[i] < chance
    ][:1]
    values = [i for i, sort in enumerate(found.sorts) if sort == "value" and judged.honestly[i] < chance]
    lopsided = [
        judged.blanker(i)
        for i, sort in enumerate(found.sorts)
        if sort == "blank" and judged.by_chance[i] < chance and abs(judged.difference(i)) >= BLANKER
    ]
    near = [
        judged.nearly(i)
        for i, sort in enumerate(found.sorts)
        if sort in ("blank", "filled", "other") and not judged.exact[i] and judged.honestly[i] < chance
    ]
    return [*missing, *(judged.values(values) if values else ()), *(near[:1] or ([] if missing else lopsided))]


@dataclass(frozen=True)
class _Judged:
    """Marks with what chance and an honest signal make of them."""

    tells: Marks
    won: int
    lost: int
    by_chance: Reals
    honestly: Reals

    @classmethod
    def of(cls, found: Marks, sample: Sample) -> "_Judged":
        leads, wins = found.leads, found.wins
        total, won = len(sample.won), int(sample.won.sum())
        odds = won / (total - won)
        up = wins * total > won * leads
        strong = np.where(up, odds * HONEST_ODDS, odds / HONEST_ODDS)
        honest = strong / (1 + strong)
        logs = [
            np.where(up, law.logsf(wins - 1, *terms), law.logcdf(wins, *terms))
            for law, terms in ((hypergeom, (total, won, leads)), (binom, (leads, honest)))
        ]
        return cls(found, won, total - won, *(np.exp(log / sample.overdispersion) for log in logs))

    @property
    def exact(self) -> NDArray[np.bool_]:
        """Which come with one outcome only."""
        return np.asarray((self.tells.wins == 0) | (self.tells.wins == self.tells.leads))

    def outcome(self, i: int) -> str:
        """The outcome that the tell speaks for."""
        return "won" if self.tells.wins[i] * (self.won + self.lost) > self.won * self.tells.leads[i] else "lost"

    def covered(self, i: int) -> float:
        """Share of its outcome's leads that carry the tell."""
        wins = self.tells.wins[i]
        return float(wins / self.won if self.outcome(i) == "won" else (self.tells.leads[i] - wins) / self.lost)

    def difference(self, i: int) -> float:
        """Share of the lost that carry the tell, less that of the won."""
        wins = self.tells.wins[i]
        return float((self.tells.leads[i] - wins) / self.lost - wins / self.won)

    def purity(self, i: int) -> float:
        """How rarely the tell errs: 1 never (of many leads), 0 as often as one says its outcome blindly."""
        leads, wins = self.tells.leads[i], self.tells.wins[i]
        right, blind = (wins, self.won) if self.outcome(i) == "won" else (leads - wins, self.lost)
        share = (right + 0.5) / (leads + 1)
        base = blind / (self.won + self.lost)
        return float(np.clip((share - base) / (1 - base), 0, 1))

    def figures(self, i: int) -> dict[str, float]:
        """The counts behind the words."""
        counts = {"leads": int(self.tells.leads[i]), "won": int(self.tells.wins[i]), "by_chance": self.by_chance[i]}
        return {name: float(value) for name, value in counts.items()}

    def counted(self, i: int) -> str:
        """How many of the tell's leads had its outcome."""
        leads, wins, outcome = self.tells.leads[i], self.tells.wins[i], self.outcome(i)
        return f"{outcome} were {wins if outcome == 'won' else leads - wins:,} of {leads:,}"

    def blank_with_one_outcome(self, i: int) -> Evidence:
        words = f"is blank only where the lead was {self.outcome(i)} ({self.tells.leads[i]:,} leads)"
        return Evidence(kind="missing", words=words, strength=1.0, decisive=True, figures=self.figures(i))

    def filled_for_one_outcome(self, i: int) -> Evidence:
        decisive = self.covered(i) >= LARGE_PART and self.honestly[i] < _HONEST_CHANCE
        words = (
            f"is {self.tells.words[i]} only where the lead was {self.outcome(i)} "
            f"({self.tells.leads[i]:,} leads, {self.covered(i):.0%} of the {self.outcome(i)})"
        )
        kind: Literal["missing", "value"] = "missing" if self.tells.sorts[i] == "filled" else "value"
        return Evidence(
            kind=kind, words=words, strength=self.purity(i), decisive=bool(decisive), figures=self.figures(i)
        )

    def values(self, some: Sequence[int]) -> list[Evidence]:
        """Of values beyond any honest signal, the most covering first; together they may decide."""
        ordered = sorted(some, key=lambda i: (-self.purity(i) * self.covered(i), self.tells.words[i]))
        rarer = "won" if self.won <= self.lost else "lost"
        plain = [i for i in ordered if self.exact[i] and self.outcome(i) == rarer and self._is_level(i)]
        covered = sum(self.covered(i) for i in plain)
        told = ", ".join(f"{self.tells.words[i]} ({self.counted(i)})" for i in ordered[:3])
        rest = f" and {len(ordered) - 3} more" if len(ordered) > 3 else ""
        words = f"says more of the outcome than an honest signal would where it is {told}{rest}"
        if covered >= HALF:
            words = f"has values that only {rarer} leads have, {covered:.0%} of those: {told}{rest}"
        strength = max(self.purity(i) for i in ordered)
        return [
            Evidence(
                kind="value", words=words, strength=strength, decisive=covered >= HALF, figures=self.figures(ordered[0])
            )
        ]

    def _is_level(self, i: int) -> bool:
        return not self.tells.words[i].startswith("a text with")

    def nearly(self, i: int) -> Evidence:
        words = (
            f"says more of the outcome than an honest signal would by being {self.tells.words[i]}: {self.counted(i)}"
        )
        kind: Literal["missing", "value"] = "value" if self.tells.sorts[i] == "other" else "missing"
        return Evidence(kind=kind, words=words, strength=self.purity(i), decisive=False, figures=self.figures(i))

    def blanker(self, i: int) -> Evidence:
        lost, won = ((self.tells.leads[i] - self.tells.wins[i]) / self.lost, self.tells.wins[i] / self.won)
        words = f"is blank for {lost:.0%} of the lost and {won:.0%} of the won"
        return Evidence(
            kind="missing",
            words=words,
            strength=0.5 + abs(self.difference(i)) / 2,
            decisive=False,
            figures=self.figures(i),
        )


_HONEST_CHANCE = 0.01
"""Probability that an honest signal leaves no exception, below which what is filled in for one outcome decides."""
