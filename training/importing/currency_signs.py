"""The signs and codes that stand beside amounts, and the currencies they may stand for."""

import unicodedata

from features import codes

_DOLLARS = (
    "ARS AUD BBD BMD BND BSD BZD CAD CLP COP CUP CVE DOP FJD GYD HKD JMD KYD LRD MOP MXN NAD NIO NZD SBD SGD SRD TOP "
    "TTD TWD USD UYU WST XCD"
)
_SIGNS = {
    "$": _DOLLARS,
    "€": "EUR",
    "£": "EGP FKP GBP GIP LBP SDG SHP SSP SYP",
    "¥": "CNY JPY",
    "₹": "INR",
    "₽": "RUB",
    "₺": "TRY",
    "₩": "KPW KRW",
    "₴": "UAH",
    "₪": "ILS",
    "₫": "VND",
    "₱": "CUP PHP",
    "฿": "THB",
    "₦": "NGN",
    "zł": "PLN",
    "Kč": "CZK",
    "Ft": "HUF",
    "kr": "DKK ISK NOK SEK",
    "lei": "MDL RON",
    "лв": "BGN",
    "Fr": "CHF",
    "Rs": "INR LKR MUR NPR PKR SCR",
    "R$": "BRL",
    "US$": "USD",
    "A$": "AUD",
    "C$": "CAD NIO",
    "HK$": "HKD",
    "S$": "SGD",
    "NZ$": "NZD",
    "MX$": "MXN",
}
_MEANINGS = {sign: frozenset(currencies.split()) for sign, currencies in _SIGNS.items()}


def is_currency(text: str) -> bool:
    """Whether a text is a currency's sign, or its ISO code."""
    return meanings(text) is not None or (len(text) == 1 and unicodedata.category(text) == "Sc")


def meanings(text: str) -> frozenset[str] | None:
    """The ISO codes of the currencies that a sign or code may stand for; None where it is not known.

    >>> sorted(meanings("kr.") or ()), meanings("pcs")
    (['DKK', 'ISK', 'NOK', 'SEK'], None)
    """
    known = _MEANINGS.get(text.removesuffix("."))
    if known is not None:
        return known
    try:
        return frozenset({codes.currency(text)})
    except ValueError:
        return None
