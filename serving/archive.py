"""What decisions were made with, by hash: policies and bundles as the store keeps them, read again to replay."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine

from features.catalogue.catalogue import Catalogue
from models.bundle import Bundle, UntrustedBundle, read
from models.policy import Policy
from models.scorer import Scorer, ServedModel
from serving.store import bundles, policies

_AT_HAND = 16
"""Scorers kept in memory; a bundle is some MiB."""


class Unavailable(ValueError):
    """What a decision was made with is not to be had; the message says what."""


@dataclass(frozen=True)
class Archive:
    """Keeps policies as they are first used, and puts together again the scorers that earlier decisions were made with.

    Attributes:
        catalogue: this software's base catalogue.
    """

    catalogue: Catalogue
    _kept: set[str] = field(default_factory=set)
    _scorers: dict[tuple[str | None, str], Scorer] = field(default_factory=dict)

    def keep(self, engine: Engine, policy: Policy, now: int) -> None:
        """Sees to it that the store has a policy before a decision names it; asks the store once a process."""
        if policy.sha256 not in self._kept:
            with engine.begin() as connection:
                policies.keep(connection, policy, now)
            self._kept.add(policy.sha256)

    def scorer(self, connection: Connection, content: Mapping[str, Any]) -> Scorer:
        """The scorer with the model and the policy that a decision's content names, and this software's catalogue.

        The model's name is the bundle's own, its version the one under which the store first got the bundle.

        Raises:
            Unavailable: the store has not got them, or this software cannot use them.
        """
        model, policy = content["model"], content["policy"]["sha256"]
        key = (model and model["sha256"], policy)
        found = self._scorers.get(key)
        if found is None:
            found = self._put_together(connection, *key)
            while len(self._scorers) >= _AT_HAND:
                self._scorers.pop(next(iter(self._scorers)), None)
            self._scorers[key] = found
        return found

    def _put_together(self, connection: Connection, bundle: str | None, policy: str) -> Scorer:
        rules = policies.get(connection, policy)
        if rules is None:
            raise Unavailable(f"the policy {policy[:12]} that it was made by is not in the store")
        if bundle is None:
            return Scorer(self.catalogue, rules, None)
        try:
            served = ServedModel(_bundle(connection, bundle), bundles.version(connection, bundle))
            return Scorer(served.bundle.catalogue(self.catalogue), rules, served)
        except (bundles.UnknownBundle, UntrustedBundle) as error:
            raise Unavailable(f"the model {bundle[:12]} that it was made by cannot be used: {error}") from None


def _bundle(connection: Connection, sha256: str) -> Bundle:
    found = read(bundles.files(connection, sha256))
    if found.sha256 != sha256:
        raise UntrustedBundle("the bundle in the store is another one")
    return found
