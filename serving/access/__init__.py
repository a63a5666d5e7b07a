"""The subject of access: API keys, sign-in links, sessions, and sign-in through an identity provider."""
