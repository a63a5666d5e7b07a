"""The composition root: settings to working parts. Nothing else reads the clock, randomness or the environment."""

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from opentelemetry.sdk.trace import TracerProvider
from sqlalchemy import Connection, Engine

from app.settings import Settings
from features.catalogue import CATALOGUE
from features.provenance import Provenance
from features.records import Stored
from features.value_types import microseconds
from models.bundle import Bundle
from models.policy import Policy, load
from serving.access.oidc import RelyingParty
from serving.champion import bundles
from serving.champion.watcher import ModelWatcher
from serving.http.telemetry import exported
from serving.http.token_bucket import RateLimit
from serving.records import export, provenance, versions
from serving.records.partner_history_job import derive_partner_history
from serving.service import Service
from serving.shadow.shadow import Shadow
from serving.store import database

if TYPE_CHECKING:
    from training.promotion.registry import Registry


_ANSWERS_WITHIN = 5
"""Seconds."""


class UnreachableRegistry(ValueError):
    """The MLflow server does not answer; the message says the mend."""


class UnusableHome(ValueError):
    """The folder of all data cannot be made or written; the message says why and what mends it."""


def now() -> int:
    """Microseconds now."""
    return microseconds(datetime.now(UTC))


def _reach(tracking_uri: str) -> None:
    """Sees that an MLflow server answers at all, for its client tries for minutes and then tells in its own words.

    Raises:
        UnreachableRegistry: it does not.
    """
    if not tracking_uri.startswith(("http://", "https://")):
        return
    try:
        httpx.get(f"{tracking_uri.rstrip('/')}/health", timeout=_ANSWERS_WITHIN)
    except (httpx.TransportError, httpx.InvalidURL):
        server = tracking_uri.rpartition("@")[2]
        raise UnreachableRegistry(
            f"the MLflow server {server} does not answer; see that it runs, or correct EQL_MLFLOW_URI"
        ) from None


def unusable(home: Path, error: OSError) -> UnusableHome:
    """That the folder of all data cannot be used for what the system said."""
    return UnusableHome(
        f"the folder {home} cannot be written ({error.strerror}); let this user write there, or correct EQL_HOME"
    )


@dataclass(frozen=True)
class Wiring:
    """Everything a command works with, made when first asked for.

    Attributes:
        settings: the environment's.
    """

    settings: Settings

    def home(self) -> Path:
        """The folder of all data, made where it is not there yet.

        Raises:
            UnusableHome: it cannot be made.
        """
        home = self.settings.home.absolute()
        try:
            home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unusable(home, error) from None
        return home

    @cached_property
    def engine(self) -> Engine:
        """The store, created where it is not there yet."""
        self.home()
        engine = database.connect(self.settings.store_url)
        database.create(engine)
        return engine

    @cached_property
    def policy(self) -> Policy:
        """The policy, checked against the catalogue."""
        return load(self.settings.policy, CATALOGUE)

    @cached_property
    def service(self) -> Service:
        """What the API and the pages work with."""
        challenger = ModelWatcher(self.engine, CATALOGUE, self.policy, now, bundles.CHALLENGER)
        docs = Path(__file__).parent.parent / "docs"
        return Service(
            engine=self.engine,
            champion=ModelWatcher(self.engine, CATALOGUE, self.policy, now),
            clock=now,
            tokens=secrets.token_bytes,
            docs=docs if docs.is_dir() else None,
            exploration=self.settings.exploration,
            webhook_hosts=self.settings.webhook_hosts,
            shadow=Shadow(self.engine, challenger, now),
            sign_in=self._sign_in(),
            rate_limit=RateLimit(self.settings.rate_limit) if self.settings.rate_limit else None,
            retention=self.settings.retention,
            traces=self._traces(),
        )

    def _sign_in(self) -> RelyingParty | None:
        provider = self.settings.provider
        return None if provider is None else RelyingParty(provider=provider, http=httpx.Client(timeout=5), clock=now)

    def _traces(self) -> TracerProvider | None:
        endpoint = self.settings.otlp_endpoint
        return None if endpoint is None else exported(endpoint)

    @cached_property
    def registry(self) -> "Registry":
        """The MLflow registry. Imported here because that takes seconds and serving must do without it."""
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        _reach(self.settings.tracking_uri)
        from training.promotion.registry import Registry

        if self.settings.artifacts is not None:
            self.settings.artifacts.mkdir(parents=True, exist_ok=True)
        return Registry(self.settings.tracking_uri, self.settings.artifacts)

    @contextmanager
    def records(self) -> Iterator[Path]:
        """The store's records as a folder, for as long as the block runs."""
        with tempfile.TemporaryDirectory(dir=self.home(), prefix="export-") as name:
            folder = Path(name) / "records"
            with database.reading(self.engine) as connection:
                known = provenance.read(connection)
                export.export(connection, folder, replace(known, cut=self._cut(connection, known)))
            yield folder

    def _cut(self, connection: Connection, known: Provenance) -> int:
        """The data cut: that of what was imported, or of what came in live since."""
        return now() if known.cut is None else max(known.cut, versions.last_recorded(connection))

    def close(self) -> None:
        """Close the store's connections, if it was opened."""
        if "engine" in vars(self):
            self.engine.dispose()

    def add(self, stored: list[Stored], known: Provenance) -> None:
        """Add imported records and what is known of them, all or nothing; then derive the partners' history anew."""
        with self.engine.begin() as connection:
            provenance.add(connection, known)
            versions.add(connection, stored)
            derive_partner_history(connection)

    def publish(self, bundle: Bundle, version: str, actor: str, reason: str, alias: str = bundles.CHAMPION) -> None:
        """Hand a bundle to serving as its champion, or under another alias."""
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
                alias=alias,
            )
