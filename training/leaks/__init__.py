"""Leak detection before training: what alone nearly decides the outcome cannot have been known at creation.

An attribute of an import blocks training when, alone, it ranks out-of-time outcomes with an AUC above .9, is blank with
one outcome only, or is filled in with one only; weaker suspects are ranked with their evidence, as are features that
drift. Statistics cannot tell every leak from an honest signal: the mapping's `known` is what decides, this only catches
what it missed. See docs/leaks.md.
"""

from training.leaks.detector import LeakSearch, search_for_leaks
from training.leaks.evidence import LeakFound
from training.leaks.sample import LeadHistory

__all__ = ["LeadHistory", "LeakFound", "LeakSearch", "search_for_leaks"]
