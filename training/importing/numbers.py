"""Numbers as exports write them: with a decimal comma, a thousands separator, a currency sign or parentheses."""

import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

from training.importing.currency_signs import is_currency
from training.importing.tables import TypedText

_PLAIN = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_CURRENCY = r"(?P<currency>[^\d\s.,+()'’-]{1,3}\.?)"
_BEFORE = re.compile(rf"(?P<left>[+(-]*)\s*{_CURRENCY}\s*(?P<right>[+-]?\d.*|[+-]?\.\d.*)")
_AFTER = re.compile(rf"(?P<left>.*[\d.,])\s*{_CURRENCY}\s*(?P<right>\)?)")

SPACES = " \u00a0\u202f\u2009"
"""A space, and the spaces that do not break a line."""

_KINDS = {" ": SPACES, "'": "'’", "’": "'’"}


@dataclass(frozen=True)
class NumberFormat:
    """How numbers are written.

    Attributes:
        decimal: the decimal sign, a point or a comma.
        thousands: the sign between groups of three digits; a space stands for every kind of space. None for none.
    """

    decimal: str = "."
    thousands: str | None = None

    def __post_init__(self) -> None:
        if self.decimal == self.thousands:
            raise ValueError(f"decimal and thousands must differ; both are {self.decimal!r}")

    def plain(self, text: str) -> str | None:
        """A number in digits with a decimal point, such as `-1234.5`; None where the text is no finite number.

        >>> NumberFormat(",", ".").plain("1.234,50 €"), NumberFormat(thousands=",").plain("($1,200)")
        ('1234.50', '-1200')
        """
        _, amount = split_currency(text.strip())
        sign, bare = _unsigned(amount)
        # A file that holds a number as a number gives it with a decimal point.
        written = (PLAIN if isinstance(text, TypedText) else self)._written.fullmatch(bare)
        if written is None:
            return None
        grouped, fraction = written["whole"], written["fraction"]
        whole = "".join(character for character in grouped if character.isdigit())
        number = f"{sign}{whole}{f'.{fraction}' if fraction is not None else ''}{written['power'] or ''}"
        return number if _PLAIN.fullmatch(number) and math.isfinite(float(number)) else None

    @cached_property
    def _written(self) -> re.Pattern[str]:
        separator = f"[{re.escape(_KINDS.get(self.thousands, self.thousands))}]" if self.thousands else ""
        grouped = rf"[0-9]{{1,3}}({separator}[0-9]{{3}})+|" if separator else ""
        return re.compile(
            rf"(?P<whole>{grouped}[0-9]*)({re.escape(self.decimal)}(?P<fraction>[0-9]*))?(?P<power>[eE][+-]?[0-9]{{1,4}})?"
        )


PLAIN = NumberFormat()

_KNOWN = (
    PLAIN,
    NumberFormat(".", ","),
    NumberFormat(",", "."),
    NumberFormat(",", " "),
    NumberFormat(".", "'"),
    NumberFormat(".", " "),
    NumberFormat(","),
)
_MOST = 0.8
"""The share of distinct texts that must be numbers, so that a column is held to be one of numbers."""


def maybe_grouped(texts: Collection[str], written: NumberFormat) -> str | None:
    """A text whose decimal sign may separate thousands instead, if the same is true of all texts that have the sign.

    >>> maybe_grouped(["1.234", "12.500", "7"], PLAIN), maybe_grouped(["1.234", "0.5"], PLAIN)
    ('1.234', None)
    """
    if written.thousands is not None:
        return None
    amounts = {text: split_currency(text)[1] for text in texts if not isinstance(text, TypedText)}
    signed = [text for text, amount in amounts.items() if written.decimal in amount]
    grouped = re.compile(rf"[+-]?[1-9]\d{{0,2}}{re.escape(written.decimal)}\d{{3}}", re.ASCII)
    return min(signed) if signed and all(grouped.fullmatch(amounts[text]) for text in signed) else None


def likely_format(texts: Collection[str]) -> NumberFormat | None:
    """The format in which most of these distinct texts are numbers; None where no format is."""
    for known in _KNOWN:
        if sum(known.plain(text) is not None for text in texts) >= max(1, _MOST * len(texts)):
            return known
    return None


def split_currency(text: str) -> tuple[str, str]:
    """The currency sign or code at one end of a text, "" for none, and the text without it.

    >>> split_currency("R$ 12.500,50"), split_currency("7 pcs")
    (('R$', '12.500,50'), ('', '7 pcs'))
    """
    for written in (_BEFORE.fullmatch(text), _AFTER.fullmatch(text)):
        if written is not None and is_currency(written["currency"]):
            return written["currency"], f"{written['left']}{written['right']}"
    return "", text


def _unsigned(text: str) -> tuple[str, str]:
    """The sign of a number and the rest; a number in parentheses is negative."""
    if text.startswith("(") and text.endswith(")"):
        return "-", text[1:-1].strip()
    if text[:1] in ("+", "-"):
        return text[0].replace("+", ""), text[1:].strip()
    return "", text
