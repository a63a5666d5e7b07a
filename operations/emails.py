"""When two e-mail addresses are one: by what their owners mean, not by how somebody typed them."""

import unicodedata

import idna


def email_key(email: str) -> str:
    """The text by which an address is compared: equal for addresses that differ in case or Unicode form alone.

    The mailbox is NFKC, case-folded; the domain lower-case ASCII (UTS 46, IDNA 2008). Dots and what follows a `+` are
    kept, for whether they matter is the provider's own business.
    """
    mailbox, _, domain = email.rpartition("@")
    return f"{folded(mailbox)}@{_ascii(domain)}"


def folded(text: str) -> str:
    """The text NFKC and case-folded: equal for texts that differ in case or Unicode form alone."""
    # Folding may undo the normal form, and normalising what was folded may need folding: D146 of the Unicode Standard.
    return _nfkc(_nfkc(_nfkc(text).casefold()).casefold())


def _nfkc(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _ascii(domain: str) -> str:
    lower = domain.lower()
    if lower.isascii() and "xn--" not in lower:
        return lower
    try:
        return idna.encode(lower, uts46=True).decode("ascii")
    except idna.IDNAError:
        return folded(domain)
