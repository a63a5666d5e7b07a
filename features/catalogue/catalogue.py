"""A catalogue: the entries in a fixed order, without a repeated name, and one hash over all of them."""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from features.catalogue.entry import Entry, InvalidEntry, Reading
from features.provenance import ATTRIBUTE_PREFIX, Attribute


@dataclass(frozen=True)
class Catalogue:
    """The entries in their fixed order; a feature vector has one value for each.

    Raises:
        InvalidEntry: two entries share a name.
    """

    entries: tuple[Entry, ...]

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

    def select(self, names: Iterable[str]) -> list[Entry]:
        """The entries of these features, in the order given."""
        return [self._by_name[name] for name in names]

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash(self.entries)

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
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def values_sha256(self, names: Iterable[str]) -> str:
        """The hash of everything that decides the values of some features, in their order; wording does not count.

        Raises:
            KeyError: the catalogue lacks one of the features.
        """
        entries = (self[name] for name in names)
        content = [(e.name, repr(e.value), e.kind, e.missing, e.direction, e.partner, e.neutral) for e in entries]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def with_attributes(self, attributes: Iterable[Attribute]) -> "Catalogue":
        """This catalogue with one more entry for each attribute that is known at creation.

        The feature of an attribute has the attribute's name. It is called `attributes.<name>` where another feature has
        that name, whatever the case.
        """
        taken = {name.lower() for name in self.names}
        return Catalogue((*self.entries, *(_entry(a, taken) for a in attributes if a.known == "at_creation")))


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
