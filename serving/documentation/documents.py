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

    def addresses(self) -> list[tuple[str, str]]:
        """The title and the address of each page."""
        return [(_title(path.read_text("utf-8"), name), _address(name)) for name, path in self.contents().items()]

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


def _html(text: str, contents: Mapping[str, Path]) -> Markup:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            opening.attrSet("id", _anchor(inline.content))
    for token in tokens:
        _link(token.children or [], contents)
    # The renderer escapes all text, and raw HTML is off.
    return Markup(parser.renderer.render(tokens, parser.options, {}))  # noqa: S704


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w-]", "", heading.strip().lower().replace(" ", "-"))


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
