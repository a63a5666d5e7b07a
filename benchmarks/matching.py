"""Account matching on public record sets: precision, recall and speed, against exact domains and scikit-learn.

Each set is split into two sides. The first record of an entity is ours; the others are a partner's list. Half of the
entities, chosen by a hash, are removed from our side, so every second row of the list has no counterpart. The curves in
features/overlap/matching.py and the peer's threshold were fitted on one half of the entities, chosen by another hash.
The figures are those of the other half. `python -m benchmarks.matching` prints everything.
"""

import csv
import hashlib
import os
import random
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from features.domains import InvalidDomain, site
from features.overlap.matching import MIN_CONFIDENCE, Index, Profile

ROOT = Path(__file__).parent.parent
DATASETS = Path(os.environ.get("EQL_DATASETS", ROOT / ".." / "shared" / "datasets")) / "dedupe"
CONFIDENCE_STEPS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
SIZE, PEER_ROWS = 100_000, 2_000


@dataclass(frozen=True, kw_only=True)
class Source:
    """A public set with several records of each entity.

    Attributes:
        entity: gives the entity of a record.
        named: the columns that form the name.
        country: the country of all records; it does not help the matching.
        details: the columns that are compared together with the name.
        domains: the columns that may hold a domain; the first valid one counts.
    """

    entity: Callable[[Mapping[str, str]], str]
    named: Sequence[str]
    country: str
    details: Sequence[str] = ()
    domains: Sequence[str] = ()


_ADDRESS = ("street_number", "address_1", "address_2", "suburb", "postcode")
SOURCES: Mapping[str, Source] = {
    "chicago_sites": Source(
        entity=lambda row: row["True Id"],
        named=("Site name",),
        country="US",
        details=("Address",),
        domains=("Website", "Email Address"),
    ),
    "fake_1000": Source(
        entity=lambda row: row["cluster"],
        named=("first_name", "surname"),
        country="GB",
        details=("dob", "city"),
        domains=("email",),
    ),
    "febrl3": Source(
        entity=lambda row: row["rec_id"].split("-")[1],
        named=("given_name", "surname"),
        country="AU",
        details=_ADDRESS,
    ),
}
BARE = "chicago_sites"
"""The set whose bare names are names of organisations. It is the closest to a partner's list."""

METHODS: Mapping[str, Callable[[Profile], Profile]] = {
    "exact domain": lambda profile: replace(profile, name=None),
    "name": lambda profile: replace(profile, domain=None),
    "domain, else name": lambda profile: profile,
}


@dataclass(frozen=True)
class Sides:
    """The two sides of a set, each record with its entity: our accounts, and the partner's list."""

    ours: Sequence[tuple[str, Profile]]
    theirs: Sequence[tuple[str, Profile]]


@dataclass(frozen=True)
class Pair:
    """A row of the list matched to one of our records, by a criterion, with a confidence, rightly or not."""

    by: str
    confidence: float
    right: bool


@dataclass(frozen=True)
class MatchFigures:
    """The number of matched pairs, their precision, recall and F1; 0 without pairs."""

    pairs: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Outcome:
    """The matches of half of a list; `counterparts` is the number of its rows whose entity is on our side."""

    pairs: Sequence[Pair]
    counterparts: int

    def figures(self, min_confidence: float) -> "MatchFigures":
        """The figures of the pairs with at least a confidence."""
        kept = [pair.right for pair in self.pairs if pair.confidence >= min_confidence]
        precision, recall = sum(kept) / max(len(kept), 1), sum(kept) / self.counterparts
        return MatchFigures(len(kept), precision, recall, 2 * sum(kept) / (len(kept) + self.counterparts))

    def reliability(self) -> Iterator[tuple[float, int, float, float]]:
        """For matches by name, by step of confidence: lower bound, pairs, mean confidence, share of right pairs."""
        for low, high in pairwise(CONFIDENCE_STEPS):
            within = [pair for pair in self.pairs if pair.by == "name" and low <= pair.confidence < high]
            if within:
                stated, right = sum(pair.confidence for pair in within), sum(pair.right for pair in within)
                yield low, len(within), stated / len(within), right / len(within)


def sides(name: str, source: Source) -> Sides:
    """A set split into two sides, the same at every run."""
    with (DATASETS / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, skipinitialspace=True))
    ours: dict[str, Profile] = {}
    theirs = []
    for number, row in enumerate(rows):
        entity = source.entity(row)
        name_text, details = _joined(row, source.named), _joined(row, source.details)
        profile = Profile(
            str(number),
            domain=_domain(row, source.domains),
            name=name_text or details,
            country=source.country,
            details=details,
        )
        if entity in ours or in_half(entity, "absent"):
            theirs.append((entity, profile))
        else:
            ours[entity] = profile
    return Sides([*ours.items()], theirs)


def _joined(row: Mapping[str, str], columns: Sequence[str]) -> str | None:
    return " ".join((row[column] or "").strip() for column in columns).strip() or None


def in_half(entity: str, salt: str) -> bool:
    """Whether a hash puts an entity into the second half."""
    return hashlib.sha256(f"{salt}:{entity}".encode()).digest()[0] % 2 == 1


def _domain(row: Mapping[str, str], columns: Sequence[str]) -> str | None:
    for column in columns:
        try:
            found = site(row[column])
        except InvalidDomain:
            continue
        if found.shared is None:
            return found.domain
    return None


def match(split: Sides, method: Callable[[Profile], Profile], reported: bool) -> Outcome:
    """Matches one half of the list by the parts of the profiles that `method` keeps."""
    entities = {profile.id: entity for entity, profile in split.ours}
    our_entities = {*entities.values()}
    index = Index(method(profile) for _, profile in split.ours)
    rows = [(entity, profile) for entity, profile in split.theirs if in_half(entity, "half") == reported]
    pairs = [
        Pair(match.by, match.confidence, entities[match.profile.id] == entity)
        for entity, profile in rows
        for match in index.matches(method(profile))
    ]
    return Outcome(pairs, sum(entity in our_entities for entity, _ in rows))


def peer(split: Sides, reported: bool) -> Outcome:
    """Matches one half of the list by scikit-learn: TF-IDF of trigrams, nearest record, cosine as confidence."""
    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 3))
    ours = vectors.fit_transform([profile.text for _, profile in split.ours])
    rows = [(entity, profile) for entity, profile in split.theirs if in_half(entity, "half") == reported]
    cosines = (vectors.transform([profile.text for _, profile in rows]) @ ours.T).tocsr()
    entities = [entity for entity, _ in split.ours]
    nearest, cosine_values = (
        np.asarray(cosines.argmax(axis=1)).ravel().tolist(),
        cosines.max(axis=1).toarray().ravel().tolist(),
    )
    pairs = [
        Pair("name", cosine, entities[position] == entity)
        for (entity, _), position, cosine in zip(rows, nearest, cosine_values, strict=True)
    ]
    return Outcome(pairs, sum(entity in {*entities} for entity, _ in rows))


def peer_threshold(split: Sides) -> float:
    """The cosine with the best F1 of the peer, on the half that is not reported."""
    outcome = peer(split, reported=False)
    return max((step / 50 for step in range(10, 48)), key=lambda threshold: outcome.figures(threshold).f1)


def quality() -> list[dict[str, Any]]:
    """Our F1 and the peer's on each set."""
    return [_quality(name, sides(name, source)) for name, source in SOURCES.items()]


def _quality(name: str, split: Sides) -> dict[str, Any]:
    ours = match(split, METHODS["domain, else name"], reported=True).figures(MIN_CONFIDENCE).f1
    theirs = peer(split, reported=True).figures(peer_threshold(split)).f1
    return _row(f"matching-{name}", ours, "scikit-learn TF-IDF", theirs, ours / theirs, "F1")


def speed() -> dict[str, Any]:
    """Seconds to match a list of names in one country with as many accounts; extrapolated for the peer."""
    rng = random.Random(0)
    accounts = [_random_name(rng) for _ in range(SIZE)]
    listed = [_misspelt(rng, rng.choice(accounts)) if rng.random() < 0.5 else _random_name(rng) for _ in range(SIZE)]
    start = time.perf_counter()
    index = Index(Profile(str(n), name=name, country="DE") for n, name in enumerate(accounts))
    for n, name in enumerate(listed):
        index.matches(Profile(str(n), name=name, country="DE"))
    ours = time.perf_counter() - start
    start = time.perf_counter()
    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 3))
    account_vectors = vectors.fit_transform(accounts)
    fitted = time.perf_counter()
    (vectors.transform(listed[:PEER_ROWS]) @ account_vectors.T).argmax(axis=1)
    theirs = fitted - start + (time.perf_counter() - fitted) * SIZE / PEER_ROWS
    return _row("matching-100k", ours, "scikit-learn TF-IDF, extrapolated", theirs, theirs / ours, "s")


_SYLLABLES = [a + b for a in ("b", "br", "c", "d", "f", "g", "gr", "l", "m", "n", "p", "s", "t", "v") for b in "aeiouy"]
_TRADES = ("Systems", "Software", "Logistics", "Health", "Solutions", "Group", "Consulting", "Industries", "Media")


def _random_name(rng: random.Random) -> str:
    stem = "".join(rng.choices(_SYLLABLES, k=rng.choice((2, 3, 3, 4)))).title()
    return f"{stem} {rng.choice(_TRADES)} {rng.choice(('GmbH', 'Ltd', 'Inc.', 'S.A.'))}"


def _misspelt(rng: random.Random, name: str) -> str:
    position = rng.randrange(len(name))
    return f"{name[:position]}{rng.choice('aeinrst')}{name[position + 1 :]}"


def _row(name: str, ours: float, peer: str, theirs: float, ratio: float, unit: str) -> dict[str, Any]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "benchmark": name,
        "ours": ours,
        "peer": peer,
        "theirs": theirs,
        "ratio": ratio,
        "unit": unit,
        "peak_mib": peak,
    }


def run() -> list[dict[str, Any]]:
    """The quality, if the public sets are present, and the speed, as rows of benchmarks/results.json."""
    return [*(quality() if DATASETS.is_dir() else ()), speed()]


def report() -> Iterator[str]:
    """Precision and recall on every set by method, and how well the confidence agrees with the share of right pairs."""
    yield f"{'set':<26}{'method':<22}{'from':>6}{'pairs':>7}{'precision':>11}{'recall':>8}{'F1':>7}"
    bare = (f"{BARE}, bare names", sides(BARE, replace(SOURCES[BARE], details=())))
    for title, split in [*((name, sides(name, source)) for name, source in SOURCES.items()), bare]:
        outcomes = {name: match(split, method, reported=True) for name, method in METHODS.items()}
        for method, outcome in outcomes.items():
            for min_confidence in (0.0, 0.8):
                yield _line(title, method, min_confidence, outcome)
        yield _line(title, "scikit-learn TF-IDF", peer_threshold(split), peer(split, reported=True))
        for low, pairs, stated, right in outcomes["name"].reliability():
            yield f"{title:<26}name, from {low:.1f}: {pairs} pairs, confidence {stated:.2f}, share right {right:.2f}"


def _line(title: str, method: str, min_confidence: float, outcome: Outcome) -> str:
    found = outcome.figures(min_confidence)
    name = f"{title:<26}{method:<22}{min_confidence:>6.2f}"
    return f"{name}{found.pairs:>7}{found.precision:>11.3f}{found.recall:>8.3f}{found.f1:>7.3f}"


def main() -> None:
    """Prints the report and the speed."""
    for line in report():
        print(line)
    print("{benchmark}: {ours:.1f} {unit}, {peer} {theirs:.1f} {unit}".format(**speed()))


if __name__ == "__main__":
    main()
