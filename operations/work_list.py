"""The work list: which leads a view shows, in what order, and which views a role works with.

Sales works what passed, the best first; partner managers chase what is pending; a partner follows its own leads. Every
lead is in exactly one of `passed`, `pending` and `aside`.
"""

from dataclasses import dataclass

from models.policy import Qualification


@dataclass(frozen=True)
class View:
    """A part of the leads, ranked by qualification in the order given and within it by close probability.

    Attributes:
        name: how addresses call it.
        title: how people call it.
        purpose: what its leads have in common, in a sentence.
        qualifications: those it shows, best first.
        pending: whether it shows leads that are pending, or that are not; None for both.
    """

    name: str
    title: str
    purpose: str
    qualifications: tuple[Qualification, ...]
    pending: bool | None = False

    def shows(self, qualification: str, pending: bool) -> bool:
        """Whether a lead of this standing is in the view."""
        return qualification in self.qualifications and self.pending in (None, pending)


PASSED = View("passed", "Work now", "Leads that passed: EQLs first, then SQLs and MQLs.", ("EQL", "SQL", "MQL"))
_EQL = View("eql", "EQL", "Fit and intent are confirmed by both sides, and every gate passed.", ("EQL",))
_SQL = View("sql", "SQL", "The account fits, gave a buying signal and is likely to close.", ("SQL",))
_MQL = View("mql", "MQL", "A buying signal or engagement with us, and not yet more.", ("MQL",))
PENDING = View(
    "pending",
    "Pending",
    "Partner leads that are not EQLs yet: nothing failed, something is still unknown or unconfirmed.",
    ("SQL", "MQL", "UNQUALIFIED"),
    pending=True,
)
ASIDE = View(
    "aside", "Set aside", "Leads not to work now: unqualified, or disqualified.", ("UNQUALIFIED", "DISQUALIFIED")
)
_OWN = View(
    "own",
    "All",
    "Every lead that came from you, the best first.",
    ("EQL", "SQL", "MQL", "UNQUALIFIED", "DISQUALIFIED"),
    pending=None,
)

_RANKS = (_EQL, _SQL, _MQL)
_BY_ROLE = {
    "sales": (PASSED, *_RANKS),
    "partner_manager": (PENDING, PASSED, *_RANKS, ASIDE),
    "partner": (_OWN, _EQL, PENDING),
}


def views(role: str) -> tuple[View, ...]:
    """The views a role works with, the one it starts from first; roles not named have those of sales and managers."""
    return _BY_ROLE.get(role, (PASSED, *_RANKS, PENDING, ASIDE))


def view(role: str, name: str | None) -> View | None:
    """A role's view of that name, or without a name the one it starts from; None where it has no such view."""
    found = views(role)
    return found[0] if name is None else next((each for each in found if each.name == name), None)
