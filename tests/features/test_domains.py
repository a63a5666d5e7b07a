"""What a text names as a domain, and which domains name no company."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.domains import FREE_MAIL, InvalidDomain, registrable, site

LABELS = st.from_regex(r"[a-z]([a-z0-9]{0,10}[a-z0-9])?", fullmatch=True)
SUFFIXES = st.sampled_from(["com", "co.uk", "de", "com.br", "example", "uk.com"])


@given(LABELS.map(lambda label: f"company{label}"), SUFFIXES, st.lists(LABELS, max_size=2))
def test_every_way_to_write_a_site_names_its_registrable_domain(label: str, suffix: str, below: list[str]) -> None:
    domain = f"{label}.{suffix}"
    host = ".".join([*below, domain])
    for written in (
        host,
        f"  {host.upper()} ",
        f"www.{host}",
        f"https://{host}/a/b?c=d@e#f",
        f"//{host}:8080",
        f"someone@{host}",
        f"mailto:someone@{host}",
        f"http://user:secret@{host}.",
    ):
        assert registrable(written) == domain
    assert registrable(registrable(host)) == domain


@given(
    st.sampled_from(["münchen", "bücher", "日本", "straße", "παράδειγμα"]), st.sampled_from(["de", "com", "example"])
)
def test_a_name_and_its_punycode_are_one(label: str, suffix: str) -> None:
    ascii_form = registrable(f"{label}.{suffix}")
    assert ascii_form.isascii()
    assert registrable(ascii_form.upper()) == ascii_form
    assert registrable(f"https://www.{label.upper()}.{suffix}/") in (
        ascii_form,
        registrable(f"{label.upper()}.{suffix}"),
    )


@given(st.text(max_size=40))
def test_any_text_is_a_domain_or_refused(text: str) -> None:
    try:
        found = site(text)
    except InvalidDomain:
        return
    assert site(found.domain).domain == found.domain


@pytest.mark.parametrize(
    "text",
    ["", "n/a", "-", "acme", "acme.com, acme.de", "acme inc.com", "co.uk", "acme.con", "10.0.0.1", "http://[::1]/",
     "-acme.com", f"{'a' * 64}.com", "xn--a.de", "acme..com", "localhost"],
)  # fmt: skip
def test_rubbish_is_refused(text: str) -> None:
    with pytest.raises(InvalidDomain, match="must "):
        site(text)


@pytest.mark.parametrize(
    ("text", "domain", "why"),
    [
        ("jane@gmail.com", "gmail.com", "free mail"),
        ("mail.yahoo.co.uk", "yahoo.co.uk", "free mail"),
        ("ogilvy.com", "ogilvy.com", "agency"),
        ("https://linktr.ee/acme", "linktr.ee", "hub"),
        ("https://sites.google.com/view/acme", "google.com", "hub"),
        ("www.linkedin.com/company/acme", "linkedin.com", "social"),
        ("acme.wordpress.com", "wordpress.com", "site builder"),
        ("acme.github.io", "github.io", "hosting"),
        ("acme.myshopify.com", "myshopify.com", "hosting"),
        ("myshopify.com", "myshopify.com", "hosting"),
        ("acme.amazonaws.com", "amazonaws.com", "hosting"),
    ],
)
def test_what_stands_for_many_companies_says_why(text: str, domain: str, why: str) -> None:
    found = site(text)
    assert (found.domain, found.shared) == (domain, why)


@pytest.mark.parametrize("text", ["google.com", "mail.acme.com", "acme.uk.com", "gmail.com.acme.com", "notgmail.com"])
def test_a_companys_own_domain_is_not_shared(text: str) -> None:
    assert site(text).shared is None


def test_free_mail_is_of_registrable_domains() -> None:
    assert all(site(domain).domain == domain and site(domain).shared == "free mail" for domain in FREE_MAIL)
