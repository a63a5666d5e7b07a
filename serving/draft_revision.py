"""`python -m serving.draft_revision "what changes"` writes the revision that the tables in the code now need.

Read the revision before you commit it: a renamed column looks like a removed one and an added one. Then set `REVISION`
in `serving.store.migrating`.
"""

import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config

from serving.store import database, migrating
from serving.tables import metadata


def draft(message: str, scripts: Path = migrating.SCRIPTS) -> None:
    """Adds a revision to `scripts` that leads from the newest one to the tables in the code."""
    with tempfile.TemporaryDirectory() as folder:
        engine = database.connect(f"sqlite:///{folder}/store.sqlite")
        database.create(engine)
        with engine.begin() as connection:
            config = Config(attributes={"connection": connection, "metadata": metadata})
            config.set_main_option("script_location", str(scripts).replace("%", "%%"))
            number = f"{int(migrating.REVISION) + 1:04}"
            command.revision(config, message, autogenerate=True, rev_id=number)
        engine.dispose()


if __name__ == "__main__":
    draft(" ".join(sys.argv[1:]))
