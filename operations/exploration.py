"""Exploration: a share of leads gets a random priority, so that a policy can be evaluated without the model's bias.

Sales works the leads that the score ranks high, so later outcomes say little about the leads ranked low. A random
priority is independent of every fact about a lead, so the outcomes of this share represent all leads. The share is 0 by
default. A draw follows from lead, day, share and seed: every replica makes the same draw, and an audit can repeat it.
The seed is not a secret, so a user who can choose lead ids can choose one that is drawn.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from features.records import Row
from features.value_types import DAY, iso_date

OFF = 0.0


@dataclass(frozen=True)
class Exploration:
    """The settings of an experiment with random priorities.

    Attributes:
        share: the share of lead-days with a random priority, from 0 (off) to 1.
        seed: the name of the experiment; another seed draws other leads.

    Raises:
        ValueError: the share is not from 0 to 1.
    """

    share: float = OFF
    seed: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"the share of random priorities must be from 0 to 1, not {self.share}")


@dataclass(frozen=True)
class Draw:
    """The draw of a lead on a day: whether its priority is random, and which priority it gets.

    Attributes:
        lead_id: the lead.
        day: the start of the UTC day, microseconds.
        randomised: whether the priority is random.
        priority: the share of the list that the lead stands above, uniform in [0, 1) and independent of `randomised`;
            None if the priority is not random.
    """

    lead_id: str
    day: int
    randomised: bool
    priority: float | None


def draw(lead_id: str, at: int, exploration: Exploration) -> Draw:
    """The draw of a lead on the UTC day of a moment (microseconds).

    The same arguments give the same draw. A lead that is randomised at one share is randomised at every larger share.
    """
    day = at - at % DAY
    randomised = _uniform("chosen", lead_id, day, exploration.seed) < exploration.share
    return Draw(lead_id, day, randomised, _uniform("priority", lead_id, day, exploration.seed) if randomised else None)


def arranged(lead_ids: Sequence[str], at: int, exploration: Exploration) -> list[Draw]:
    """The draws of a list of distinct leads, best first; randomised leads move to random positions.

    The other leads keep their order. A randomised lead is equally likely at every position. The position follows from
    the draws and the length of the list; the original position of the lead has no influence. The randomised leads are
    inserted one after the other, in the order of their ids, each at a random position of the list so far.
    """
    draws = [draw(lead_id, at, exploration) for lead_id in lead_ids]
    order = [each for each in draws if not each.randomised]
    for each in sorted(draws, key=lambda each: each.lead_id):
        if each.priority is not None:
            order.insert(len(order) - int(each.priority * (len(order) + 1)), each)
    return order


def _uniform(purpose: str, lead_id: str, day: int, seed: str) -> float:
    """A number in [0, 1), uniform over the values of a hash of the arguments."""
    parts = (purpose, seed, iso_date(day), lead_id)
    digest = hashlib.sha256("".join(f"{len(part)}:{part}" for part in parts).encode()).digest()
    return (int.from_bytes(digest[:8]) >> 11) / 2**53


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """The position of a lead in a list that sales saw, with the data that an evaluation needs; a row of the log.

    Attributes:
        lead_id: the lead.
        day: the start of the UTC day, microseconds.
        decision_id: the decision that the score is from.
        score: the close probability; None without a model.
        share: the share of random priorities on that day.
        seed: the seed of the experiment on that day.
        randomised: whether the priority was random; then every position was equally likely.
        view: the name of the list.
        listed: the number of leads in the list.
        position: the position in the list, from 1.
        position_by_score: the position without exploration, from 1.

    Raises:
        ValueError: the share is not from 0 to 1, or a position is not from 1 to `listed`.
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
            if not 1 <= (position := getattr(self, name)) <= self.listed:
                raise ValueError(f"{name} must be from 1 to {self.listed}, not {position}")

    def row(self) -> Row:
        """The exposure as a flat row."""
        return asdict(self)
