"""The catalogue as a page of the documentation: `python -m features.catalogue.document > docs/features.md`."""

from collections.abc import Iterator
from itertools import groupby

from features.catalogue import CATALOGUE
from features.catalogue.catalogue import Catalogue
from features.catalogue.entry import Entry

_INTRODUCTION = """\
# Features

{count} features, by family; those of an import's attributes come on top (see [import](import.md)). This page
is generated from `features/catalogue/`: `make docs` writes it anew.

* **direction**: a higher value may only raise (+) or only lower (−) the close probability; empty: either.
* **missing**: what no value means. `none`: there is none, it counts as 0. `unknown`: nobody knows, it stays missing.
* **without partner**: the value in the counterfactual `without_partner`; empty: as it is, for it speaks of no partner.
* **sales reads**: the sentence in explanations, where there is a value.
"""

_HEADER = """\
| feature | unit | direction | missing | without partner | measures | sales reads |
|---|---|---|---|---|---|---|
"""

_DIRECTIONS = {1: "+", 0: "", -1: "−"}


def markdown(catalogue: Catalogue) -> str:
    """Every feature of `catalogue` by family, as a Markdown page."""
    families = groupby(catalogue, key=lambda entry: entry.family)
    sections = (f"\n## {family}\n\n{_HEADER}{''.join(_rows(entries))}" for family, entries in families)
    return _INTRODUCTION.format(count=len(catalogue)) + "".join(sections)


def _rows(entries: Iterator[Entry]) -> Iterator[str]:
    for entry in entries:
        cells = (
            f"`{entry.name}`",
            entry.unit,
            _DIRECTIONS[entry.direction],
            entry.missing,
            _without_partner(entry),
            entry.description,
            entry.sentence,
        )
        yield f"| {' | '.join(map(_escaped, cells))} |\n"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _without_partner(entry: Entry) -> str:
    if not entry.partner:
        return ""
    return "unknown" if entry.neutral is None else str(entry.neutral)


if __name__ == "__main__":
    print(markdown(CATALOGUE), end="")
