"""The catalogue as a page of the documentation: `python -m features.catalogue.document > docs/features.md`."""

from itertools import groupby

from features.catalogue import CATALOGUE
from features.catalogue.catalogue import Catalogue
from features.catalogue.entry import Entry
from features.catalogue.specs import CREATED, Spec, of_family

_INTRODUCTION = """\
# Features

This page lists the {count} features of the catalogue by family. The attributes of an import add features of their own
(see [import](import.md)). The page is generated from `features/catalogue/` by `make docs`. It states for each feature

* what the feature measures, and its unit;
* its direction, where a higher value may only raise (+) or only lower (−) the close probability;
* the meaning of a missing value: none (the value is 0) or unknown (the value stays missing);
* for a feature about partners, its neutral value, which `without_partner` takes instead;
* in italics, the sentence that sales reads.

The tables below a family's list are specs: records, and the features that they must give. Every engine is tested on
them. An empty cell is unknown. A record without `recorded_at` was recorded when it happened. A spec without a table of
leads has one lead, `L` of the account `A`, created on {created}.
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
    facts = [
        f"Unit: {entry.unit}",
        *_DIRECTIONS[entry.direction],
        f"missing: {entry.missing}",
        *([f"neutral: {neutral}"] if entry.partner else []),
    ]
    return f"* `{entry.name}`: {entry.description} {', '.join(facts)}. *{entry.sentence}*\n"


def _spec(spec: Spec) -> str:
    prose = f"{spec.prose}\n\n" if spec.prose else ""
    return f"\n### {spec.title}\n\n{prose}```text\n{spec.tables}\n```\n"


if __name__ == "__main__":
    print(markdown(CATALOGUE), end="")
