"""Overlaps: which of our accounts are on a partner's list, as `shared_customers` records with source and reason.

An overlap's id follows from partner, account and relationship, so a list uploaded again makes new versions. A match
that somebody marked wrong gets a version with confidence 0, which no feature counts; it keeps that partner and that
account apart, whatever a later list says, until the mark is taken back.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from features.domains import InvalidDomain, site
from features.overlap.matching import MOST_COMPANIES, Index, Match, Profile, plain_name
from features.overlap.partner_list import RELATIONSHIPS, Listed, keyed_hash
from features.records import KINDS, Row, Stored, parse
from features.rows import stored
from features.value_types import iso_date
from features.versions import newest_versions

FEWEST_SHOWN = 5
"""A smaller count could point to single companies and is not shown."""

_OVERLAPS = KINDS["shared_customers"]
_NAME_SHOWN = 100
_LONGEST_REASON = 500


class UnknownOverlap(ValueError):
    """There is no overlap of that id to mark; the message says which there are."""


@dataclass(frozen=True)
class Overlap:
    """An account of ours on a partner's list: the row that matched it best, and how."""

    account_id: str
    listed: Listed
    match: Match


@dataclass(frozen=True)
class Found:
    """What matching a list came to.

    Attributes:
        overlaps: the best for each account and relationship, by these.
        unmatched: rows that are none of our accounts.
        never: rows whose domain stands for many companies, so that it matched nothing, by domain and why.
    """

    overlaps: tuple[Overlap, ...]
    unmatched: int
    never: Mapping[tuple[str, str], int]

    def without(self, accounts: frozenset[str]) -> "Found":
        """The same without the overlaps of some accounts."""
        return replace(self, overlaps=tuple(one for one in self.overlaps if one.account_id not in accounts))

    def counts(self) -> dict[str, int | None]:
        """How many accounts overlap, by relationship; None where fewer than `FEWEST_SHOWN`, also where none do."""
        accounts = Counter(one.listed.relationship for one in self.overlaps)
        return {name: accounts[name] if accounts[name] >= FEWEST_SHOWN else None for name in RELATIONSHIPS}


def companies(accounts: Iterable[Row], key: bytes | None = None) -> list[Profile]:
    """What our accounts, of which `accounts` are all versions, are matched by, in the order of their ids.

    Args:
        accounts: all versions of all accounts in the order of ingest.
        key: for lists of keyed hashes, the key.

    Raises:
        InvalidKey: the key is too short.
    """
    known = newest_versions(accounts, KINDS["accounts"])
    return [
        Profile(account_id, _own_domain(row["domain"], key), row["name"], row["country"])
        for account_id, row in sorted(known.items())
        if not row["deleted"]
    ]


def _own_domain(domain: str | None, key: bytes | None) -> str | None:
    try:
        found = site(domain or "")
    except InvalidDomain:
        return None
    if found.shared is not None:
        return None
    return found.domain if key is None else keyed_hash(key, found.domain)


def find(listed: Sequence[Listed], index: Index) -> Found:
    """Which of our accounts, held by `index`, are on a list.

    A domain that comes with more than `MOST_COMPANIES` names on the list, or that as many of our accounts have, is an
    agency's or a hub's, whether known as one or not, and never matches.
    """
    crowded = _crowded(listed)
    best: dict[tuple[str, str], Overlap] = {}
    never: Counter[tuple[str, str]] = Counter()
    unmatched = 0
    for one in listed:
        profile, domain = one.profile, one.profile.domain
        if domain is not None and (domain in crowded or index.crowded(domain)):
            never[domain, "many companies"] += 1
            profile = replace(profile, domain=None)
        if one.shared is not None:
            never[one.shared] += 1
        matches = index.matches(profile)
        unmatched += not matches
        for match in matches:
            place = (match.profile.id, one.relationship)
            if place not in best or best[place].match.confidence < match.confidence:
                best[place] = Overlap(match.profile.id, one, match)
    return Found(tuple(best[place] for place in sorted(best)), unmatched, dict(never.most_common()))


def _crowded(listed: Iterable[Listed]) -> frozenset[str]:
    names: dict[str, set[str]] = defaultdict(set)
    for one in listed:
        if one.profile.domain is not None and one.profile.name is not None:
            names[one.profile.domain].add(plain_name(one.profile.name))
    return frozenset(domain for domain, found in names.items() if len(found) > MOST_COMPANIES)


def records(found: Found, partner_id: str, source: str, at: int) -> list[Stored]:
    """The overlaps as records of a partner.

    Args:
        found: what matching its list came to.
        partner_id: whose list it is.
        source: names the list and its upload.
        at: the moment of the upload, in microseconds; from then on they are known.
    """
    return [
        Stored(
            _OVERLAPS,
            overlap_id(partner_id, one.account_id, one.listed.relationship),
            parse(_OVERLAPS, {**_content(one, source), "partner_id": partner_id, "recorded_at": at}),
            one.account_id,
        )
        for one in found.overlaps
    ]


def overlap_id(partner_id: str, account_id: str, relationship: str) -> str:
    """The id of an overlap, the same at every upload."""
    named = json.dumps([partner_id, account_id, relationship]).encode()
    return f"overlap-{hashlib.sha256(named).hexdigest()[:16]}"


def _content(one: Overlap, source: str) -> dict[str, str | int | float | None]:
    return {
        "relationship": one.listed.relationship,
        "since": one.listed.since,
        "confidence": one.match.confidence,
        "source": f"row {one.listed.row} of {source}"[:_LONGEST_REASON],
        "reason": _reason(one),
    }


def _reason(one: Overlap) -> str:
    theirs, ours = one.listed.profile, one.match.profile
    rivals = f"; {one.match.rivals} accounts match equally well" if one.match.rivals > 1 else ""
    if one.match.by == "domain":
        return f"same registrable domain{rivals}"
    where = f"in {ours.country}" if ours.country == theirs.country is not None else "country unknown"
    names = f"{(theirs.name or '')[:_NAME_SHOWN]!r} is like {(ours.name or '')[:_NAME_SHOWN]!r}"
    return f"name {names}, similarity {one.match.similarity:.2f}, {where}{rivals}"


def marked_wrong(overlaps: Iterable[Row], partner_id: str) -> frozenset[str]:
    """The accounts a partner's lists must not be matched to; `overlaps` are all versions in the order of ingest."""
    newest = newest_versions(overlaps, _OVERLAPS).values()
    return frozenset(row["account_id"] for row in newest if row["partner_id"] == partner_id and _wrong(row))


def mark(overlaps: Iterable[Row], overlap_id: str, by: str, at: int) -> list[Stored]:
    """New versions that say that the account of an overlap is not the partner's: all overlaps of the two.

    Args:
        overlaps: all versions of all overlaps in the order of ingest.
        overlap_id: of one of them.
        by: who says so.
        at: when, in microseconds.

    Raises:
        UnknownOverlap: no overlap that still holds has this id.
    """
    pair = _pair(list(overlaps), overlap_id)
    holding = [versions[-1] for versions in pair if not versions[-1]["deleted"] and not _wrong(versions[-1])]
    if not holding:
        raise UnknownOverlap(
            f"{overlap_id} no longer holds; `eql overlap wrong {overlap_id} --undo` revives a wrong match"
        )
    said = f"wrong match, said {by} on {iso_date(at)}; until then: "
    return [
        _version(row, at, confidence=0.0, reason=f"{said}{row['reason'] or 'no reason'}"[:_LONGEST_REASON])
        for row in holding
    ]


def unmark(overlaps: Iterable[Row], overlap_id: str, at: int) -> list[Stored]:
    """New versions of the overlaps of a partner and an account as they were before they were marked wrong (see `mark`).

    Raises:
        UnknownOverlap: no overlap of this id is marked wrong.
    """
    pair = _pair(list(overlaps), overlap_id)
    before = [next((row for row in reversed(all_) if not _wrong(row)), None) for all_ in pair if _wrong(all_[-1])]
    revived = [_version(row, at) for row in before if row is not None]
    if not revived:
        raise UnknownOverlap(f"{overlap_id} is not marked wrong; there is nothing to take back")
    return revived


def _wrong(row: Row) -> bool:
    """Matching never gives a confidence of 0, and what has it cannot be the same company."""
    return bool(row["confidence"] == 0)


def _pair(overlaps: Sequence[Row], overlap_id: str) -> list[list[Row]]:
    """The versions, newest last, of each overlap of the partner and the account that an id speaks of."""
    newest = newest_versions(overlaps, _OVERLAPS)
    if overlap_id not in newest:
        raise UnknownOverlap(f"there is no overlap {overlap_id}; `eql overlap match --json` prints their ids")
    sought = newest[overlap_id]
    ids = {id_ for id_, row in newest.items() if _of(row) == _of(sought)}
    versions: dict[str, list[Row]] = defaultdict(list)
    for row in overlaps:
        if row[_OVERLAPS.id] in ids:
            versions[row[_OVERLAPS.id]].append(row)
    return [sorted(rows, key=lambda row: row["recorded_at"] or 0) for _, rows in sorted(versions.items())]


def _of(row: Row) -> tuple[str, str]:
    return row["partner_id"], row["account_id"]


def _version(row: Row, at: int, **changed: str | float) -> Stored:
    return stored(_OVERLAPS, {**row, "recorded_at": at, "deleted": False, **changed})
