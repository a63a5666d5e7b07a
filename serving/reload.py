"""The champion in service: watched in the store, verified, swapped, and kept when a new one cannot be trusted.

The store is asked once a second, by one request's thread; while a new bundle is read and tried there, the others go on
with the old one. The policy is read at the start, so another one serves after a restart.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import Lock

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from features.catalogue.catalogue import Catalogue
from features.direct import Facts, evaluate
from features.records import KINDS, PARTNER_HISTORY
from models.bundle import Bundle, UntrustedBundle, read
from models.policy import Policy
from models.scorer import Scorer, ServedModel
from serving.store import bundles
from serving.store.bundles import Appointment
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
        alias: the pointer that is watched; the challenger in shadow is watched the same way.
        fault: why the store's champion is not the one serving, None while it is.
    """

    engine: Engine
    catalogue: Catalogue
    policy: Policy
    clock: Callable[[], int]
    alias: str = bundles.CHAMPION
    fault: str | None = None
    _seen: int | None = None
    _checked: int | None = None
    _scorer: Scorer | None = None
    _renewing: Lock = field(default_factory=Lock)

    def scorer(self) -> Scorer:
        """The scorer with the champion, or with the last one that could be trusted, or without a model.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the store cannot be asked, and could not be before.
        """
        # Who comes first of all waits, for without a look at the store it cannot be told whether there is a model.
        if self._due() and self._renewing.acquire(blocking=self._scorer is None):
            try:
                if self._due():
                    self._look()
            finally:
                self._renewing.release()
        return self._scorer or self._without_model()

    def _due(self) -> bool:
        checked = self._checked
        return self._scorer is None or checked is None or self.clock() - checked >= CHECK_EVERY

    def _look(self) -> None:
        try:
            self._renew()
        except SQLAlchemyError as error:
            if self._scorer is None:
                raise
            # Whoever needs the store will be told; a score from what is sent along need not fail for this.
            _LOG.warning("the store could not be asked for its %s: %s", self.alias, type(error).__name__)
        self._checked = self.clock()

    def _renew(self) -> None:
        with reading(self.engine) as connection:
            appointed = bundles.current(connection, self.alias)
            if appointed is None:
                self._scorer, self._seen, self.fault = self._without_model(), None, None
            if appointed is None or appointed.number == self._seen:
                return
            try:
                files = bundles.files(connection, appointed.sha256)
            except (UntrustedBundle, bundles.UnknownBundle) as error:
                self._refuse(appointed, error)
                return
        try:
            self._scorer = self._tried(read(files), appointed)
        except Exception as error:  # whatever is wrong with the new one, the old one serves on
            self._refuse(appointed, error)
        else:
            self._seen, self.fault = appointed.number, None

    def _tried(self, bundle: Bundle, appointed: Appointment) -> Scorer:
        """A scorer with the bundle that has decided on a lead and on the golden rows.

        Raises:
            Exception: it could not.
        """
        if bundle.sha256 != appointed.sha256:
            raise UntrustedBundle("the bundle in the store is not the one that was promoted")
        scorer = Scorer(bundle.catalogue(self.catalogue), self.policy, ServedModel(bundle, appointed.version))
        leads = [evaluate(scorer.catalogue, facts, appointed.at) for facts in _leads(bundle, appointed.at)]
        golden = [replace(leads[0], features={**leads[0].features, **row}) for row, _ in bundle.golden]
        scorer.decide_all([("tried", appointed.at, evaluation) for evaluation in (*leads, *golden)])
        return scorer

    def _refuse(self, appointed: Appointment, error: Exception) -> None:
        self._seen = appointed.number
        self._scorer = self._scorer or self._without_model()
        why = str(error) if isinstance(error, UntrustedBundle) else type(error).__name__
        self.fault = f"version {appointed.version} cannot be served: {why}"
        _LOG.error("%s: %s", self.alias, self.fault)

    def _without_model(self) -> Scorer:
        return Scorer(self.catalogue, self.policy, None)


def _leads(bundle: Bundle, at: int) -> list[Facts]:
    """A lead of which nothing is known, and one of each partner whose history the bundle brings."""
    partners = {str(row[PARTNER_HISTORY.id]) for row in bundle.history.get(PARTNER_HISTORY.name, ())}
    empty = {column.name: None for column in KINDS["leads"].columns}
    known = {"lead_id": "tried", "occurred_at": at, "recorded_at": at, "deleted": False}
    rows = [{**empty, **known, "source_partner_id": partner} for partner in (None, *sorted(partners))]
    return [{**bundle.history, "leads": [row]} for row in rows]
