"""Which of our companies another list means: by registrable domain, else by name and country, with a confidence.

A name is compared by the groups of three letters it shares with ours, rare ones weighing more: the cosine of their
inverse document frequencies. What a similarity is worth as a confidence was measured: see `confidence_of`.
"""

import unicodedata
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from math import log, sqrt
from operator import itemgetter
from typing import Literal, TypeAlias

DOMAIN_CONFIDENCE = 0.95
"""Of a match by registrable domain: an assumption, for no public data set has real companies' domains."""

CAUTION = 0.8
"""What a match by name is multiplied by where a country is unknown, and where the domains differ; an assumption."""

LEAST_CONFIDENCE = 0.5
"""A match by name must be more likely right than wrong."""

MOST_COMPANIES = 5
"""What stands for more companies than this, a domain or a name, tells none of them."""

Curve: TypeAlias = Sequence[tuple[float, float]]
"""Similarity, and the share of such matches that were right; in between straight lines, below the first 0."""

NAME_CURVE: Curve = ((0.5, 0.05), (0.6, 0.2), (0.75, 0.25), (0.85, 0.47), (0.95, 0.75), (1.0, 0.9))
"""Of bare names, such as a partner's list has."""

DETAILED_CURVE: Curve = ((0.5, 0.05), (0.55, 0.2), (0.65, 0.56), (0.75, 0.8), (0.85, 0.86), (1.0, 0.9))
"""Of names with details, such as an address: being longer, they are seldom so similar by chance."""

_LEGAL_FORM_WORDS = """
    ab ag and aktiengesellschaft as asa bv bvba co company corp corporation cv doo eg ev eirl gbr gesellschaft gmbh
    inc incorporated jsc kft kg kgaa kk limited llc llp lp ltd ltda mbh nv ohg ood oy oyj plc pbc pjsc pt pte pty
    pvt sa sab sae sapi sarl sas sasu scs se sl slu sp spa spzoo srl sro tbk ug ulc und vof zoo
"""
_LEGAL_FORMS = frozenset(_LEGAL_FORM_WORDS.split())
# Names looked at and compared for each name sought: on the three sets ten times as many found nothing more.
_LOOKED_AT = 500
_COMPARED = 10

Grams: TypeAlias = frozenset[str]


@dataclass(frozen=True)
class Profile:
    """What a company is matched by; whatever is unknown is None.

    Attributes:
        id: names it.
        domain: its registrable domain, or a keyed hash of that; never one that stands for many companies.
        name: as somebody wrote it.
        country: ISO 3166-1 alpha-2.
        details: what else is known in words, such as an address; compared along with the name.
    """

    id: str
    domain: str | None = None
    name: str | None = None
    country: str | None = None
    details: str | None = None

    @property
    def text(self) -> str:
        """Name and details, plain."""
        return plain_name(" ".join(part for part in (self.name, self.details) if part is not None))


@dataclass(frozen=True)
class Match:
    """A company of ours that a profile means.

    Attributes:
        profile: the company of ours.
        by: what told.
        confidence: the probability, as far as it could be measured, that it is the same company; 0 to 1.
        similarity: of the names, where those told.
        rivals: how many of our companies were told equally well, itself included; they share the confidence.
    """

    profile: Profile
    by: Literal["domain", "name"]
    confidence: float
    similarity: float | None = None
    rivals: int = 1


def plain_name(name: str) -> str:
    """A name without case, accents, punctuation, legal forms at its end and "the" at its start, for comparing."""
    letters = unicodedata.normalize("NFKD", name.casefold().replace("&", " and "))
    kept = "".join(letter for letter in letters if not unicodedata.combining(letter) and letter not in ".'’")
    words = "".join(letter if letter.isalnum() else " " for letter in kept).split()
    start = 1 if len(words) > 1 and words[0] == "the" else 0
    end = len(words)
    while end > start + 1 and words[end - 1] in _LEGAL_FORMS:
        end -= 1
    return " ".join(words[start:end])


def confidence_of(similarity: float, curve: Curve) -> float:
    """The confidence that names of a `similarity` (0 to 1) in one country mean one company; never falls with it.

    The curves hold what half of the records of public sets showed (benchmarks/matching.py), the worst set counting,
    where every second record sought has a counterpart. A list that holds fewer of our companies earns less.
    """
    place = bisect_right([known for known, _ in curve], similarity)
    if place == 0:
        return 0.0
    if place == len(curve):
        return curve[-1][1]
    (low, worth), (high, more) = curve[place - 1], curve[place]
    return worth + (more - worth) * (similarity - low) / (high - low)


class Index:
    """Our companies, prepared to be sought.

    Args:
        companies: ours; of several that match equally well all are answered, in this order.
    """

    def __init__(self, companies: Iterable[Profile]) -> None:
        self._companies = tuple(companies)
        self._by_domain: dict[str, list[Profile]] = defaultdict(list)
        for company in self._companies:
            if company.domain is not None:
                self._by_domain[company.domain].append(company)

    def crowded(self, domain: str) -> bool:
        """Whether a domain stands for too many of our companies to tell one."""
        return len(self._by_domain.get(domain, ())) > MOST_COMPANIES

    def matches(self, sought: Profile) -> tuple[Match, ...]:
        """Our companies that `sought` means: those with its domain; where none has it, those with the likest name.

        Of several with its domain only those in its country, where any is. Equals share the confidence.
        """
        found = self._by_domain.get(sought.domain, []) if sought.domain is not None else []
        if found and len(found) <= MOST_COMPANIES:
            compatriots = [company for company in found if company.country == sought.country]
            return _shared(Match(company, "domain", DOMAIN_CONFIDENCE) for company in compatriots or found)
        return self._names.matches(sought) if sought.name is not None else ()

    @cached_property
    def _names(self) -> "_Names":
        return _Names([company for company in self._companies if company.name is not None])


class _Names:
    """Our names by the groups of three letters they hold.

    Weights are whole numbers, so that a sum is the same in whatever order a set gives its members.
    """

    def __init__(self, companies: list[Profile]) -> None:
        self._companies = companies
        names = [company.text for company in companies]
        self._grams = [_grams(name) for name in names]
        self._holders: dict[str, list[int]] = defaultdict(list)
        self._named: dict[str, list[int]] = defaultdict(list)
        for place, (name, grams) in enumerate(zip(names, self._grams, strict=True)):
            self._named[name].append(place)
            for gram in grams:
                self._holders[gram].append(place)
        self._weights = {gram: self._weight(len(places)) for gram, places in self._holders.items()}
        self._unseen = self._weight(1)
        self._lengths = [self._length(grams) for grams in self._grams]

    def matches(self, sought: Profile) -> tuple[Match, ...]:
        """The likest names in a country that may be that of `sought`, where they are likely enough."""
        name = sought.text
        grams = _grams(name)
        length = self._length(grams)
        places = self._same(name, sought.country) or self._nearest(grams, sought.country)
        found = [self._match(sought, place, self._similarity(grams, length, place)) for place in places]
        best = max((match.confidence for match in found), default=0.0)
        return _shared(match for match in found if match.confidence == best >= LEAST_CONFIDENCE)

    def _same(self, name: str, country: str | None) -> list[int]:
        places = self._named.get(name, [])[:_LOOKED_AT]
        return [place for place in places if _may_be(country, self._companies[place].country)]

    def _nearest(self, grams: Grams, country: str | None) -> list[int]:
        """Where to look closer, in our order: the names that share most of the rare groups."""
        shared: dict[int, int] = {}
        for gram in self._rarest(grams):
            weight = self._weights[gram]
            for place in self._holders[gram]:
                shared[place] = shared.get(place, 0) + weight
        nearest = (place for place, _ in sorted(shared.items(), key=itemgetter(1), reverse=True))
        possible = (place for place in nearest if _may_be(country, self._companies[place].country))
        return sorted(islice(possible, _COMPARED))

    def _rarest(self, grams: Grams) -> Iterator[str]:
        """The rarest groups first, as long as few names hold them: common ones are slow and tell little."""
        looked_at = 0
        for holders, gram in sorted((len(self._holders[gram]), gram) for gram in grams if gram in self._weights):
            looked_at += holders
            if looked_at > _LOOKED_AT:
                return
            yield gram

    def _similarity(self, grams: Grams, length: int, place: int) -> float:
        common = sum(self._weights[gram] for gram in grams & self._grams[place])
        return min(1.0, common / sqrt(length * self._lengths[place])) if common else 0.0

    def _match(self, sought: Profile, place: int, similarity: float) -> Match:
        company = self._companies[place]
        bare = company.details is None or sought.details is None
        confidence = confidence_of(similarity, NAME_CURVE if bare else DETAILED_CURVE)
        if company.country is None or sought.country is None:
            confidence *= CAUTION
        if company.domain is not None and sought.domain is not None:
            confidence *= CAUTION
        return Match(company, "name", confidence, similarity)

    def _length(self, grams: Grams) -> int:
        return sum(self._weights.get(gram, self._unseen) for gram in grams)

    def _weight(self, holders: int) -> int:
        return round(1e6 * log((len(self._companies) + 1) / holders) ** 2)


def _grams(name: str) -> Grams:
    """The groups of three letters of each word, its edges marked by blanks."""
    words = (f" {word} " for word in name.split())
    return frozenset(word[start : start + 3] for word in words for start in range(len(word) - 2))


def _may_be(country: str | None, other: str | None) -> bool:
    return country is None or other is None or country == other


def _shared(equals: Iterable[Match]) -> tuple[Match, ...]:
    """Matches that told equally well share the confidence; too many tell nothing."""
    found = tuple(equals)
    if len(found) > MOST_COMPANIES:
        return ()
    return tuple(
        replace(match, confidence=round(match.confidence / len(found), 3), rivals=len(found)) for match in found
    )
