"""Codes of countries (ISO 3166-1 alpha-2) and currencies (ISO 4217)."""

from functools import cache

COUNTRY_ALIASES = {"UK": "GB", "EL": "GR"}
"""Codes that the European Union and many CRMs use, and their ISO codes."""


def country(code: str) -> str:
    """The country's ISO code.

    >>> country("UK")
    'GB'

    Raises:
        ValueError: no country has this code.
    """
    known = COUNTRY_ALIASES.get(code, code)
    if known not in _countries():
        raise ValueError("must be a country's code of ISO 3166-1 alpha-2, such as DE")
    return known


def currency(code: str) -> str:
    """The currency's ISO code.

    Raises:
        ValueError: no currency in use has this code.
    """
    if code not in _currencies():
        raise ValueError("must be a currency's code of ISO 4217, such as EUR")
    return code


@cache
def _countries() -> frozenset[str]:
    # The lists take longer to read than most commands run, so they are read when the first code is checked.
    import pycountry

    return frozenset(each.alpha_2 for each in pycountry.countries)


@cache
def _currencies() -> frozenset[str]:
    import pycountry

    return frozenset(each.alpha_3 for each in pycountry.currencies)
