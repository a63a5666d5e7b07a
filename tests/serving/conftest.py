from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from sqlalchemy import Engine

from serving.store.database import connect, create

# An example may wait for the disk, or for another test's processor.
settings.register_profile("serving", deadline=None)
settings.load_profile("serving")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Engine]:
    engine = connect(f"sqlite:///{tmp_path / 'store.sqlite'}")
    create(engine)
    yield engine
    engine.dispose()
