"""The subject of webhooks: signed events are sent to receivers on the internet, and retried (Standard Webhooks)."""
