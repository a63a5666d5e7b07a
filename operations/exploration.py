"""A share of leads whose priority is drawn at random, so that policies can be evaluated without the model's own bias.

Sales work what the score ranks high, so that later outcomes tell least of leads it ranked low. Where a small share gets
a random priority, independent of all that is known of a lead, its outcomes speak for all leads alike. The share is 0 by
default. Everything follows from lead, day, share and seed: any replica draws the same, and an audit can draw again.
The seed is no secret, and the draw is no defence against somebody who wants a lead drawn.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from features.records import Row
from features.value_types import DAY, iso_date

OFF = 0.0


@dataclass(frozen=True)
class Exploration:
    """How priorities are randomised.

    Attributes:
        share: of lead-days whose priority is random, 0 (off) to 1.
        seed: names the experiment; another seed draws anew.

    Raises:
        ValueError: the share is not from 0 to 1.
    """

    share: float = OFF
    seed: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"the share of priorities at random must be from 0 to 1, not {self.share}")


@dataclass(frozen=True)
class Draw:
    """Whether a lead's priority is random on a day, and the priority it then has: the share of the list to stand above.

    Attributes:
        lead_id: the lead.
        day: start of the UTC day, microseconds.
        randomised: whether it is.
        priority: uniform from 0 to below 1, independent of `randomised`; None where not randomised.
    """

    lead_id: str
    day: int
    randomised: bool
    priority: float | None


def draw(lead_id: str, at: int, exploration: Exploration) -> Draw:
    """The draw of a lead on the UTC day of a moment (microseconds); the same whenever it is made.

    A lead drawn at a share is drawn at every larger share too.
    """
    day = at - at % DAY
    chosen = _uniform("chosen", lead_id, day, exploration.seed) < exploration.share
    return Draw(lead_id, day, chosen, _uniform("priority", lead_id, day, exploration.seed) if chosen else None)


def arranged(lead_ids: Sequence[str], at: int, exploration: Exploration) -> list[Draw]:
    """A list of different leads, best first, with those drawn at random places on the UTC day of a moment.

    The others keep their order. Each lead drawn is equally likely to stand at any place; where it stands follows from
    the draws and the length of the list, not from its own place in it: those drawn go in one by one, in the order of
    their ids, each at any place of the list so far.
    """
    draws = [draw(lead_id, at, exploration) for lead_id in lead_ids]
    found = [one for one in draws if not one.randomised]
    for one in sorted(draws, key=lambda one: one.lead_id):
        if one.priority is not None:
            found.insert(len(found) - int(one.priority * (len(found) + 1)), one)
    return found


def _uniform(what: str, lead_id: str, day: int, seed: str) -> float:
    """A number from 0 to below 1 that follows from its arguments alone."""
    parts = (what, seed, iso_date(day), lead_id)
    digest = hashlib.sha256("".join(f"{len(part)}:{part}" for part in parts).encode()).digest()
    return (int.from_bytes(digest[:8]) >> 11) / 2**53


@dataclass(frozen=True)
class Exposure:
    """Where a lead stood in a list that sales saw, and what an evaluation needs to know of that, to be logged.

    Attributes:
        lead_id: the lead.
        day: start of the UTC day, microseconds.
        decision_id: the decision whose score it had.
        score: its probability of closing; None without a model.
        share, seed: the exploration in force.
        randomised: whether its priority was random; if so, any place in the list was equally likely.
        view: the list, by its name.
        listed: how many leads the list had.
        position: its place in the list, from 1.
        position_by_score: the place it would have had without exploration, from 1.

    Raises:
        ValueError: the share is not from 0 to 1, or a position not from 1 to `listed`.
    """

    lead_id: str
    day: int
    decision_id: str
    score: float | None
    share: float
    seed: str
    randomised: bool
    view: str
    listed: int
    position: int
    position_by_score: int

    def __post_init__(self) -> None:
        Exploration(self.share, self.seed)
        for name in ("position", "position_by_score"):
            if not 1 <= (place := getattr(self, name)) <= self.listed:
                raise ValueError(f"{name} must be from 1 to {self.listed}, not {place}")

    def row(self) -> Row:
        """Its flat columns."""
        return asdict(self)
