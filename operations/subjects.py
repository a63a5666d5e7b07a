"""Data subjects: the person with an e-mail address, or a domain, such as that of a sole trader.

A text names a subject if it contains the whole address in any spelling: any case and Unicode form, the domain in
letters or in punycode, and escaped as in a URL, in HTML or in JSON, however often. A hash or another encoding of the
address is not recognised.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import unquote

import idna
from pydantic import TypeAdapter, ValidationError

from features.domains import InvalidDomain, site
from features.value_types import Domain, Email
from operations.emails import email_key, folded

_NOT_BEFORE_A_MAILBOX = r"(?<![\w.+'-])"
_NOT_BEFORE_A_DOMAIN = r"(?<![\w-])"
_NOT_AFTER = r"(?![\w-]|\.\w)"
_AT = re.compile(r"[@\uff20\ufe6b%&]|\\u", re.IGNORECASE)
"""The character @ in each form that NFKC maps to it, or the beginning of an escape that may stand for it."""
_NESTED = ((re.compile(r"%(?:25)+(?=[0-9a-f]{2})", re.IGNORECASE), "%"), (re.compile(r"&(?:amp;)+"), "&"))
"""Escapes of escapes, which are undone at once: a text of many would take as many passes."""
_JSON_ESCAPED = re.compile(r"\\+u([0-9a-f]{4})", re.IGNORECASE)
_MAX_LAYERS = 32
_ESCAPED = re.compile(r"\\(?:[bfnrt]|u[0-9a-f]{4})")
"""An escape sequence of JSON text. Its last letter must not be read as the first letter of a mailbox."""
_EMAIL, _DOMAIN = TypeAdapter[str](Email), TypeAdapter[str](Domain)


class InvalidSubject(ValueError):
    """The input identifies no subject; `field` names the input, and the message its constraint without the value."""

    def __init__(self, field: str, constraint: str) -> None:
        super().__init__(f"{field} {constraint}")
        self.field = field
        self.constraint = constraint


@dataclass(frozen=True)
class Subject:
    """A data subject, by an e-mail address or by a domain.

    Attributes:
        email: the address of the person.
        domain: the domain; its subdomains belong to the subject too.

    Raises:
        InvalidSubject: none or both of the two are given, the value is invalid, or many people share the domain.
    """

    email: str | None = None
    domain: str | None = None

    def __post_init__(self) -> None:
        if (self.email is None) == (self.domain is None):
            raise InvalidSubject("email", "or domain must be given, one of them")
        if self.email is not None:
            _check_value(_EMAIL, "email", "must be an e-mail address such as name@company.example", self.email)
        if self.domain is not None:
            _check_value(_DOMAIN, "domain", "must be a domain such as company.example", self.domain)
            _check_not_shared(self.domain)

    def has(self, email: str) -> bool:
        """Whether an address is that of the person, or is at the domain."""
        return email_key(email) == self._email_key if self.email else self.holds(email.rpartition("@")[2])

    def holds(self, domain: str) -> bool:
        """Whether a domain is the domain of the subject, or a subdomain; False for a person."""
        key = _domain_key(domain)
        return self.domain is not None and (key == self._domain_key or key.endswith(f".{self._domain_key}"))

    def named_in(self, text: str) -> bool:
        """Whether a text names the person or the domain."""
        # A fast check: most texts contain no address at all.
        if self.email is not None and not _AT.search(text):
            return False
        return self._occurs_in(text) or any(self._occurs_in(plain) for plain in _unescaped(text))

    def _occurs_in(self, text: str) -> bool:
        plain = text.lower() if text.isascii() else folded(text)
        # A substring search is far faster than the pattern, and hardly any text contains a spelling.
        if not any(spelling in plain for spelling in self._spellings):
            return False
        return any(self._pattern.search(each) for each in (plain, _ESCAPED.sub(" ", plain)))

    @cached_property
    def _email_key(self) -> str:
        return email_key(self.email or "")

    @cached_property
    def _domain_key(self) -> str:
        return _domain_key(self.domain or self._email_key.rpartition("@")[2])

    @cached_property
    def _spellings(self) -> tuple[str, ...]:
        mailbox, at, _ = self._email_key.rpartition("@") if self.email else ("", "", "")
        return tuple(f"{mailbox}{at}{domain}" for domain in dict.fromkeys((self._domain_key, self._unicode_domain)))

    @cached_property
    def _unicode_domain(self) -> str:
        try:
            return folded(idna.decode(self._domain_key))
        except idna.IDNAError:
            return self._domain_key

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        before = _NOT_BEFORE_A_MAILBOX if self.email else _NOT_BEFORE_A_DOMAIN
        return re.compile(f"{before}(?:{'|'.join(map(re.escape, self._spellings))}){_NOT_AFTER}")


def _unescaped(text: str) -> Iterator[str]:
    """The text with its escapes undone, one kind after the other, until nothing changes."""
    for _ in range(_MAX_LAYERS):
        plain = text
        for nested, single in _NESTED:
            plain = nested.sub(single, plain)
        plain = html.unescape(unquote(plain))
        plain = _JSON_ESCAPED.sub(lambda escape: chr(int(escape[1], 16)), plain)
        if plain == text:
            return
        yield plain
        text = plain


def _check_value(adapter: TypeAdapter[str], field: str, constraint: str, value: str) -> None:
    try:
        adapter.validate_python(value)
    except ValidationError:
        raise InvalidSubject(field, constraint) from None


def _check_not_shared(domain: str) -> None:
    try:
        shared = site(domain).shared
    except InvalidDomain as error:
        raise InvalidSubject("domain", str(error)) from None
    if shared is not None:
        raise InvalidSubject("domain", f"is shared by many ({shared}): name the person's e-mail address")


def _domain_key(domain: str) -> str:
    return email_key(f"@{domain.removesuffix('.')}").removeprefix("@")
