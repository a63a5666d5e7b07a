"""What Alembic runs: the revisions wanted, in the transaction of the connection it is handed."""

from alembic import context

from serving.store.migrating import VERSION_TABLE
from serving.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
context.run_migrations()
