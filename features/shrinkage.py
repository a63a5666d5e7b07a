"""The strength of empirical-Bayes shrinkage: how many trials a group needs for its own rate to weigh half."""

_PRIOR_CORRELATION = 1 / 21
"""The intraclass correlation that is assumed before there is evidence; it means a strength of 20 trials."""

_PRIOR_WEIGHT = 20
"""The degrees of freedom at which the evidence weighs as much as the assumed correlation."""


def strength(groups: int, trials: int, successes: int, squared_trials: int, explained: float) -> float:
    """The number of trials at which a group's own rate weighs as much as the common rate: (1 - r) / r.

    r is the intraclass correlation of a binary outcome, estimated by analysis of variance (Ridout, Demétrio & Firth
    1999, doi 10.1111/j.0006-341X.1999.00137.x). With few groups r is drawn towards 1 / 21, a strength of 20 trials.

    Args:
        groups: the number of groups with trials.
        trials: the trials of all groups.
        successes: the successes of all groups.
        squared_trials: the sum over groups of trials².
        explained: the sum over groups of successes² / trials.

    Without evidence the strength is 20. Two groups with equal rates raise it, two with opposite rates lower it.

    >>> strength(0, 0, 0, 0, 0.0)
    20.0
    >>> round(strength(2, 20, 10, 200, 5.0), 2), round(strength(2, 20, 10, 200, 10.0), 2)
    (21.05, 9.76)
    """
    freedom = max(groups - 1, 0)
    observed = _correlation(freedom, trials, successes, squared_trials, explained)
    correlation = (freedom * observed + _PRIOR_WEIGHT * _PRIOR_CORRELATION) / (freedom + _PRIOR_WEIGHT)
    return (1 - correlation) / correlation


def _correlation(freedom: int, trials: int, successes: int, squared_trials: int, explained: float) -> float:
    """The intraclass correlation; 0 where the groups differ no more than by chance, or there are too few trials."""
    if not freedom or trials <= freedom + 1:
        return 0.0
    between = (explained - successes**2 / trials) / freedom
    within = (successes - explained) / (trials - freedom - 1)
    # The average size of a group, corrected for groups of different sizes.
    size = (trials - squared_trials / trials) / freedom
    spread = between + (size - 1) * within
    return max(0.0, (between - within) / spread) if spread > 0 else 0.0
