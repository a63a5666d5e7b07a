"""The script that Alembic runs: it applies revisions in the transaction of the connection that it is handed.

The tables in the code are handed over only where a revision is drafted (`serving.draft_revision`).
"""

from alembic import context

from serving.store.migrating import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=context.config.attributes.get("metadata"),
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
context.run_migrations()
