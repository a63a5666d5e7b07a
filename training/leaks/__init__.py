"""Leak detection before training: a feature that alone nearly decides the outcome was not known at creation.

An attribute of an import blocks training in four cases: alone it ranks out-of-time outcomes with an AUC above .9, it
is blank with one outcome only, it is filled in with one outcome only, or it is filled in for closed leads only. Weaker
suspects are ranked with their evidence. Features that drift are ranked too. Statistics cannot separate every leak from
an honest signal: the mapping's `known` decides, and this search catches what the mapping missed. See docs/leaks.md.
"""

from training.leaks.detector import LeakSearch, search_for_leaks
from training.leaks.evidence import LeakFound
from training.leaks.sample import LeadHistory

__all__ = ["LeadHistory", "LeakFound", "LeakSearch", "search_for_leaks"]
