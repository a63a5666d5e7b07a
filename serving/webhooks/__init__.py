"""Webhooks out, by Standard Webhooks: signed, tried again, and never to an address inside."""
