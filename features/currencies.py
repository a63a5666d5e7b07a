"""ISO 4217 currencies: how many decimal digits the minor unit of each has."""

_ODD = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_DIGITS = {currency: digits for digits, currencies in _ODD.items() for currency in currencies.split()}


def minor_digits(currency: str) -> int:
    """Decimal digits of a currency's minor unit: 2 of USD (cents), 0 of JPY."""
    return _DIGITS.get(currency, 2)
