from pathlib import Path

from app import console
from tests.app.conftest import Eql


def test_a_cell_is_text_and_no_markup_or_command_of_a_terminal() -> None:
    shown = console.table("[/]", ["id"], [["[/]"], ["[red]x[/red]"], ["a\x1b[2Jb\r\nc"], ["\u202egnp.exe"]])
    for text in ("[/]", "[red]x[/red]", "a\\x1b[2Jb\\r\\nc", "\\u202egnp.exe"):
        assert text in shown
    assert "\x1b" not in shown


def test_a_partner_of_any_name_can_have_its_keys_listed(run_eql: Eql, trained_home: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    run_eql(trained_home, "backup", home / "eql.sqlite")
    assert run_eql(home, "keys", "create", "--role", "partner", "--partner", "[/]").returncode == 0
    listed = run_eql(home, "keys", "list")
    assert listed.returncode == 0
    assert "[/]" in listed.stdout


def test_an_error_shows_no_command_of_a_terminal(run_eql: Eql, trained_home: Path) -> None:
    done = run_eql(trained_home, "overlap", "wrong", "a\x1b[2Jb")
    assert done.returncode == 1
    assert "\x1b[2J" not in done.stderr
