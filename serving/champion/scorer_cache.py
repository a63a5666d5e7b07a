"""The scorers that decisions were made with, by the hashes that a decision names; a replay decides with them again."""

from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine

from features.catalogue.catalogue import Catalogue
from features.folding import FOLD_VERSION
from models.bundle import Bundle, UntrustedBundle, read
from models.decision import CatalogueReference, ModelReference, PolicyReference
from models.policy import Policy
from models.scorer import Scorer, ServedModel
from serving.champion import bundles, policies

_MAX_CACHED = 16
"""Scorers kept in memory; a bundle takes a few MiB."""


class Unavailable(ValueError):
    """The store lacks what a decision was made with, or this software cannot use it; the message names it."""


@dataclass(frozen=True)
class ScorerCache:
    """Keeps each policy in the store when it is first used, and builds the scorers of earlier decisions.

    Attributes:
        catalogue: this software's base catalogue.
    """

    catalogue: Catalogue
    _kept_policies: set[str] = field(default_factory=set)
    _scorers: dict[tuple[str | None, str, str], Scorer] = field(default_factory=dict)

    def keep_policy(self, engine: Engine, policy: Policy, now: int) -> None:
        """Keeps a policy in the store before a decision names it; a process writes each policy once."""
        if policy.sha256 not in self._kept_policies:
            with engine.begin() as connection:
                policies.keep(connection, policy, now)
            self._kept_policies.add(policy.sha256)

    def scorer(
        self,
        connection: Connection,
        model: ModelReference | None,
        policy: PolicyReference,
        catalogue: CatalogueReference,
    ) -> Scorer:
        """The scorer with the model and the policy that a decision names, and this software's catalogue.

        The catalogue folds texts as the decision's did; without a model its hash says how. The model's name is that
        of the bundle; its version is the one under which the store first got the bundle.

        Raises:
            Unavailable: the store lacks the model or the policy, or this software cannot use them.
        """
        key = (model and model.sha256, policy.sha256, catalogue.sha256)
        scorer = self._scorers.get(key)
        if scorer is None:
            scorer = self._build(connection, *key)
            while len(self._scorers) >= _MAX_CACHED:
                self._scorers.pop(next(iter(self._scorers)), None)
            self._scorers[key] = scorer
        return scorer

    def _build(self, connection: Connection, bundle: str | None, policy: str, catalogue: str) -> Scorer:
        rules = policies.get(connection, policy)
        if rules is None:
            raise Unavailable(f"the policy {policy[:12]} that it was made by is not in the store")
        if bundle is None:
            return Scorer(self._folded_as(catalogue), rules, None)
        try:
            served = ServedModel(_bundle(connection, bundle), bundles.version(connection, bundle))
            return Scorer(served.bundle.catalogue(self.catalogue), rules, served)
        except (bundles.UnknownBundle, UntrustedBundle) as error:
            raise Unavailable(f"the model {bundle[:12]} that it was made by cannot be used: {error}") from None

    def _folded_as(self, sha256: str) -> Catalogue:
        """The base catalogue with the version of the folding that gives it this hash; as it is where none does."""
        versions = (self.catalogue.folded_by(version) for version in range(FOLD_VERSION + 1))
        return next((version for version in versions if version.sha256 == sha256), self.catalogue)


def _bundle(connection: Connection, sha256: str) -> Bundle:
    bundle = read(bundles.files(connection, sha256))
    if bundle.sha256 != sha256:
        raise UntrustedBundle("the bundle in the store has another hash than the one it is kept under")
    return bundle
