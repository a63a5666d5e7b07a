"""The folding of texts: one form for every spelling, and the form of a form is itself."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.folding import fold, folded_list, folded_text

texts = st.text(st.characters(exclude_characters="\0|", exclude_categories=["Cs"]), max_size=12)


@given(texts, st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]), st.sampled_from(["", " ", "\u00a0", "\t\n"]))
def test_a_text_folds_alike_in_every_form_of_unicode_and_between_blanks(text: str, form: str, blank: str) -> None:
    other = f"{blank}{unicodedata.normalize(form, text)}{blank}"  # type: ignore[arg-type]
    assert fold(other) == fold(text) == fold(fold(text))


@pytest.mark.parametrize("letter", [chr(code) for code in range(0x250)])
def test_a_letter_folds_alike_in_both_cases(letter: str) -> None:
    # The dotless ı of Turkish is another letter than i, although both have the upper case I.
    assert fold(letter.upper()) == fold(letter) or letter == "ı"


def test_a_blank_text_is_unknown() -> None:
    assert [folded_text(text) for text in ("", " ", "\u3000", " x ")] == [None, None, None, "x"]


@given(st.lists(texts, max_size=5))
def test_a_list_is_folded_item_by_item(items: list[str]) -> None:
    """A wide bar is no separator, and a blank item is none."""
    written = f"|{'|'.join(items)}|"
    wanted = [item for item in (fold(text).replace("|", " ") for text in items) if item.strip()]
    assert folded_list(written) == f"|{'|'.join(wanted)}|"


def test_the_bar_that_unicode_maps_to_the_separator_splits_no_item() -> None:
    assert folded_list("|a\N{FULLWIDTH VERTICAL LINE}b|C |") == "|a b|c|"
