"""Identity: roles, API keys and the tokens of the pages. The store keeps only their hashes.

A key is `eql_live_`, 30 characters of base 62 and a checksum of 6 characters. So secret scanners find it, and a
mistyped key is recognised without a query. Keys are random, so a plain SHA-256 protects them.
"""

import hashlib
import string
import typing
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

Role = Literal["crm", "sales", "partner_manager", "partner", "scientist", "viewer", "admin"]
ROLES: tuple[Role, ...] = typing.get_args(Role)

TokenSource: TypeAlias = Callable[[int], bytes]
"""Gives the wanted number of unpredictable bytes, like `secrets.token_bytes`."""

PREFIX = "eql_live_"
_VISIBLE = len(PREFIX) + 8
_RANDOM = 30
_CHECK = 6
_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_TOKEN_BYTES = 32


class InvalidRole(ValueError):
    """A role does not exist, or does not fit the partner id; the message says which."""


@dataclass(frozen=True)
class Principal:
    """An identified caller or visitor.

    Attributes:
        role: the role, which decides the permitted routes.
        partner_id: the partner whose records the role `partner` sees; None for other roles.
        name: the visible part of the key, or `session`, for logs.
    """

    role: Role
    partner_id: str | None
    name: str

    def __post_init__(self) -> None:
        check_role(self.role, self.partner_id)


def check_role(role: str, partner_id: str | None) -> Role:
    """`role`, checked.

    Raises:
        InvalidRole: the role does not exist, is partner without a partner id, or is another role with one.
    """
    if role not in ROLES:
        raise InvalidRole(f"role must be one of {', '.join(ROLES)}, not {role!r}")
    if (role == "partner") != bool(partner_id):
        raise InvalidRole("role partner needs a partner's id, and no other role takes one")
    return role


def new_key(tokens: TokenSource) -> str:
    """A new API key."""
    # 77 bits more than needed, so the bias of the remainder is negligible.
    body = PREFIX + _base62(int.from_bytes(tokens(_TOKEN_BYTES)), _RANDOM)
    return body + _checksum(body)


def well_formed(key: str) -> bool:
    """Whether `key` can be an API key: its form and checksum are right."""
    body, check = key[:-_CHECK], key[-_CHECK:]
    return len(body) == len(PREFIX) + _RANDOM and body.startswith(PREFIX) and check == _checksum(body)


def visible_part(key: str) -> str:
    """The part of a key that may be shown and logged."""
    return key[:_VISIBLE]


def new_token(tokens: TokenSource) -> str:
    """A new token of a sign-in link or a session, fit for a URL."""
    return tokens(_TOKEN_BYTES).hex()


def digest(secret: str) -> str:
    """The SHA-256 of a key or token in hex, which the store keeps."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode("utf-8", "surrogatepass")), _CHECK)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(digits)
