"""Matching companies: which of our companies another company is, by registrable domain, else by name and country.

Names are compared by their trigrams (groups of three letters): the similarity of two names is the cosine of their
trigrams, each weighted by its inverse document frequency, so that rare trigrams weigh more. The confidence that belongs
to a similarity was measured; see `confidence_of`.
"""

import unicodedata
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from itertools import islice
from math import log, sqrt
from operator import itemgetter
from typing import Literal, TypeAlias

DOMAIN_CONFIDENCE = 0.95
"""The confidence of a match by registrable domain. It is an assumption: no public data set has real domains."""

CAUTION = 0.8
"""The factor of a match by name where a country is unknown, and again where the domains differ; an assumption."""

MIN_CONFIDENCE = 0.5
"""The least confidence of a match by name: it must be more likely right than wrong."""

MAX_COMPANIES = 5
"""A domain or a name that more companies than this share identifies none of them."""

Curve: TypeAlias = Sequence[tuple[float, float]]
"""Points (similarity, share of right matches), joined by straight lines; the confidence is 0 below the first point."""

NAME_CURVE: Curve = ((0.5, 0.05), (0.6, 0.2), (0.75, 0.25), (0.85, 0.47), (0.95, 0.75), (1.0, 0.9))
"""The curve of bare names, such as a partner's list has."""

DETAILED_CURVE: Curve = ((0.5, 0.05), (0.55, 0.2), (0.65, 0.56), (0.75, 0.8), (0.85, 0.86), (1.0, 0.9))
"""The curve of names with details, such as an address; longer texts are seldom so similar by chance."""

_LEGAL_FORM_WORDS = """
    ab ag and aktiengesellschaft as asa bv bvba co company corp corporation cv doo eg ev eirl gbr gesellschaft gmbh
    inc incorporated jsc kft kg kgaa kk limited llc llp lp ltd ltda mbh nv ohg ood oy oyj plc pbc pjsc pt pte pty
    pvt sa sab sae sapi sarl sas sasu scs se sl slu sp spa spzoo srl sro tbk ug ulc und vof zoo
"""
_LEGAL_FORMS = frozenset(_LEGAL_FORM_WORDS.split())
# How many of our names are read and compared for each name. On the three public sets ten times as many found no more.
_MAX_READ = 500
_MAX_COMPARED = 10

Grams: TypeAlias = frozenset[str]


@dataclass(frozen=True)
class Profile:
    """The fields that a company is matched by; an unknown field is None.

    Attributes:
        id: identifies the company.
        domain: its registrable domain, or a keyed hash of that; None where it stands for many companies.
        name: its name as the source writes it.
        country: its country, ISO 3166-1 alpha-2.
        details: further words, such as an address, that are compared along with the name.
    """

    id: str
    _: KW_ONLY
    domain: str | None = None
    name: str | None = None
    country: str | None = None
    details: str | None = None

    @property
    def text(self) -> str:
        """The name and the details in the form of `plain_name`."""
        return plain_name(" ".join(part for part in (self.name, self.details) if part is not None))


@dataclass(frozen=True)
class Match:
    """One of our companies that a profile matches.

    Attributes:
        profile: our company.
        by: whether the domains or the names match.
        confidence: the probability that it is the same company, 0 to 1, as far as it could be measured.
        similarity: of the names, 0 to 1; None in a match by domain.
        rivals: the number of our companies that match equally well, this one included; they share the confidence.
    """

    profile: Profile
    by: Literal["domain", "name"]
    confidence: float
    _: KW_ONLY
    similarity: float | None = None
    rivals: int = 1


def plain_name(name: str) -> str:
    """A name in the form in which names are compared.

    Case, accents and punctuation are removed, and so are legal forms at the end and "the" at the start.

    >>> plain_name("The Müller & Söhne GmbH & Co. KG")
    'muller and sohne'
    >>> plain_name("ACME Widgets, Inc.")
    'acme widgets'
    """
    letters = unicodedata.normalize("NFKD", name.casefold().replace("&", " and "))
    kept = "".join(letter for letter in letters if not unicodedata.combining(letter) and letter not in ".'’")
    words = "".join(letter if letter.isalnum() else " " for letter in kept).split()
    start = 1 if len(words) > 1 and words[0] == "the" else 0
    end = len(words)
    while end > start + 1 and words[end - 1] in _LEGAL_FORMS:
        end -= 1
    return " ".join(words[start:end])


def confidence_of(similarity: float, curve: Curve) -> float:
    """The confidence that two names of a `similarity` (0 to 1) in one country are one company; it rises with it.

    The curves were measured on one half of the records of public data sets (benchmarks/matching.py); the worst set
    counts. In these sets every second record has a counterpart. On a list with a smaller share of our companies the
    true confidence is lower.

    >>> confidence_of(0.4, NAME_CURVE)
    0.0
    >>> round(confidence_of(0.9, NAME_CURVE), 2)
    0.61
    """
    above = bisect_right([known for known, _ in curve], similarity)
    if above == 0:
        return 0.0
    if above == len(curve):
        return curve[-1][1]
    (left, low), (right, high) = curve[above - 1], curve[above]
    return low + (high - low) * (similarity - left) / (right - left)


class Index:
    """Our companies, indexed for matching.

    Args:
        companies: our companies; several that match equally well are all returned, in this order.
    """

    def __init__(self, companies: Iterable[Profile]) -> None:
        self._companies = tuple(companies)
        self._by_domain: dict[str, list[Profile]] = defaultdict(list)
        for company in self._companies:
            if company.domain is not None:
                self._by_domain[company.domain].append(company)

    def crowded(self, domain: str) -> bool:
        """Whether too many of our companies have a domain for it to identify one."""
        return len(self._by_domain.get(domain, ())) > MAX_COMPANIES

    def matches(self, sought: Profile) -> tuple[Match, ...]:
        """Our companies that match `sought`: those with its domain, or where none has it, those with the closest name.

        Of several with its domain, those in its country are preferred. Equal matches share the confidence.
        """
        companies = self._by_domain.get(sought.domain, []) if sought.domain is not None else []
        if companies and len(companies) <= MAX_COMPANIES:
            compatriots = [company for company in companies if company.country == sought.country]
            return _shared(Match(company, "domain", DOMAIN_CONFIDENCE) for company in compatriots or companies)
        return self._names.matches(sought) if sought.name is not None else ()

    @cached_property
    def _names(self) -> "_Names":
        return _Names([company for company in self._companies if company.name is not None])


class _Names:
    """Our names, indexed by their trigrams.

    Weights are whole numbers, so that a sum does not depend on the order in which a set yields its members.
    """

    def __init__(self, companies: list[Profile]) -> None:
        self._companies = companies
        names = [company.text for company in companies]
        self._grams = [_grams(name) for name in names]
        self._holders: dict[str, list[int]] = defaultdict(list)
        self._named: dict[str, list[int]] = defaultdict(list)
        for position, (name, grams) in enumerate(zip(names, self._grams, strict=True)):
            self._named[name].append(position)
            for gram in grams:
                self._holders[gram].append(position)
        self._weights = {gram: self._weight(len(positions)) for gram, positions in self._holders.items()}
        self._unseen = self._weight(1)
        self._lengths = [self._length(grams) for grams in self._grams]

    def matches(self, sought: Profile) -> tuple[Match, ...]:
        """The closest names whose country may be that of `sought`, where their confidence suffices."""
        name = sought.text
        grams = _grams(name)
        length = self._length(grams)
        positions = self._same(name, sought.country) or self._nearest(grams, sought.country)
        matches = [self._match(sought, position, self._similarity(grams, length, position)) for position in positions]
        best = max((match.confidence for match in matches), default=0.0)
        return _shared(match for match in matches if match.confidence == best >= MIN_CONFIDENCE)

    def _same(self, name: str, country: str | None) -> list[int]:
        positions = self._named.get(name, [])[:_MAX_READ]
        return [position for position in positions if _may_be(country, self._companies[position].country)]

    def _nearest(self, grams: Grams, country: str | None) -> list[int]:
        """The positions of the names to compare, in our order: those that share most of the weight of rare trigrams."""
        shared: dict[int, int] = {}
        for gram in self._rarest(grams):
            weight = self._weights[gram]
            for position in self._holders[gram]:
                shared[position] = shared.get(position, 0) + weight
        nearest = (position for position, _ in sorted(shared.items(), key=itemgetter(1), reverse=True))
        possible = (position for position in nearest if _may_be(country, self._companies[position].country))
        return sorted(islice(possible, _MAX_COMPARED))

    def _rarest(self, grams: Grams) -> Iterator[str]:
        """The rarest trigrams first, until `_MAX_READ` names hold them: common ones take time and identify little."""
        read = 0
        for holders, gram in sorted((len(self._holders[gram]), gram) for gram in grams if gram in self._weights):
            read += holders
            if read > _MAX_READ:
                return
            yield gram

    def _similarity(self, grams: Grams, length: int, position: int) -> float:
        common = sum(self._weights[gram] for gram in grams & self._grams[position])
        return min(1.0, common / sqrt(length * self._lengths[position])) if common else 0.0

    def _match(self, sought: Profile, position: int, similarity: float) -> Match:
        company = self._companies[position]
        bare = company.details is None or sought.details is None
        confidence = confidence_of(similarity, NAME_CURVE if bare else DETAILED_CURVE)
        if company.country is None or sought.country is None:
            confidence *= CAUTION
        if company.domain is not None and sought.domain is not None:
            confidence *= CAUTION
        return Match(company, "name", confidence, similarity=similarity)

    def _length(self, grams: Grams) -> int:
        return sum(self._weights.get(gram, self._unseen) for gram in grams)

    def _weight(self, holders: int) -> int:
        return round(1e6 * log((len(self._companies) + 1) / holders) ** 2)


def _grams(name: str) -> Grams:
    """The trigrams of each word; a blank marks each end of a word."""
    words = (f" {word} " for word in name.split())
    return frozenset(word[start : start + 3] for word in words for start in range(len(word) - 2))


def _may_be(country: str | None, other: str | None) -> bool:
    return country is None or other is None or country == other


def _shared(equals: Iterable[Match]) -> tuple[Match, ...]:
    """Equally good matches share the confidence; more than `MAX_COMPANIES` of them identify no company."""
    matches = tuple(equals)
    if len(matches) > MAX_COMPANIES:
        return ()
    return tuple(
        replace(match, confidence=round(match.confidence / len(matches), 3), rivals=len(matches)) for match in matches
    )
