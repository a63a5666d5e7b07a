"""Value leaks: a mark of a column (blank, filled in, holding one value) that nearly decides the outcome.

Two tests apply to each mark. The test against chance is the hypergeometric probability of the wins among the marked
leads. The test against an honest signal is the binomial probability if the mark multiplied the odds of winning by
`HONEST_ODDS`, more than a fact known at creation is expected to do. Both are corrected for the number of marks.
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
MIN_FILLED_SHARE, MIN_VALUES_SHARE = 0.1, 0.5
"""A column filled in for one outcome only decides from the first share of that outcome's leads on. Values of one
outcome only decide where together they hold the second share of the rarer outcome's leads."""
MIN_BLANK_DIFFERENCE = 0.3
"""Blank shares of won and lost leads that differ by this much are evidence."""
_MIN_LEADS = 5
_MIN_LEVELS_FOR_WORDS = 8
_MAX_LEVEL_SHARE = 0.9
"""A word is skipped where one level has more than this share of its leads: the level itself is a mark already."""
_MAX_HONEST_PROBABILITY = 0.01
"""A column filled in for one outcome only decides where an honest signal would leave no exception less often."""
_WORD = re.compile(r"[^\W\d_]{3,}")

Sort: TypeAlias = Literal["blank", "filled", "value", "other"]


@dataclass(frozen=True, kw_only=True)
class Marks:
    """The marks of one column, and the outcomes of the marked leads; one entry a mark.

    Attributes:
        column: the feature's name.
        sorts: blank, filled in, holding one value, or any value but the most frequent.
        words: each mark in words, to be read after "where it is".
        leads: the number of marked leads.
        wins: the number of wins among them.
    """

    column: str
    sorts: tuple[Sort, ...]
    words: tuple[str, ...]
    leads: NDArray[np.int64]
    wins: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.sorts)


def marks(column: FeatureColumn, sample: Sample) -> Marks:
    """The marks that at least 5 of the sample's leads have and at least one lead does not."""
    codes, won = column.codes[sample.positions], sample.won
    filled = codes >= 0
    every = len(column.labels)
    leads, wins = (np.bincount(part, minlength=every) for part in (codes[filled], codes[filled & won]))
    sorts: list[Sort] = ["blank", "filled"]
    words = ["blank", "filled in"]
    counts = [((~filled).sum(), (~filled & won).sum()), (filled.sum(), (filled & won).sum())]
    for level in np.flatnonzero(leads >= _MIN_LEADS):
        sorts.append("value")
        words.append(_quoted(column, column.labels[level]))
        counts.append((leads[level], wins[level]))
    if every > 1:
        mode = int(leads.argmax())
        sorts.append("other")
        words.append(f"filled in with anything but {_quoted(column, column.labels[mode])}")
        counts.append((leads.sum() - leads[mode], wins.sum() - wins[mode]))
    for word, marked, marked_wins in _mentions(column, leads, wins):
        sorts.append("value")
        words.append(f"a text with {word!r}")
        counts.append((marked, marked_wins))
    table = np.array(counts, dtype=np.int64)
    kept = np.flatnonzero((table[:, 0] >= _MIN_LEADS) & (len(won) - table[:, 0] > 0))
    return Marks(
        column=column.name,
        sorts=tuple(sorts[i] for i in kept),
        words=tuple(words[i] for i in kept),
        leads=table[kept, 0],
        wins=table[kept, 1],
    )


def _quoted(column: FeatureColumn, label: str) -> str:
    return label if column.numbers is not None else repr(label)


def _mentions(
    column: FeatureColumn, leads: NDArray[np.int64], wins: NDArray[np.int64]
) -> Iterator[tuple[str, np.int64, np.int64]]:
    """The words that several levels of a category with many levels share, with the leads and wins of those levels."""
    if column.numbers is not None or len(column.labels) <= _MIN_LEVELS_FOR_WORDS:
        return
    levels: dict[str, list[int]] = {}
    for level in np.flatnonzero(leads).tolist():
        for word in {*_WORD.findall(column.labels[level].lower())}:
            levels.setdefault(word, []).append(level)
    for word, of in levels.items():
        marked = leads[of].sum()
        if marked >= _MIN_LEADS and leads[of].max() <= _MAX_LEVEL_SHARE * marked:
            yield word, marked, wins[of].sum()


def evidence(column_marks: Marks, sample: Sample, chance: float) -> list[Evidence]:
    """The evidence that a column's marks give.

    Args:
        column_marks: the marks.
        sample: the leads that the marks count.
        chance: the probability below which chance, or an honest signal, does not explain a mark; already corrected for
            the number of marks.
    """
    tested = _TestedMarks.of(column_marks, sample)
    blanks = [i for i, sort in enumerate(column_marks.sorts) if sort == "blank" and tested.exact[i]]
    if any(tested.by_chance[i] < chance for i in blanks):
        return [tested.blank_with_one_outcome(blanks[0])]
    missing = [
        tested.filled_for_one_outcome(i)
        for i, sort in enumerate(column_marks.sorts)
        if sort in ("filled", "other") and tested.exact[i] and tested.by_chance[i] < chance
    ][:1]
    values = [i for i, sort in enumerate(column_marks.sorts) if sort == "value" and tested.honestly[i] < chance]
    lopsided = [
        tested.blanker(i)
        for i, sort in enumerate(column_marks.sorts)
        if sort == "blank" and tested.by_chance[i] < chance and abs(tested.difference(i)) >= MIN_BLANK_DIFFERENCE
    ]
    near = [
        tested.nearly(i)
        for i, sort in enumerate(column_marks.sorts)
        if sort in ("blank", "filled", "other") and not tested.exact[i] and tested.honestly[i] < chance
    ]
    return [*missing, *(tested.values(values) if values else ()), *(near[:1] or ([] if missing else lopsided))]


@dataclass(frozen=True, kw_only=True)
class _TestedMarks:
    """Marks with their probabilities by chance, and under an honest signal."""

    marks: Marks
    won: int
    lost: int
    by_chance: Reals
    honestly: Reals

    @classmethod
    def of(cls, marks: Marks, sample: Sample) -> "_TestedMarks":
        leads, wins = marks.leads, marks.wins
        total, won = len(sample.won), int(sample.won.sum())
        odds = won / (total - won)
        up = wins * total > won * leads
        strong = np.where(up, odds * HONEST_ODDS, odds / HONEST_ODDS)
        honest = strong / (1 + strong)
        logs = [
            np.where(up, law.logsf(wins - 1, *terms), law.logcdf(wins, *terms))
            for law, terms in ((hypergeom, (total, won, leads)), (binom, (leads, honest)))
        ]
        # Leads of one account share their fate: dividing the log probability keeps the tests honest then.
        by_chance, honestly = (np.exp(log / sample.overdispersion) for log in logs)
        return cls(marks=marks, won=won, lost=total - won, by_chance=by_chance, honestly=honestly)

    @property
    def exact(self) -> NDArray[np.bool_]:
        """The marks that come with one outcome only."""
        return np.asarray((self.marks.wins == 0) | (self.marks.wins == self.marks.leads))

    def outcome(self, i: int) -> str:
        """The outcome that the mark points to."""
        return "won" if self.marks.wins[i] * (self.won + self.lost) > self.won * self.marks.leads[i] else "lost"

    def covered(self, i: int) -> float:
        """Share of its outcome's leads that have the mark."""
        wins = self.marks.wins[i]
        return float(wins / self.won if self.outcome(i) == "won" else (self.marks.leads[i] - wins) / self.lost)

    def difference(self, i: int) -> float:
        """Share of the lost leads that have the mark, less that of the won leads."""
        wins = self.marks.wins[i]
        return float((self.marks.leads[i] - wins) / self.lost - wins / self.won)

    def purity(self, i: int) -> float:
        """How rarely the mark is wrong: 1 is never (of many leads), 0 is as often as guessing its outcome blindly."""
        leads, wins = self.marks.leads[i], self.marks.wins[i]
        right, blind = (wins, self.won) if self.outcome(i) == "won" else (leads - wins, self.lost)
        share = (right + 0.5) / (leads + 1)
        base = blind / (self.won + self.lost)
        return float(np.clip((share - base) / (1 - base), 0, 1))

    def figures(self, i: int) -> dict[str, float]:
        """The counts behind the words."""
        counts = {"leads": int(self.marks.leads[i]), "won": int(self.marks.wins[i]), "by_chance": self.by_chance[i]}
        return {name: float(value) for name, value in counts.items()}

    def counted(self, i: int) -> str:
        """How many of the marked leads had the mark's outcome, in words."""
        leads, wins, outcome = self.marks.leads[i], self.marks.wins[i], self.outcome(i)
        return f"{outcome} were {wins if outcome == 'won' else leads - wins:,} of {leads:,}"

    def blank_with_one_outcome(self, i: int) -> Evidence:
        words = f"is blank only where the lead was {self.outcome(i)} ({self.marks.leads[i]:,} leads)"
        return Evidence(kind="missing", words=words, strength=1.0, decisive=True, figures=self.figures(i))

    def filled_for_one_outcome(self, i: int) -> Evidence:
        decisive = self.covered(i) >= MIN_FILLED_SHARE and self.honestly[i] < _MAX_HONEST_PROBABILITY
        words = (
            f"is {self.marks.words[i]} only where the lead was {self.outcome(i)} "
            f"({self.marks.leads[i]:,} leads, {self.covered(i):.0%} of the {self.outcome(i)})"
        )
        kind: Literal["missing", "value"] = "missing" if self.marks.sorts[i] == "filled" else "value"
        return Evidence(
            kind=kind, words=words, strength=self.purity(i), decisive=bool(decisive), figures=self.figures(i)
        )

    def values(self, some: Sequence[int]) -> list[Evidence]:
        """Evidence of values beyond an honest signal, those with the largest share first; together they may decide."""
        ordered = sorted(some, key=lambda i: (-self.purity(i) * self.covered(i), self.marks.words[i]))
        rarer = "won" if self.won <= self.lost else "lost"
        plain = [i for i in ordered if self.exact[i] and self.outcome(i) == rarer and self._is_level(i)]
        covered = sum(self.covered(i) for i in plain)
        listed = ", ".join(f"{self.marks.words[i]} ({self.counted(i)})" for i in ordered[:3])
        rest = f" and {len(ordered) - 3} more" if len(ordered) > 3 else ""
        words = f"says more of the outcome than an honest signal would where it is {listed}{rest}"
        if covered >= MIN_VALUES_SHARE:
            words = f"has values that only {rarer} leads have, {covered:.0%} of those: {listed}{rest}"
        strength = max(self.purity(i) for i in ordered)
        return [
            Evidence(
                kind="value",
                words=words,
                strength=strength,
                decisive=covered >= MIN_VALUES_SHARE,
                figures=self.figures(ordered[0]),
            )
        ]

    def _is_level(self, i: int) -> bool:
        return not self.marks.words[i].startswith("a text with")

    def nearly(self, i: int) -> Evidence:
        words = (
            f"says more of the outcome than an honest signal would by being {self.marks.words[i]}: {self.counted(i)}"
        )
        kind: Literal["missing", "value"] = "value" if self.marks.sorts[i] == "other" else "missing"
        return Evidence(kind=kind, words=words, strength=self.purity(i), decisive=False, figures=self.figures(i))

    def blanker(self, i: int) -> Evidence:
        lost, won = ((self.marks.leads[i] - self.marks.wins[i]) / self.lost, self.marks.wins[i] / self.won)
        words = f"is blank for {lost:.0%} of the lost and {won:.0%} of the won"
        return Evidence(
            kind="missing",
            words=words,
            strength=0.5 + abs(self.difference(i)) / 2,
            decisive=False,
            figures=self.figures(i),
        )
