"""A share of leads whose priority is drawn at random, so that policies can be evaluated without the model's own bias.

Sales work what the score ranks high, so that later outcomes tell least of leads it ranked low. Where a small share gets
a random priority, independent of all that is known of a lead, its outcomes speak for all leads alike. The share is 0 by
default. Everything follows from lead, day, share and seed: any replica draws the same, and an audit can draw again.
The seed is no secret, and the draw is no defence against somebody who wants a lead drawn.
"""

import hashlib
from dataclasses import asdict, dataclass

from features.records import Row
from features.values import DAY, iso_date

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
    """Whether a lead's priority is random on a day, and the priority it then has.

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


def _uniform(what: str, lead_id: str, day: int, seed: str) -> float:
    """A number from 0 to below 1 that follows from its arguments alone."""
    parts = (what, seed, iso_date(day), lead_id)
    digest = hashlib.sha256("".join(f"{len(part)}:{part}" for part in parts).encode()).digest()
    return (int.from_bytes(digest[:8]) >> 11) / 2**53


@dataclass(frozen=True)
class Exposure:
    """What an evaluation by inverse propensity needs to know of one lead's place in a work list, to be logged.

    Attributes:
        lead_id: the lead.
        day: start of the UTC day, microseconds.
        decision_id: the decision whose score it had.
        score: its probability of closing; None without a model.
        share, seed: the exploration in force.
        randomised: whether its priority was random.
        position: its place in the list, from 1.
        listed: how many leads the list had.
        shown: whether somebody got to see it there.

    Raises:
        ValueError: the share is not from 0 to 1, or the position not from 1 to `listed`.
    """

    lead_id: str
    day: int
    decision_id: str
    score: float | None
    share: float
    seed: str
    randomised: bool
    position: int
    listed: int
    shown: bool

    def __post_init__(self) -> None:
        Exploration(self.share, self.seed)
        if not 1 <= self.position <= self.listed:
            raise ValueError(f"position must be from 1 to {self.listed}, not {self.position}")

    def row(self) -> Row:
        """Its flat columns."""
        return asdict(self)
