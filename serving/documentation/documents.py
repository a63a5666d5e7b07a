"""The documentation: the Markdown files of one folder as pages, with links between them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from serving.documentation.search import Hit, Searched, anchor, search

README = "README"


@dataclass(frozen=True)
class Document:
    """A page of the documentation.

    Attributes:
        name: the file's name without its ending.
        title: the first heading.
        address: the address of the page.
        body: the content as HTML.
    """

    name: str
    title: str
    address: str
    body: Markup


@dataclass(frozen=True)
class Group:
    """The pages that serve one task.

    Attributes:
        title: the task; empty for the first page.
        pages: the title and the address of each page.
    """

    title: str
    pages: list[tuple[str, str]]


@dataclass(frozen=True)
class Documents:
    """The documentation in a folder, from the README in the folder or beside it on; without a folder it is empty."""

    folder: Path | None

    def contents(self) -> Mapping[str, Path]:
        """The file of each page by the page's name, the README first."""
        if self.folder is None:
            return {}
        files = {path.stem: path for path in sorted(self.folder.glob("*.md")) if path.is_file()}
        readme = files.pop(README, self.folder.parent / f"{README}.md")
        return ({README: readme} if readme.is_file() else {}) | files

    def groups(self) -> list[Group]:
        """The pages by task: the README, then the groups and the order of its lists of links, then all other pages."""
        contents = self.contents()
        titles = {name: _title(path.read_text("utf-8"), name) for name, path in contents.items()}
        listed = _listed(contents[README].read_text("utf-8"), contents) if README in contents else {}
        named = {name for names in listed.values() for name in names}
        first, rest = [name for name in titles if name == README], [n for n in titles if n not in {*named, README}]
        groups = {"": first, **listed, "More": rest}
        return [
            Group(title, [(titles[name], _address(name)) for name in names]) for title, names in groups.items() if names
        ]

    def search(self, words: str) -> list[Hit]:
        """The first sections that hold every one of the words, in the order of the pages."""
        texts = {name: path.read_text("utf-8") for name, path in self.contents().items()}
        pages = (Searched(_title(text, name), _address(name), text) for name, text in texts.items())
        return search(pages, words)

    def page(self, name: str) -> Document | None:
        """The page with this name; None where no file of the folder has it."""
        contents = self.contents()
        if name not in contents:
            return None
        text = contents[name].read_text("utf-8")
        return Document(name, _title(text, name), _address(name), _html(text, contents))

    def picture(self, name: str) -> bytes | None:
        """The PNG with this name in the folder; None where there is none."""
        files = () if self.folder is None else self.folder.glob("*.png")
        file = {path.name: path for path in files if path.is_file()}.get(name)
        return None if file is None else file.read_bytes()


def _address(name: str) -> str:
    return "/docs" if name == README else f"/docs/{name}"


def _title(text: str, name: str) -> str:
    heading = re.search(r"^# +(.+)$", text, re.MULTILINE)
    return heading[1].strip() if heading else name.replace("-", " ").capitalize()


def _listed(text: str, contents: Mapping[str, Path]) -> dict[str, list[str]]:
    """The pages that the first links of list items name, under the third-level headings of a text."""
    groups: dict[str, list[str]] = {}
    title = ""
    for line in text.splitlines():
        if line.startswith("#"):
            title = line.removeprefix("### ") if line.startswith("### ") else ""
        link = re.match(r"\* \[[^\]]*\]\(([^)#]+)\.md", line)
        name = link and PurePosixPath(link[1]).name
        if title and name in contents:
            groups.setdefault(title, []).append(str(name))
    return groups


def _html(text: str, contents: Mapping[str, Path]) -> Markup:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            opening.attrSet("id", anchor(inline.content))
    for token in tokens:
        _link(token.children or [], contents)
    # The renderer escapes all text, and raw HTML is off.
    return Markup(parser.renderer.render(tokens, parser.options, {}))  # noqa: S704


def _link(tokens: list[Token], contents: Mapping[str, Path]) -> None:
    """Rewrites the addresses of links and pictures; a link to a file that is no page becomes plain text."""
    for token in tokens:
        if token.type == "link_open":
            href = _target(str(token.attrGet("href")), contents)
            token.attrs = {} if href is None else {"href": href}
        elif token.type == "image":
            token.attrs = {**token.attrs, "src": f"/docs/{PurePosixPath(str(token.attrGet('src'))).name}"}


def _target(href: str, contents: Mapping[str, Path]) -> str | None:
    parts = urlsplit(href)
    if parts.scheme or parts.netloc or not parts.path:
        return href
    path = PurePosixPath(parts.path)
    if path.suffix != ".md" or path.stem not in contents:
        return href if parts.path.startswith("/") else None
    return _address(path.stem) + (f"#{parts.fragment}" if parts.fragment else "")
