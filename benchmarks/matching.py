"""Account matching on public record sets: precision and recall beside exact domains and scikit-learn, and speed.

Each set is split into two sides: the first record of an entity is ours, the others are a partner's list. Half of the
entities, by a hash, are taken out of ours, so that every second row of the list has no counterpart. The curves in
features/overlap/matching.py and the peer's threshold were read from one half of the entities, by another hash; what is
reported is the other half. `python -m benchmarks.matching` prints it all.
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
STEPS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
SIZE, PEER_ROWS = 100_000, 2_000


@dataclass(frozen=True)
class Source:
    """A public set of records, several of one entity.

    Attributes:
        entity: what a record is of.
        named: the columns that together are the name.
        country: all records are of this one, so that it tells nothing.
        details: the columns that are compared along with it.
        domains: the columns that may hold a domain, the first that does counts.
    """

    entity: Callable[[Mapping[str, str]], str]
    named: Sequence[str]
    country: str
    details: Sequence[str] = ()
    domains: Sequence[str] = ()


_PLACE = ("street_number", "address_1", "address_2", "suburb", "postcode")
SOURCES: Mapping[str, Source] = {
    "chicago_sites": Source(
        lambda row: row["True Id"], ("Site name",), "US", ("Address",), ("Website", "Email Address")
    ),
    "fake_1000": Source(lambda row: row["cluster"], ("first_name", "surname"), "GB", ("dob", "city"), ("email",)),
    "febrl3": Source(lambda row: row["rec_id"].split("-")[1], ("given_name", "surname"), "AU", _PLACE),
}
BARE = "chicago_sites"
"""The set whose bare names are those of organisations, and so the nearest to what a partner's list holds."""

WAYS: Mapping[str, Callable[[Profile], Profile]] = {
    "exact domain": lambda profile: replace(profile, name=None),
    "name": lambda profile: replace(profile, domain=None),
    "domain, else name": lambda profile: profile,
}


@dataclass(frozen=True)
class Sides:
    """A set in two, each record with the entity it is of: ours, and the partner's list."""

    ours: Sequence[tuple[str, Profile]]
    theirs: Sequence[tuple[str, Profile]]


@dataclass(frozen=True)
class Pair:
    """A row of the list matched to a record of ours: by what, with which confidence, and whether rightly."""

    by: str
    confidence: float
    right: bool


@dataclass(frozen=True)
class Outcome:
    """What matching half of a list came to; `counterparts` of its rows are of an entity that we have."""

    pairs: Sequence[Pair]
    counterparts: int

    def figures(self, least: float) -> tuple[int, float, float, float]:
        """Pairs of at least a confidence, their precision, the recall, and F1; 0 where nothing was matched."""
        kept = [pair.right for pair in self.pairs if pair.confidence >= least]
        precision, recall = sum(kept) / max(len(kept), 1), sum(kept) / self.counterparts
        return len(kept), precision, recall, 2 * sum(kept) / (len(kept) + self.counterparts)

    def honesty(self) -> Iterator[tuple[float, int, float, float]]:
        """Of matches by name, by step of stated confidence: pairs, mean stated, share that were right."""
        for low, high in pairwise(STEPS):
            within = [pair for pair in self.pairs if pair.by == "name" and low <= pair.confidence < high]
            if within:
                stated, right = sum(pair.confidence for pair in within), sum(pair.right for pair in within)
                yield low, len(within), stated / len(within), right / len(within)


def sides(name: str, source: Source) -> Sides:
    """A set split into two sides, the same way at every run."""
    with (DATASETS / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, skipinitialspace=True))
    ours: dict[str, Profile] = {}
    theirs = []
    for number, row in enumerate(rows):
        entity = source.entity(row)
        called, details = _joined(row, source.named), _joined(row, source.details)
        profile = Profile(
            str(number),
            domain=_domain(row, source.domains),
            name=called or details,
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
    """Whether a hash puts an entity into the second of two halves."""
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


def match(split: Sides, way: Callable[[Profile], Profile], reported: bool) -> Outcome:
    """One half of the list matched with what `way` leaves of the profiles."""
    entities = {profile.id: entity for entity, profile in split.ours}
    known = {*entities.values()}
    index = Index(way(profile) for _, profile in split.ours)
    rows = [(entity, profile) for entity, profile in split.theirs if in_half(entity, "half") == reported]
    pairs = [
        Pair(found.by, found.confidence, entities[found.profile.id] == entity)
        for entity, profile in rows
        for found in index.matches(way(profile))
    ]
    return Outcome(pairs, sum(entity in known for entity, _ in rows))


def peer(split: Sides, reported: bool) -> Outcome:
    """The same by scikit-learn: TF-IDF of groups of three letters, the nearest of ours, its cosine as confidence."""
    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 3))
    ours = vectors.fit_transform([profile.text for _, profile in split.ours])
    rows = [(entity, profile) for entity, profile in split.theirs if in_half(entity, "half") == reported]
    cosines = (vectors.transform([profile.text for _, profile in rows]) @ ours.T).tocsr()
    entities = [entity for entity, _ in split.ours]
    nearest, likest = (
        np.asarray(cosines.argmax(axis=1)).ravel().tolist(),
        cosines.max(axis=1).toarray().ravel().tolist(),
    )
    pairs = [
        Pair("name", cosine, entities[place] == entity)
        for (entity, _), place, cosine in zip(rows, nearest, likest, strict=True)
    ]
    return Outcome(pairs, sum(entity in {*entities} for entity, _ in rows))


def peer_threshold(split: Sides) -> float:
    """The cosine at which the peer's F1 is best on the half that is not reported."""
    outcome = peer(split, reported=False)
    return max((step / 50 for step in range(10, 48)), key=lambda least: outcome.figures(least)[3])


def quality() -> list[dict[str, Any]]:
    """F1 on each set beside the peer's."""
    return [_quality(name, sides(name, source)) for name, source in SOURCES.items()]


def _quality(name: str, split: Sides) -> dict[str, Any]:
    ours = match(split, WAYS["domain, else name"], reported=True).figures(MIN_CONFIDENCE)[3]
    theirs = peer(split, reported=True).figures(peer_threshold(split))[3]
    return _row(f"matching-{name}", ours, "scikit-learn TF-IDF", theirs, ours / theirs, "F1")


def speed() -> dict[str, Any]:
    """Seconds to match a list of names alone, in one country, with as many accounts; the peer does a part of it."""
    draw = random.Random(0)
    accounts = [_made_up(draw) for _ in range(SIZE)]
    listed = [_misspelt(draw, draw.choice(accounts)) if draw.random() < 0.5 else _made_up(draw) for _ in range(SIZE)]
    start = time.perf_counter()
    index = Index(Profile(str(n), name=name, country="DE") for n, name in enumerate(accounts))
    for n, name in enumerate(listed):
        index.matches(Profile(str(n), name=name, country="DE"))
    ours = time.perf_counter() - start
    start = time.perf_counter()
    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 3))
    known = vectors.fit_transform(accounts)
    fitted = time.perf_counter()
    (vectors.transform(listed[:PEER_ROWS]) @ known.T).argmax(axis=1)
    theirs = fitted - start + (time.perf_counter() - fitted) * SIZE / PEER_ROWS
    return _row("matching-100k", ours, "scikit-learn TF-IDF, extrapolated", theirs, theirs / ours, "s")


_SYLLABLES = [a + b for a in ("b", "br", "c", "d", "f", "g", "gr", "l", "m", "n", "p", "s", "t", "v") for b in "aeiouy"]
_TRADES = ("Systems", "Software", "Logistics", "Health", "Solutions", "Group", "Consulting", "Industries", "Media")


def _made_up(draw: random.Random) -> str:
    stem = "".join(draw.choices(_SYLLABLES, k=draw.choice((2, 3, 3, 4)))).title()
    return f"{stem} {draw.choice(_TRADES)} {draw.choice(('GmbH', 'Ltd', 'Inc.', 'S.A.'))}"


def _misspelt(draw: random.Random, name: str) -> str:
    place = draw.randrange(len(name))
    return f"{name[:place]}{draw.choice('aeinrst')}{name[place + 1 :]}"


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
    """Quality where the public sets are, and speed, as rows of benchmarks/results.json."""
    return [*(quality() if DATASETS.is_dir() else ()), speed()]


def report() -> Iterator[str]:
    """Precision and recall on every set, way by way, and how honest the stated confidence is."""
    yield f"{'set':<26}{'way':<22}{'least':>6}{'pairs':>7}{'precision':>11}{'recall':>8}{'F1':>7}"
    bare = (f"{BARE}, bare names", sides(BARE, replace(SOURCES[BARE], details=())))
    for title, split in [*((name, sides(name, source)) for name, source in SOURCES.items()), bare]:
        outcomes = {way: match(split, strip, reported=True) for way, strip in WAYS.items()}
        for way, outcome in outcomes.items():
            for least in (0.0, 0.8):
                yield _line(title, way, least, outcome)
        yield _line(title, "scikit-learn TF-IDF", peer_threshold(split), peer(split, reported=True))
        for low, pairs, stated, right in outcomes["name"].honesty():
            yield f"{title:<26}name, from {low:.1f} on: {pairs} pairs, stated {stated:.2f}, right {right:.2f}"


def _line(title: str, way: str, least: float, outcome: Outcome) -> str:
    pairs, precision, recall, f1 = outcome.figures(least)
    return f"{title:<26}{way:<22}{least:>6.2f}{pairs:>7}{precision:>11.3f}{recall:>8.3f}{f1:>7.3f}"


def main() -> None:
    """Print the evidence."""
    for line in report():
        print(line)
    print("{benchmark}: {ours:.1f} {unit}, {peer} {theirs:.1f} {unit}".format(**speed()))


if __name__ == "__main__":
    main()
