"""The catalogue as a page of the documentation: `python -m features.catalogue.document > docs/features.md`."""

from itertools import groupby

from features.catalogue import CATALOGUE
from features.catalogue.catalogue import Catalogue
from features.catalogue.entry import Entry
from features.catalogue.specs import CREATED, Spec, of_family

_INTRODUCTION = """\
# Features

{count} features, by family; those of an import's attributes come on top (see [import](import.md)). This page is
generated from `features/catalogue/`: `make docs` writes it anew. Of each feature it says

* what it measures, and its unit;
* its direction, where a higher value may only raise (+) or only lower (−) the close probability;
* what a missing value means: none (there is none, it counts as 0) or unknown (nobody knows, it stays missing);
* of features that speak of partners the neutral value, which `without_partner` puts in its place;
* in italics the sentence that sales reads.

The tables below a family's list are specs: records, and what its features come to. Every engine is tested on them. An
empty cell is unknown; a record that states no `recorded_at` was known when it happened; where no lead is given there is
`L` of the account `A`, created on {created}.
"""

_DIRECTIONS = {1: ["direction +"], 0: [], -1: ["direction −"]}


def markdown(catalogue: Catalogue) -> str:
    """Every feature of `catalogue` by family, as a Markdown page."""
    families = groupby(catalogue, key=lambda entry: entry.family)
    sections = (
        f"\n## {family}\n\n{''.join(map(_item, entries))}{''.join(map(_spec, of_family(family)))}"
        for family, entries in families
    )
    return _INTRODUCTION.format(count=len(catalogue), created=CREATED) + "".join(sections)


def _item(entry: Entry) -> str:
    neutral = "unknown" if entry.neutral is None else entry.neutral
    said = [
        f"Unit: {entry.unit}",
        *_DIRECTIONS[entry.direction],
        f"missing: {entry.missing}",
        *([f"neutral: {neutral}"] if entry.partner else []),
    ]
    return f"* `{entry.name}`: {entry.description} {', '.join(said)}. *{entry.sentence}*\n"


def _spec(spec: Spec) -> str:
    prose = f"{spec.prose}\n\n" if spec.prose else ""
    return f"\n### {spec.title}\n\n{prose}```text\n{spec.tables}\n```\n"


if __name__ == "__main__":
    print(markdown(CATALOGUE), end="")
