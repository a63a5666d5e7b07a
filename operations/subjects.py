"""Whose personal data are meant: a person by e-mail address, or a domain, such as that of a sole trader.

A text names somebody where the address stands in it as a whole, however it is typed: in any case and Unicode form,
its domain in letters or in punycode, and escaped as in the address of a page. What only a hash or another encoding of
it stands for is not found.
"""

import re
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
_AT = re.compile("[@\uff20\ufe6b]|%40")
"""The character @ in its forms that NFKC makes one, or escaped."""
_ESCAPED = re.compile(r"\\(?:[bfnrt]|u[0-9a-f]{4})")
"""A character as JSON text has it, whose last letter is not the beginning of a mailbox."""
_EMAIL, _DOMAIN = TypeAdapter[str](Email), TypeAdapter[str](Domain)


class InvalidSubject(ValueError):
    """Nobody in particular is meant; `field` says by what, the message what it must be, without repeating it."""

    def __init__(self, field: str, constraint: str) -> None:
        super().__init__(f"{field} {constraint}")
        self.field = field
        self.constraint = constraint


@dataclass(frozen=True)
class Subject:
    """Somebody by one of the two.

    Attributes:
        email: the person's address.
        domain: the domain; what lies below it belongs to it.

    Raises:
        InvalidSubject: not one of the two is given, it is none, or the domain is one that many share.
    """

    email: str | None = None
    domain: str | None = None

    def __post_init__(self) -> None:
        if (self.email is None) == (self.domain is None):
            raise InvalidSubject("email", "or domain must be given, one of them")
        if self.email is not None:
            _check(_EMAIL, "email", "must be an e-mail address such as name@company.example", self.email)
        if self.domain is not None:
            _check(_DOMAIN, "domain", "must be a domain such as company.example", self.domain)
            _check_own(self.domain)

    def has(self, email: str) -> bool:
        """Whether an address is the person's, or one of the domain."""
        return email_key(email) == self._email_key if self.email else self.holds(email.rpartition("@")[2])

    def holds(self, domain: str) -> bool:
        """Whether a domain is the one meant, or below it; never so of a person."""
        key = _domain_key(domain)
        return self.domain is not None and (key == self._domain_key or key.endswith(f".{self._domain_key}"))

    def named_in(self, text: str) -> bool:
        """Whether the text names the person or the domain."""
        # Most texts have no address at all, which is fast to see.
        if self.email is not None and not _AT.search(text):
            return False
        return self._read(text) or ("%" in text and self._read(unquote(text)))

    def _read(self, text: str) -> bool:
        plain = text.lower() if text.isascii() else folded(text)
        # Looking for the bare text is far faster than the pattern, and hardly any text has it.
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
        return tuple(f"{mailbox}{at}{domain}" for domain in dict.fromkeys((self._domain_key, self._unicode)))

    @cached_property
    def _unicode(self) -> str:
        try:
            return folded(idna.decode(self._domain_key))
        except idna.IDNAError:
            return self._domain_key

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        before = _NOT_BEFORE_A_MAILBOX if self.email else _NOT_BEFORE_A_DOMAIN
        return re.compile(f"{before}(?:{'|'.join(map(re.escape, self._spellings))}){_NOT_AFTER}")


def _check(adapter: TypeAdapter[str], field: str, constraint: str, value: str) -> None:
    try:
        adapter.validate_python(value)
    except ValidationError:
        raise InvalidSubject(field, constraint) from None


def _check_own(domain: str) -> None:
    try:
        shared = site(domain).shared
    except InvalidDomain as error:
        raise InvalidSubject("domain", str(error)) from None
    if shared is not None:
        raise InvalidSubject("domain", f"is shared by many ({shared}): name the person's e-mail address")


def _domain_key(domain: str) -> str:
    return email_key(f"@{domain.removesuffix('.')}").removeprefix("@")
