"""A catalogue: the entries in a fixed order, without a repeated name, the folding of texts, and one hash of it all."""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from features.catalogue.entry import Entry, InvalidEntry, Reading
from features.catalogue.folded import folded_entry, text_of, unfolded_entry
from features.folding import FOLD_VERSION
from features.provenance import ATTRIBUTE_PREFIX, Attribute


@dataclass(frozen=True)
class Catalogue:
    """The entries in their fixed order; a feature vector has one value for each.

    Attributes:
        entries: the entries.
        fold: the version of the folding by which free text is compared (see `features.folding`); 0 is text as sent.

    Raises:
        InvalidEntry: two entries share a name.
    """

    entries: tuple[Entry, ...]
    fold: int = FOLD_VERSION

    def __post_init__(self) -> None:
        names = [entry.name for entry in self.entries]
        for name in names:
            if names.count(name) > 1:
                raise InvalidEntry(f"feature {name!r} is in the catalogue twice; rename one of them")

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, name: str) -> Entry:
        return self._by_name[name]

    def folded_by(self, fold: int) -> "Catalogue":
        """The catalogue with another version of the folding; earlier bundles and decisions keep theirs."""
        entries = self.entries if fold else tuple(map(unfolded_entry, self.entries))
        return replace(self, entries=entries, fold=fold)

    def subset(self, names: Iterable[str]) -> "Catalogue":
        """The catalogue of these features alone, in the order given."""
        return replace(self, entries=tuple(self.select(names)))

    @cached_property
    def evaluated(self) -> tuple[Entry, ...]:
        """The entries as an engine evaluates them: they read the folded columns of free text."""
        return tuple(map(folded_entry, self.entries)) if self.fold else self.entries

    @cached_property
    def texts(self) -> Mapping[str, tuple[str, str]]:
        """The features whose value is a free text, each with the entity and the column that hold the text as sent."""
        found = ((entry.name, text_of(entry)) for entry in self.entries)
        return {name: place for name, place in found if place is not None}

    def select(self, names: Iterable[str]) -> list[Entry]:
        """The entries of these features, in the order given."""
        return [self._by_name[name] for name in names]

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.entries, self.fold))

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    @cached_property
    def _by_name(self) -> dict[str, Entry]:
        return {entry.name: entry for entry in self.entries}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the features, in order."""
        return tuple(entry.name for entry in self.entries)

    @cached_property
    def sha256(self) -> str:
        """The hash of every entry with all its fields."""
        content: list[Any] = [{**asdict(entry), "value": repr(entry.value)} for entry in self.entries]
        content += self._fold_mark
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def values_sha256(self, names: Iterable[str]) -> str:
        """The hash of everything that decides the values of some features, in their order; wording does not count.

        Raises:
            KeyError: the catalogue lacks one of the features.
        """
        entries = (self[name] for name in names)
        content: list[Any] = [
            (e.name, repr(e.value), e.kind, e.missing, e.direction, e.partner, e.neutral) for e in entries
        ]
        content += self._fold_mark
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    @property
    def _fold_mark(self) -> list[Any]:
        """What the folding adds to a hash: nothing for text as sent, so that earlier hashes stay."""
        return [{"fold": self.fold}] if self.fold else []

    def with_attributes(self, attributes: Iterable[Attribute]) -> "Catalogue":
        """This catalogue with one more entry for each attribute that is known at creation.

        The feature of an attribute has the attribute's name. It is called `attributes.<name>` where another feature has
        that name, whatever the case.
        """
        taken = {name.lower() for name in self.names}
        more = (_entry(attribute, taken) for attribute in attributes if attribute.known == "at_creation")
        return replace(self, entries=(*self.entries, *more))


def _entry(attribute: Attribute, taken: Collection[str]) -> Entry:
    column = f"{ATTRIBUTE_PREFIX}{attribute.name}"
    return Entry(
        name=column if attribute.name.lower() in taken else attribute.name,
        family="attributes",
        value=Reading("lead", column),
        unit="as imported",
        direction=0,
        missing="unknown",
        description=f"{attribute.name}, an attribute of the import, known when the lead was created.",
        sentence=f"{attribute.name.replace('{', '').replace('}', '')}: {{value}}",
        absent=f"{attribute.name}: none or unknown",
        kind=attribute.kind,
    )
