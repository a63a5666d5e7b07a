"""The settings of an identity provider: complete and safe, or refused by name; none is fine."""

import pytest

from app.settings import InvalidSetting, read

COMPLETE = {
    "EQL_PUBLIC_URL": "https://eql.example.org",
    "EQL_OIDC_ISSUER": "https://id.example.org",
    "EQL_OIDC_CLIENT_ID": "eql",
    "EQL_OIDC_CLIENT_SECRET": "secret-canary",
    "EQL_OIDC_ROLES": '{"sales-team": "sales"}',
}


def provider(monkeypatch: pytest.MonkeyPatch, **changes: str | None):
    for name, value in (COMPLETE | changes).items():
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    return read().provider


def test_a_complete_one_is_taken_and_none_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    found = provider(monkeypatch)
    assert found.roles == {"sales-team": "sales"}
    assert found.redirect_uri == "https://eql.example.org/sign-in/oidc/callback"
    assert provider(monkeypatch, **dict.fromkeys(COMPLETE)) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EQL_PUBLIC_URL", None),
        ("EQL_OIDC_CLIENT_ID", None),
        ("EQL_OIDC_ROLES", None),
        ("EQL_OIDC_ROLES", "sales-team=sales"),
        ("EQL_OIDC_ROLES", '{"sales-team": "root"}'),
        ("EQL_OIDC_ISSUER", "http://id.example.org"),
    ],
)
def test_what_is_missing_or_not_safe_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str | None) -> None:
    with pytest.raises(InvalidSetting, match=name) as refused:
        provider(monkeypatch, **{name: value})
    assert "secret-canary" not in str(refused.value)
