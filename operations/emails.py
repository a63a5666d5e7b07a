"""The comparison of e-mail addresses: different spellings of one address get the same key."""

import unicodedata

import idna


def email_key(email: str) -> str:
    """The key by which addresses are compared. Addresses that differ only in case or Unicode form have the same key.

    The mailbox is NFKC and case-folded, the domain lower-case ASCII (UTS 46, IDNA 2008). Dots, and the text after a
    `+`, stay, because each provider decides whether they matter.

    >>> email_key("Ada+News@MÜNCHEN.example")
    'ada+news@xn--mnchen-3ya.example'
    """
    mailbox, _, domain = email.rpartition("@")
    return f"{folded(mailbox)}@{_ascii(domain)}"


def folded(text: str) -> str:
    """The text, NFKC and case-folded; texts that differ only in case or Unicode form become equal."""
    # Case folding may undo the normal form, and normalisation may undo the folding: definition D146 of Unicode.
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
