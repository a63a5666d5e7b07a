"""The champion in service: watched in the store, verified, swapped, and kept when a new one cannot be trusted."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

from sqlalchemy import Engine

from features.catalogue.catalogue import Catalogue
from models.bundle import UntrustedBundle, read
from models.decision import Scorer, Served
from models.policy import Policy
from serving.store import bundles
from serving.store.database import reading

_LOG = logging.getLogger(__name__)
CHECK_EVERY = 1_000_000
"""Microseconds between two looks at the store."""


@dataclass
class Champion:
    """The scorer to decide with, renewed when the store's champion changes.

    Attributes:
        engine: the store's.
        catalogue: the base catalogue.
        policy: the rules.
        clock: microseconds now.
        fault: why the store's champion is not the one serving, None while it is.
    """

    engine: Engine
    catalogue: Catalogue
    policy: Policy
    clock: Callable[[], int]
    fault: str | None = None
    _seen: str | None = None
    _checked: int | None = None
    _scorer: Scorer | None = None
    _lock: Lock = field(default_factory=Lock)

    def scorer(self) -> Scorer:
        """The scorer with the champion, or with the last one that could be trusted, or without a model."""
        with self._lock:
            now = self.clock()
            if self._scorer is None or self._checked is None or now - self._checked >= CHECK_EVERY:
                self._renew()
                self._checked = now
            return self._scorer or Scorer(self.catalogue, self.policy, None)

    def _renew(self) -> None:
        with reading(self.engine) as connection:
            appointed = bundles.current(connection)
            if appointed is None or appointed.sha256 == self._seen:
                return
            files = bundles.files(connection, appointed.sha256)
        self._seen = appointed.sha256
        try:
            bundle = read(files)
            if bundle.sha256 != appointed.sha256:
                raise UntrustedBundle("the bundle in the store is not the one that was promoted")
            self._scorer = Scorer(bundle.catalogue(self.catalogue), self.policy, Served(bundle, appointed.version))
            self.fault = None
        except Exception as error:  # whatever is wrong with the new one, the old one serves on
            why = str(error) if isinstance(error, UntrustedBundle) else type(error).__name__
            self.fault = f"version {appointed.version} cannot be served: {why}"
            _LOG.error("%s", self.fault)
