from hypothesis import given
from hypothesis import strategies as st

from operations.csv_text import guarded, guarded_rows, unguarded


@given(st.text(st.sampled_from("'=+-@\t\ra1 "), max_size=6) | st.text())
def test_an_import_reads_what_was_written_and_no_spreadsheet_runs_it(text: str) -> None:
    written = guarded(text)
    assert isinstance(written, str)
    assert unguarded(written) == text
    assert not written.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_numbers_and_plain_texts_stay() -> None:
    row = [-3, -1.5, None, True, "Acme", "'s-Hertogenbosch", "a=b", ""]
    assert [*guarded_rows([row])] == [row]
