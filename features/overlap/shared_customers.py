"""Overlaps: our accounts on a partner's list, as `shared_customers` records with a source and a reason.

The id of an overlap follows from the partner, the account and the relationship, so a second upload of a list makes new
versions. An overlap that a user marks as wrong gets a version with confidence 0, which no feature counts. Until that
mark is taken back, later lists of the partner do not match the account.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from features.domains import InvalidDomain, site
from features.overlap.matching import MAX_COMPANIES, Index, Match, Profile, plain_name
from features.overlap.partner_list import RELATIONSHIPS, ListedCompany, keyed_hash
from features.records import KINDS, Row, Stored, parse
from features.rows import stored
from features.value_types import iso_date
from features.versions import newest_versions

MIN_SHOWN = 5
"""Smaller counts are not shown, because they could identify single companies."""

_OVERLAPS = KINDS["shared_customers"]
_MAX_NAME_LENGTH = 100
_MAX_REASON_LENGTH = 500


class UnknownOverlap(ValueError):
    """No overlap with this id can be marked; the message says how to find the ids."""


@dataclass(frozen=True)
class Overlap:
    """One of our accounts on a partner's list, with the listed company that matches it best."""

    account_id: str
    company: ListedCompany
    match: Match


@dataclass(frozen=True)
class MatchedList:
    """A partner's list after matching.

    Attributes:
        overlaps: the best overlap of each account and relationship, sorted by these two.
        unmatched: the number of rows that match none of our accounts.
        never_matched: the number of rows of each domain that stands for many companies, by the domain and the reason.
    """

    overlaps: tuple[Overlap, ...]
    unmatched: int
    never_matched: Mapping[tuple[str, str], int]

    def without(self, accounts: frozenset[str]) -> "MatchedList":
        """This list without the overlaps of some accounts."""
        return replace(self, overlaps=tuple(one for one in self.overlaps if one.account_id not in accounts))

    def counts(self) -> dict[str, int | None]:
        """The number of accounts that overlap, by relationship; None where it is below `MIN_SHOWN`, 0 included."""
        accounts = Counter(one.company.relationship for one in self.overlaps)
        return {name: accounts[name] if accounts[name] >= MIN_SHOWN else None for name in RELATIONSHIPS}


def account_profiles(accounts: Iterable[Row], key: bytes | None = None) -> list[Profile]:
    """The profiles by which our accounts are matched, in the order of their ids.

    Args:
        accounts: all versions of all accounts, in the order of ingest.
        key: the key of a list of keyed hashes; None for a list of domains.

    Raises:
        InvalidKey: the key is too short.
    """
    known = newest_versions(accounts, KINDS["accounts"])
    return [
        Profile(account_id, domain=_own_domain(row["domain"], key), name=row["name"], country=row["country"])
        for account_id, row in sorted(known.items())
        if not row["deleted"]
    ]


def _own_domain(domain: str | None, key: bytes | None) -> str | None:
    try:
        named = site(domain or "")
    except InvalidDomain:
        return None
    if named.shared is not None:
        return None
    return named.domain if key is None else keyed_hash(key, named.domain)


def match_list(companies: Sequence[ListedCompany], index: Index) -> MatchedList:
    """Matches the companies of a list with our accounts, which `index` holds.

    A domain that more than `MAX_COMPANIES` names on the list share, or more than that many of our accounts, belongs to
    an agency or a hub. Such a domain never matches, whether or not it is a known one.
    """
    crowded = _crowded_domains(companies)
    best: dict[tuple[str, str], Overlap] = {}
    never_matched: Counter[tuple[str, str]] = Counter()
    unmatched = 0
    for one in companies:
        profile, domain = one.profile, one.profile.domain
        if domain is not None and (domain in crowded or index.crowded(domain)):
            never_matched[domain, "many companies"] += 1
            profile = replace(profile, domain=None)
        if one.shared is not None:
            never_matched[one.shared] += 1
        matches = index.matches(profile)
        unmatched += not matches
        for match in matches:
            key = (match.profile.id, one.relationship)
            if key not in best or best[key].match.confidence < match.confidence:
                best[key] = Overlap(match.profile.id, one, match)
    return MatchedList(tuple(best[key] for key in sorted(best)), unmatched, dict(never_matched.most_common()))


def _crowded_domains(companies: Iterable[ListedCompany]) -> frozenset[str]:
    names: dict[str, set[str]] = defaultdict(set)
    for one in companies:
        if one.profile.domain is not None and one.profile.name is not None:
            names[one.profile.domain].add(plain_name(one.profile.name))
    return frozenset(domain for domain, own in names.items() if len(own) > MAX_COMPANIES)


def to_records(matched: MatchedList, partner_id: str, source: str, at: int) -> list[Stored]:
    """The overlaps of a matched list as records.

    Args:
        matched: the matched list.
        partner_id: the partner that the list is from.
        source: a name for the list and its upload.
        at: the moment of the upload, microseconds; the overlaps are known from then on.
    """
    return [
        Stored(
            _OVERLAPS,
            overlap_id(partner_id, one.account_id, one.company.relationship),
            parse(_OVERLAPS, {**_content(one, source), "partner_id": partner_id, "recorded_at": at}),
            one.account_id,
        )
        for one in matched.overlaps
    ]


def overlap_id(partner_id: str, account_id: str, relationship: str) -> str:
    """The id of an overlap, the same at every upload."""
    named = json.dumps([partner_id, account_id, relationship]).encode()
    return f"overlap-{hashlib.sha256(named).hexdigest()[:16]}"


def _content(one: Overlap, source: str) -> dict[str, str | int | float | None]:
    return {
        "relationship": one.company.relationship,
        "since": one.company.since,
        "confidence": one.match.confidence,
        "source": f"row {one.company.row} of {source}"[:_MAX_REASON_LENGTH],
        "reason": _reason(one),
    }


def _reason(one: Overlap) -> str:
    theirs, ours = one.company.profile, one.match.profile
    rivals = f"; {one.match.rivals} accounts match equally well" if one.match.rivals > 1 else ""
    if one.match.by == "domain":
        return f"same registrable domain{rivals}"
    where = f"in {ours.country}" if ours.country == theirs.country is not None else "country unknown"
    names = f"{(theirs.name or '')[:_MAX_NAME_LENGTH]!r} is like {(ours.name or '')[:_MAX_NAME_LENGTH]!r}"
    return f"name {names}, similarity {one.match.similarity:.2f}, {where}{rivals}"


def accounts_marked_wrong(overlaps: Iterable[Row], partner_id: str) -> frozenset[str]:
    """The accounts that a partner's lists must not match, because their overlap was marked as wrong.

    Args:
        overlaps: all versions of all overlaps, in the order of ingest.
        partner_id: the partner.
    """
    newest = newest_versions(overlaps, _OVERLAPS).values()
    return frozenset(row["account_id"] for row in newest if row["partner_id"] == partner_id and _wrong(row))


def mark_wrong(overlaps: Iterable[Row], overlap_id: str, by: str, at: int) -> list[Stored]:
    """New versions that mark an overlap as wrong, and every other overlap of the same partner and account.

    Args:
        overlaps: all versions of all overlaps, in the order of ingest.
        overlap_id: the id of an overlap.
        by: the user who marks it.
        at: the moment of the mark, microseconds.

    Raises:
        UnknownOverlap: no overlap has this id, or it was removed or marked before.
    """
    pair = _pair(list(overlaps), overlap_id)
    holding = [versions[-1] for versions in pair if not versions[-1]["deleted"] and not _wrong(versions[-1])]
    if not holding:
        raise UnknownOverlap(
            f"{overlap_id} no longer holds; `eql overlap wrong {overlap_id} --undo` revives a wrong match"
        )
    mark = f"wrong match, said {by} on {iso_date(at)}; until then: "
    return [
        _version(row, at, confidence=0.0, reason=f"{mark}{row['reason'] or 'no reason'}"[:_MAX_REASON_LENGTH])
        for row in holding
    ]


def unmark_wrong(overlaps: Iterable[Row], overlap_id: str, at: int) -> list[Stored]:
    """New versions that take the mark of `mark_wrong` back: the overlaps are as they were before it.

    Raises:
        UnknownOverlap: no overlap with this id is marked as wrong.
    """
    pair = _pair(list(overlaps), overlap_id)
    before = [next((row for row in reversed(all_) if not _wrong(row)), None) for all_ in pair if _wrong(all_[-1])]
    revived = [_version(row, at) for row in before if row is not None]
    if not revived:
        raise UnknownOverlap(f"{overlap_id} is not marked wrong; there is nothing to take back")
    return revived


def _wrong(row: Row) -> bool:
    """Whether an overlap is marked as wrong. Only the mark has a confidence of 0; matching never gives one."""
    return bool(row["confidence"] == 0)


def _pair(overlaps: Sequence[Row], overlap_id: str) -> list[list[Row]]:
    """The versions, newest last, of every overlap that has the same partner and account as a given one."""
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
    return stored(_OVERLAPS, {**row, "recorded_at": at, "deleted": False, **changed}, kept=True)
