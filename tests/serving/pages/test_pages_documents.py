from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

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
    (tmp_path / "project" / "README.md").write_text("# The project\n\nSee [import](docs/guide.md).\n")
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
    assert hrefs.count("/docs/guide") == 2


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
