"""Facts and leads that were acknowledged survive the service's sudden death, and what is sent again is not doubled."""

import pytest

from benchmarks.evidence.crashes import RANDOM, crashes
from benchmarks.evidence.failing import FAILPOINTS

KILLS = 25


@pytest.mark.both_databases
def test_nothing_acknowledged_is_lost_or_doubled(database: str) -> None:
    figures = crashes(database, KILLS)
    assert (figures["kills"], figures["deaths"].keys()) == (KILLS, {RANDOM, *FAILPOINTS})
    assert figures["acknowledged"] > KILLS
    assert figures["sent_again"] > 0
    assert (figures["lost"], figures["doubled"], figures["unknown"], figures["refused"]) == (0, 0, 0, 0), figures
