"""The work list: the views of each role, the leads of each view, and their order.

Sales works the leads that passed, the best first. Partner managers follow up pending leads. A partner sees its own
leads. Every open lead is in exactly one of the views `passed`, `pending` and `aside`, and each names who acts. A closed
lead is in none.
"""

from dataclasses import dataclass, replace

from models.policy import Qualification

_PLURALS = {
    "EQL": "EQLs",
    "SQL": "SQLs",
    "MQL": "MQLs",
    "UNQUALIFIED": "unqualified leads",
    "DISQUALIFIED": "disqualified leads",
}


@dataclass(frozen=True, kw_only=True)
class View:
    """A part of the leads, ranked by qualification and within a qualification by close probability.

    Attributes:
        name: the name in URLs.
        title: the name on pages.
        purpose: a sentence on the leads of the view.
        acts: who works the leads of the view.
        qualifications: the qualifications that the view shows, best first.
        pending: True if the view shows pending leads only, False if it shows no pending leads, None if it shows both.
        by_probability: whether the close probability ranks the leads of a qualification. Partners do not see it.
    """

    name: str
    title: str
    purpose: str
    acts: str
    qualifications: tuple[Qualification, ...]
    pending: bool | None = False
    by_probability: bool = True

    @property
    def order(self) -> str:
        """A sentence on the order of the leads."""
        first, *others = (_PLURALS[name] for name in self.qualifications)
        if not others:
            return "The likeliest to close comes first." if self.by_probability else "Their order has no meaning."
        then = " and ".join(filter(None, (", ".join(others[:-1]), others[-1])))
        likeliest = "; of each, the likeliest to close comes first" if self.by_probability else ""
        return f"{first[:1].upper()}{first[1:]} come first, then {then}{likeliest}."

    def shows(self, qualification: str, pending: bool) -> bool:
        """Whether the view shows a lead with this qualification and pending state."""
        return qualification in self.qualifications and self.pending in (None, pending)


PASSED = View(
    name="passed",
    title="Work now",
    purpose="Leads that passed.",
    acts="Sales works this list.",
    qualifications=("EQL", "SQL", "MQL"),
)
_EQL = View(
    name="eql",
    title="EQL",
    purpose="Leads whose fit and intent both sides confirmed, and that passed every gate.",
    acts="Sales works this list.",
    qualifications=("EQL",),
)
_SQL = View(
    name="sql",
    title="SQL",
    purpose="Leads whose account fits, gave a buying signal and is likely to close.",
    acts="Sales works this list.",
    qualifications=("SQL",),
)
_MQL = View(
    name="mql",
    title="MQL",
    purpose="Leads with a buying signal or engagement, but no more yet.",
    acts="Sales works this list.",
    qualifications=("MQL",),
)
PENDING = View(
    name="pending",
    title="Pending",
    purpose="Partner leads that are not EQLs yet: no gate failed, and a fact is still unknown or unconfirmed.",
    acts="Partner managers work this list; sales sees a lead once nothing is missing, or the policy waits no longer.",
    qualifications=("SQL", "MQL", "UNQUALIFIED"),
    pending=True,
)
ASIDE = View(
    name="aside",
    title="Set aside",
    purpose="Unqualified and disqualified leads, which need no work now.",
    acts="Nobody works this list.",
    qualifications=("UNQUALIFIED", "DISQUALIFIED"),
)
_OWN = View(
    name="own",
    title="All",
    purpose="Every open lead that came from you.",
    acts="You see what each lead waits for.",
    qualifications=("EQL", "SQL", "MQL", "UNQUALIFIED", "DISQUALIFIED"),
    pending=None,
)

ORDER = (
    "The qualification comes first, and within one qualification the highest close probability. The rules say whether "
    "a lead is confirmed and fits; the probability says how likely a lead like it is to close. So a confirmed EQL "
    "stands above an SQL that is likelier to close."
)
"""How every view is ordered, and how rules and probability go together."""

_RANKS = (_EQL, _SQL, _MQL)
_BY_ROLE = {
    "sales": (PASSED, *_RANKS),
    "partner_manager": (PENDING, PASSED, *_RANKS, ASIDE),
    "partner": tuple(replace(view, by_probability=False) for view in (_OWN, _EQL, PENDING)),
}


def views(role: str) -> tuple[View, ...]:
    """The views of a role, its start view first. Roles other than sales, partner manager and partner see every view."""
    return _BY_ROLE.get(role, (PASSED, *_RANKS, PENDING, ASIDE))


def view(role: str, name: str | None) -> View | None:
    """The view of a role with this name, by default its start view; None if the role has no such view."""
    own = views(role)
    return own[0] if name is None else next((each for each in own if each.name == name), None)
