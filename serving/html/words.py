"""The text forms of numbers, money, moments and names on pages: rounded in the text, exact in the markup beside it."""

import re
from collections.abc import Mapping, Sequence

from markupsafe import Markup, escape

from features.currencies import minor_digits
from features.value_types import DAY, SECOND, Scalar, moment
from models.decision import CloseProbability

FAMILIES: Mapping[str, str] = {
    "integration_usage": "Integration usage",
    "partner_referral": "Partner referral",
    "shared_customers": "Shared customers",
    "partner_content": "Partner content",
    "engagement": "Engagement with us",
    "buying_signals": "Buying signals",
    "icp": "Ideal customer profile",
    "partner_history": "Partner history",
    "lead": "The lead itself",
    "attributes": "Imported attributes",
}
"""The signal families' names."""

QUALIFICATIONS: Mapping[str, str] = {
    "EQL": "Ecosystem Qualified Lead: fit and intent are confirmed by both sides, and every gate passed.",
    "SQL": "Sales Qualified Lead: the account fits, gave a buying signal and is likely to close.",
    "MQL": "Marketing Qualified Lead: it gave a buying signal or engaged with us.",
    "UNQUALIFIED": "Not qualified: no buying signal, and no engagement with us.",
    "DISQUALIFIED": "Disqualified: a rule excludes it.",
}
"""The meaning of each qualification."""

GATES: Mapping[str, str] = {
    "disqualifier": "Not disqualified",
    "record": "Complete record",
    "icp": "Ideal customer profile",
    "ecosystem_signal": "Ecosystem signal",
    "confirmation": "Confirmed by both sides",
    "buying_signal": "Buying signal",
    "close_probability": "Least close probability",
    "engagement": "Engagement with us",
}
"""The gates' names, in the order pages show them."""

OUTCOMES: Mapping[str, tuple[str, str]] = {
    "pass": ("✓", "passed"),
    "fail": ("✕", "failed"),
    "unknown": ("?", "unknown"),
}
"""Symbol and word of each outcome of a rule."""

_ACRONYMS = {"icp": "ICP", "crm": "CRM"}
_MINUS = "−"
_HOUR = 3_600 * SECOND


def percent(share: float, digits: int = 1) -> str:
    """A share as a percentage, `28.5%`. Only exactly 0 and 1 are shown as 0% and 100%."""
    shown = f"{share:.{digits}%}"
    least = 10.0 ** -(digits + 2)
    if 0 < share < least / 2:
        return f"<{least:.{digits}%}"
    return f">{1 - least:.{digits}%}" if 1 - least / 2 < share < 1 else shown


def range_text(probability: CloseProbability) -> str:
    """The range of a `close_probability`, `25.4–32.3%`."""
    return f"{percent(probability.lower).removesuffix('%')}–{percent(probability.upper)}"


def points(number: float) -> str:
    """Percentage points with their sign, `+4.1`; without a sign where they round to zero."""
    shown = f"{abs(number):.1f}"
    if shown == "0.0":
        return shown
    return f"{'+' if number > 0 else _MINUS}{shown}"


def money(minor: int, currency: str) -> str:
    """An amount of money, `USD 17,380`; from a hundred units on without decimals."""
    digits = minor_digits(currency)
    major = minor / 10**digits
    return f"{currency} {major:,.{0 if abs(major) >= 100 else digits}f}".replace("-", _MINUS)


def moment_text(instant: int) -> str:
    """A moment in UTC, `1 Nov 2026, 09:30 UTC`."""
    at = moment(instant)
    return f"{at.day} {at:%b %Y, %H:%M} UTC"


def ago(instant: int, now: int) -> str:
    """The time since a moment, in the largest unit that fits."""
    passed = now - instant
    if passed < 60 * SECOND:
        return "just now"
    if passed < _HOUR:
        return f"{passed // (60 * SECOND)} min ago"
    if passed < DAY:
        return f"{passed // _HOUR} h ago"
    days = passed // DAY
    return "1 day ago" if days == 1 else f"{days:,} days ago"


def grades(cut_offs: Sequence[float] | None) -> str:
    """What the grades mean: the least probability of each, by the served model's cut-offs."""
    if cut_offs is None:
        return "There are no grades, because the model gives every lead one probability, or no model is promoted."
    a, b, c = (percent(cut_off) for cut_off in cut_offs)
    return (
        f"A grade is a lead's quarter among the leads that the model learned from, by close probability: A from {a}, "
        f"B from {b}, C from {c}, D below."
    )


AMOUNTS: Mapping[str | None, str] = {
    "opportunity": "The amount of its own opportunity",
    "segment": "The average deal of accounts of its size",
    "all": "The average of all deals",
    None: "The average of all deals",
}
"""Whose amount an expected value is, by its basis."""


def label(name: str) -> str:
    """An identifier as words, `source_partner` as `Source partner`."""
    return capitalised(" ".join(_ACRONYMS.get(word, word) for word in name.lower().split("_")))


def fact(value: Scalar) -> str:
    """A value that a rule read, as text."""
    if value is None:
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4g}"
    return value if isinstance(value, str) else f"{value:,}"


def capitalised(sentence: str) -> str:
    """A sentence with a capital first letter."""
    return sentence[:1].upper() + sentence[1:]


def commands(text: str) -> Markup:
    """Text for a page, in which text between backticks is shown as a command."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704
