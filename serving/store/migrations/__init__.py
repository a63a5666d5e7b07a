"""Revisions of the store's tables, which Alembic runs; `serving.store.migrating` says how."""
