"""The search in the documentation: the sections of Markdown pages that hold every word of a query."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

MAX_HITS = 50
"""Sections that one search shows at most."""


@dataclass(frozen=True)
class Searched:
    """A page that is searched: its title, its address and its Markdown text."""

    title: str
    address: str
    text: str


@dataclass(frozen=True)
class Hit:
    """A section that a search found.

    Attributes:
        page: the title of its page.
        heading: the heading of the section.
        address: the address of the section.
        excerpt: the first line of the section that holds one of the words.
    """

    page: str
    heading: str
    address: str
    excerpt: str


def search(pages: Iterable[Searched], words: str) -> list[Hit]:
    """The first `MAX_HITS` sections that hold every one of the words, whatever their case."""
    wanted = words.casefold().split()
    if not wanted:
        return []
    return list(islice((hit for page in pages for hit in _hits(page, wanted)), MAX_HITS))


def anchor(heading: str) -> str:
    """The id of a heading on its page."""
    return re.sub(r"[^\w-]", "", heading.strip().lower().replace(" ", "-"))


def _hits(page: Searched, wanted: Sequence[str]) -> Iterator[Hit]:
    """The sections of a page that hold every wanted word; the words are casefolded."""
    for heading, lines in _sections(page.text):
        folded = "\n".join((heading, *lines)).casefold()
        if all(word in folded for word in wanted):
            excerpt = next((line for line in lines if any(word in line.casefold() for word in wanted)), "")
            yield Hit(page.title, heading, f"{page.address}#{anchor(heading)}", excerpt.strip(" |*#`"))


def _sections(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each heading of a text with the lines below it; lines of code are no headings."""
    heading, lines, fenced = "", list[str](), False
    for line in text.splitlines():
        fenced ^= line.startswith("```")
        if line.startswith("#") and not fenced:
            yield heading, lines
            heading, lines = line.lstrip("# ").strip(), []
        else:
            lines.append(line)
    yield heading, lines
