from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from serving.app import create_app

README = """# The project

See [import](docs/guide.md).

## Read on

### Bring in data

* [Import](docs/guide.md): an export

### Look up

* [Contributing](CONTRIBUTING.md): a file that is no page
"""
GUIDE = """# Import an *export*

Read [the README](../README.md), [rules](rules.md#gates), [a file](../secret.yaml), [a site](https://example.org/)
and [a trap](javascript:alert(1)).

<script>alert(1)</script>

## One & two

| a | b |
|---|---|
| 1 | 2 |
"""


@pytest.fixture
def documented(site: Any, tmp_path: Path) -> Any:
    folder = tmp_path / "project" / "docs"
    folder.mkdir(parents=True)
    (tmp_path / "project" / "README.md").write_text(README)
    (tmp_path / "project" / "secret.md").write_text("# Secret\n")
    (folder / "guide.md").write_text(GUIDE)
    (folder / "rules.md").write_text("Without a heading\n")
    site.service = replace(site.service, docs=folder)
    return site


def test_the_readme_is_where_the_documentation_starts(documented: Any, reader: Any) -> None:
    answer = documented.ask("GET", "/docs")
    assert answer.status_code == 200
    page = reader(answer.text)
    assert "The project" in page.text
    hrefs = page.attributes("a", "href")
    assert {"/docs", "/docs/guide", "/docs/rules"} <= {*hrefs}
    assert hrefs.count("/docs/guide") == 3


def test_a_page_links_to_pages_only_and_takes_html_for_text(documented: Any, reader: Any) -> None:
    answer = documented.ask("GET", "/docs/guide")
    page = reader(answer.text)
    hrefs = {*page.attributes("a", "href")}
    assert {"/docs", "/docs/rules#gates", "https://example.org/"} <= hrefs
    assert not [href for href in hrefs if "secret" in href or href.startswith("javascript")]
    assert "<script>alert(1)</script>" in page.text
    assert "script" not in [tag for tag, _ in page.tags]
    assert page.attributes("h2", "id") == ["one--two"]
    assert "table" in [tag for tag, _ in page.tags]


@pytest.mark.parametrize(
    "name",
    [
        "missing",
        "../secret",
        "..%2Fsecret",
        "%2e%2e/secret",
        "..%2f..%2f..%2fetc%2fpasswd",
        "%2Fetc%2Fpasswd",
        "guide.md",
        "guide%00",
        "docs/guide",
        "",
    ],
)
def test_nothing_but_the_folders_pages_is_served(documented: Any, name: str) -> None:
    answer = documented.ask("GET", f"/docs/{name}")
    assert answer.status_code == 404
    assert "Secret" not in answer.text
    assert "root:" not in answer.text


def test_without_a_folder_there_is_no_documentation(site: Any) -> None:
    assert site.ask("GET", "/docs").status_code == 404
    assert site.ask("GET", "/docs/guide").status_code == 404


def test_the_pages_are_listed_by_task_as_the_readme_lists_them(documented: Any, reader: Any) -> None:
    page = reader(documented.ask("GET", "/docs/rules").text)
    assert page.text.index("Bring in data") < page.text.index("Import an") < page.text.index("More")
    assert "Look up" not in page.text


def test_a_search_finds_the_sections_with_every_word_and_links_to_them(documented: Any, reader: Any) -> None:
    page = reader(documented.ask("GET", "/docs?q=READ+rules").text)
    assert "/docs/guide#import-an-export" in page.attributes("a", "href")
    assert "/docs/guide#one--two" not in page.attributes("a", "href")
    assert "No section holds all of these words." in reader(documented.ask("GET", "/docs?q=read+absent").text).text
    assert "<b>" not in documented.ask("GET", "/docs?q=<b>").text


def test_the_reference_shows_every_operation_with_its_callers(documented: Any, reader: Any) -> None:
    app = create_app(documented.service)

    async def ask() -> str:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://eql.test") as client:
            return (await client.get("/docs/api")).text

    page = reader(anyio.run(ask))
    shown = {*page.attributes("h2", "id")}
    operations = [each for methods in app.openapi()["paths"].values() for each in methods.values()]
    assert {operation["operationId"] for operation in operations} <= shown
    linked = {href.removeprefix("#") for href in page.attributes("a", "href") if href.startswith("#")}
    assert linked <= {*shown, *page.attributes("h3", "id"), "content"}
    assert "Callers: everyone, without a key." in page.text
