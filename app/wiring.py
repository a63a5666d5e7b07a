"""The composition root: it builds the parts from the settings, and alone reads the clock, randomness, environment.

A part's libraries are imported where the part is built: a command pays for the parts that it uses.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from app.scratch import scratch_folder
from app.settings import Settings
from features.value_types import microseconds
from serving.store import database

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from sqlalchemy import Connection, Engine

    from features.provenance import Provenance
    from features.records import Stored
    from models.bundle import Bundle
    from models.policy import Policy
    from serving.access.oidc import RelyingParty
    from serving.identity import TokenSource
    from serving.records.reimport import Reimported
    from serving.service import Service
    from training.promotion.registry import Registry
    from training.promotion.versions import Listing


_ROOT = Path(__file__).parent.parent
_DOCS = (_ROOT / "serving" / "documentation" / "docs", _ROOT / "docs")
"""The folder of the documentation: in an installed wheel, and in a checkout."""
_MLFLOW_TIMEOUT = 5
"""Seconds that an MLflow server has to answer."""


class UnreachableRegistry(ValueError):
    """The MLflow server does not answer; the message names the server and the fix."""


class NoStore(ValueError):
    """The folder of all data holds no store; the message names the folder and what creates one."""


class UnusableHome(ValueError):
    """The folder of all data cannot be created or written; the message names the reason and the fix."""


def now() -> int:
    """The present moment, microseconds."""
    return microseconds(datetime.now(UTC))


def _check_reachable(tracking_uri: str) -> None:
    """Checks that an MLflow server answers. MLflow's own client retries for minutes and then fails without a fix.

    Raises:
        UnreachableRegistry: the server does not answer.
    """
    if not tracking_uri.startswith(("http://", "https://")):
        return
    import httpx

    try:
        httpx.get(f"{tracking_uri.rstrip('/')}/health", timeout=_MLFLOW_TIMEOUT)
    except (httpx.TransportError, httpx.InvalidURL):
        server = tracking_uri.rpartition("@")[2]
        raise UnreachableRegistry(
            f"the MLflow server {server} does not answer; start it, or correct EQL_MLFLOW_URI"
        ) from None


def unusable_home(home: Path, error: OSError) -> UnusableHome:
    """The error of a folder of all data that the operating system refused."""
    return UnusableHome(
        f"the folder {home} cannot be written ({error.strerror}); give this user write access, or correct EQL_HOME"
    )


def _keep_private(home: Path) -> None:
    """Lets only its owner look into the home. A folder of another owner is left to that one."""
    if home.stat().st_mode & 0o077:
        with suppress(PermissionError):
            home.chmod(0o700)


@dataclass(frozen=True)
class Wiring:
    """The parts that commands work with. Each part is built at its first use.

    Attributes:
        settings: the settings of the environment.
        tokens: gives unpredictable bytes.
        creates: whether a home is made where there is none.
    """

    settings: Settings
    tokens: "TokenSource" = secrets.token_bytes
    creates: bool = True

    def home(self) -> Path:
        """The folder of all data, created if it does not exist and may be.

        Raises:
            NoStore: the folder holds no store, and this run may not create one.
            UnusableHome: the folder cannot be created.
        """
        home, file = self.settings.home.absolute(), self.settings.store_file
        if file is not None and not self.creates and not file.exists():
            raise NoStore(
                f"the home {home} holds no store; correct EQL_HOME, or create one with `eql up`, `eql serve` or "
                "`eql import`"
            )
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            _keep_private(home)
        except OSError as error:
            raise unusable_home(home, error) from None
        return home

    @cached_property
    def engine(self) -> "Engine":
        """The engine of the store; the tables are created if they do not exist."""
        self.home()
        engine = database.connect(self.settings.store_url)
        database.create(engine)
        return engine

    @cached_property
    def policy(self) -> "Policy":
        """The policy, checked against the catalogue."""
        from features.catalogue import CATALOGUE
        from models.policy import load

        return load(self.settings.policy, CATALOGUE)

    @cached_property
    def service(self) -> "Service":
        """The parts that the API and the pages work with."""
        from features.catalogue import CATALOGUE
        from serving.champion import bundles
        from serving.champion.watcher import ModelWatcher
        from serving.http.token_bucket import RateLimit
        from serving.service import Service
        from serving.shadow.shadow import Shadow

        challenger = ModelWatcher(self.engine, CATALOGUE, self.policy, now, bundles.CHALLENGER)
        return Service(
            engine=self.engine,
            champion=ModelWatcher(self.engine, CATALOGUE, self.policy, now),
            clock=now,
            tokens=self.tokens,
            docs=next((folder for folder in _DOCS if folder.is_dir()), None),
            exploration=self.settings.exploration,
            webhook_hosts=self.settings.webhook_hosts,
            shadow=Shadow(self.engine, challenger, now),
            sign_in=self._sign_in(),
            rate_limit=RateLimit(self.settings.rate_limit) if self.settings.rate_limit else None,
            retention=self.settings.retention,
            traces=self._traces(),
        )

    def _sign_in(self) -> "RelyingParty | None":
        provider = self.settings.provider
        if provider is None:
            return None
        import httpx

        from serving.access import oidc

        return oidc.RelyingParty(provider=provider, http=httpx.AsyncClient(timeout=oidc.DEADLINE), clock=now)

    def _traces(self) -> "TracerProvider | None":
        endpoint = self.settings.otlp_endpoint
        if endpoint is None:
            return None
        from serving.http.telemetry import exported

        return exported(endpoint)

    @cached_property
    def registry(self) -> "Registry":
        """The MLflow registry. The import takes seconds and serving has no need of it, so it comes here."""
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        self.home()
        _check_reachable(self.settings.tracking_uri)
        from training.promotion.registry import Registry
        from training.promotion.versions import relocate

        if self.settings.artifacts is not None:
            self.settings.artifacts.mkdir(parents=True, exist_ok=True)
            relocate(self.settings.tracking_uri, self.settings.artifacts)
        return Registry(self.settings.tracking_uri, self.settings.artifacts)

    @property
    def listing(self) -> "Listing":
        """The versions in the MLflow registry and the changes of its aliases."""
        from training.promotion.versions import Listing, read_sqlite

        self.home()
        known = read_sqlite(self.settings.tracking_uri)
        return Listing(self.registry.versions(), self.registry.history()) if known is None else known

    @contextmanager
    def records(self) -> Iterator[Path]:
        """The store's records as a folder, which is deleted after the block."""
        from serving.records import delivery, export, provenance

        with scratch_folder(self.home(), "export-") as parent:
            folder = parent / "records"
            with database.reading(self.engine) as connection:
                stored = delivery.with_recorded(connection, provenance.read(connection))
                export.export(connection, folder, replace(stored, cut=self._cut(connection, stored)))
            yield folder

    def _cut(self, connection: "Connection", stored: "Provenance") -> int:
        """The data cut: that of the import, or the last recording since; without an import the present moment."""
        from serving.records import versions

        return now() if stored.cut is None else max(stored.cut, versions.last_recorded(connection))

    def close(self) -> None:
        """Closes the connections to the store, if there are any."""
        if "engine" in vars(self):
            self.engine.dispose()

    def add(self, records: "list[Stored]", source: "Provenance", *, recorded: bool) -> "Reimported":
        """Adds imported records and their provenance in one transaction, and derives the partner history again.

        Of records that the store holds already, only changes are added. `recorded` tells whether the records say
        themselves when they were recorded.
        """
        from serving.records import closes, provenance, reimport, versions
        from serving.records.partner_history_job import derive_partner_history

        with self.engine.begin() as connection:
            provenance.add(connection, source)
            added, counts = reimport.compared(connection, records, source.cut, recorded=recorded)
            versions.add(connection, added)
            ended = closes.leads_of(connection, (record.id for record in added if record.kind.name == "lead_events"))
            closes.refresh(connection, ended, now())
            derive_partner_history(connection)
        return counts

    def publish(self, bundle: "Bundle", version: str, actor: str, reason: str, alias: str | None = None) -> None:
        """Publishes a bundle to the store, by default as the champion that the service loads."""
        from serving.champion import bundles

        with self.engine.begin() as connection:
            bundles.publish(
                connection,
                bundle.files,
                name=bundle.name,
                version=version,
                sha256=bundle.sha256,
                actor=actor,
                reason=reason,
                at=now(),
                alias=alias or bundles.CHAMPION,
            )
