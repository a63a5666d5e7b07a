"""The address of the service that runs with a home: a file in the home, which the service locks while it runs.

A service that is killed leaves its file behind. The system releases the lock, so the file is then known to be stale.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TextIO

_NAME = "eql.address"
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104, nothing is bound here


def site(host: str, port: int) -> str:
    """The URL of a service that listens at a host, as this machine reaches it."""
    reached = _ANY_ADDRESS.get(host, host)
    return f"http://{f'[{reached}]' if ':' in reached else reached}:{port}"


@contextmanager
def announced(home: Path, url: str) -> Iterator[None]:
    """Keeps the URL of a service in its home while the block runs. Of several services of one home, the first does so.

    A home that cannot be written or locked holds no address; the service needs none.
    """
    file = _announcement(home, url)
    try:
        yield
    finally:
        if file is not None:
            (home / _NAME).unlink(missing_ok=True)
            file.close()


def _announcement(home: Path, url: str) -> TextIO | None:
    """The file with the URL, locked until it is closed; None where another service has it, or none can be written."""
    with ExitStack() as opened, suppress(OSError):
        file = opened.enter_context(os.fdopen(os.open(home / _NAME, os.O_RDWR | os.O_CREAT, 0o600), "r+"))
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.truncate()
        print(url, file=file, flush=True)
        opened.pop_all()
        return file
    return None


def of_running_service(home: Path) -> str | None:
    """The URL of the service that runs with a home; None where none runs."""
    try:
        with (home / _NAME).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return (home / _NAME).read_text().strip() or None
    except OSError:
        pass
    return None
