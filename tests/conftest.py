"""What all tests share: a PostgreSQL server for those that want one; and patience.

On a busy machine an example may take long without anything being wrong.
"""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from features.engines.postgres_server import private_server

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    with private_server() as url:
        yield url
