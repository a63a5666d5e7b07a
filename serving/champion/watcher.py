"""The model watcher: it loads the model that an alias names, tries it, and replaces the model in service.

One request's thread asks the store once a second. While that thread reads and tries a new bundle, the other requests
decide with the model before. Where a new bundle cannot be trusted, the model before stays in service. The policy is
read at the start, so a changed policy serves after a restart.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import Lock

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from features.catalogue.catalogue import Catalogue
from features.engines.python import Facts, evaluate
from features.records import KINDS, PARTNER_HISTORY
from models.bundle import Bundle, UntrustedBundle, read
from models.policy import Policy
from models.scorer import Scorer, ServedModel
from serving.champion import bundles
from serving.champion.bundles import AliasChange
from serving.store.database import reading

_LOG = logging.getLogger(__name__)
CHECK_EVERY = 1_000_000
"""Microseconds between two looks at the store."""
_TRIAL = "tried"
"""The id of the leads that a new model is tried on."""


@dataclass
class ModelWatcher:
    """The scorer to decide with, renewed when the store's alias names another bundle.

    Attributes:
        engine: the store's.
        catalogue: the base catalogue.
        policy: the rules.
        clock: the current time in microseconds.
        alias: the alias that is watched: champion, or challenger for the shadow.
        error: why the aliased bundle is not in service; None while it is.
    """

    engine: Engine
    catalogue: Catalogue
    policy: Policy
    clock: Callable[[], int]
    alias: str = bundles.CHAMPION
    error: str | None = None
    _seen: int | None = None
    _checked: int | None = None
    _scorer: Scorer | None = None
    _renewing: Lock = field(default_factory=Lock)

    def scorer(self) -> Scorer:
        """The scorer with the aliased model, or with the last one that could be trusted, or without a model.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the store cannot be read, and could not be read before.
        """
        # The first request waits for the lock: without a look at the store it is not known whether there is a model.
        if self._due() and self._renewing.acquire(blocking=self._scorer is None):
            try:
                if self._due():
                    self._check()
            finally:
                self._renewing.release()
        return self._scorer or self._without_model()

    def _due(self) -> bool:
        checked = self._checked
        return self._scorer is None or checked is None or self.clock() - checked >= CHECK_EVERY

    def _check(self) -> None:
        try:
            self._renew()
        except SQLAlchemyError as error:
            if self._scorer is None:
                raise
            # A score of facts in the request needs no store, so it must not fail for this.
            _LOG.warning("the store could not be asked for its %s: %s", self.alias, type(error).__name__)
        self._checked = self.clock()

    def _renew(self) -> None:
        with reading(self.engine) as connection:
            change = bundles.current(connection, self.alias)
            if change is None:
                self._scorer, self._seen, self.error = self._without_model(), None, None
            if change is None or change.number == self._seen:
                return
            try:
                files = bundles.files(connection, change.sha256)
            except (UntrustedBundle, bundles.UnknownBundle) as error:
                self._refuse(change, error)
                return
        try:
            self._scorer = self._tried(read(files), change)
        except Exception as error:  # whatever is wrong with the new bundle, the model before serves on
            self._refuse(change, error)
        else:
            self._seen, self.error = change.number, None

    def _tried(self, bundle: Bundle, change: AliasChange) -> Scorer:
        """A scorer with the bundle, after it decided on trial leads and on the golden rows.

        Raises:
            Exception: the scorer could not decide.
        """
        if bundle.sha256 != change.sha256:
            raise UntrustedBundle("the bundle in the store is not the one that was promoted")
        scorer = Scorer(bundle.catalogue(self.catalogue), self.policy, ServedModel(bundle, change.version))
        leads = [evaluate(scorer.catalogue, facts, change.at) for facts in _trial_leads(bundle, change.at)]
        golden = [replace(leads[0], features={**leads[0].features, **row}) for row, _ in bundle.golden]
        scorer.decide_all([(_TRIAL, change.at, evaluation) for evaluation in (*leads, *golden)])
        return scorer

    def _refuse(self, change: AliasChange, error: Exception) -> None:
        self._seen = change.number
        self._scorer = self._scorer or self._without_model()
        reason = str(error) if isinstance(error, UntrustedBundle) else type(error).__name__
        self.error = f"version {change.version} cannot be served: {reason}"
        _LOG.error("%s: %s", self.alias, self.error)

    def _without_model(self) -> Scorer:
        return Scorer(self.catalogue, self.policy, None)


def _trial_leads(bundle: Bundle, at: int) -> list[Facts]:
    """A lead without any facts, and one of each partner whose history the bundle brings."""
    partners = {str(row[PARTNER_HISTORY.id]) for row in bundle.history.get(PARTNER_HISTORY.name, ())}
    empty = {column.name: None for column in KINDS["leads"].columns}
    known = {"lead_id": _TRIAL, "occurred_at": at, "recorded_at": at, "deleted": False}
    rows = [{**empty, **known, "source_partner_id": partner} for partner in (None, *sorted(partners))]
    return [{**bundle.history, "leads": [row]} for row in rows]
