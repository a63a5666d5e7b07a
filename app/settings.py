"""Settings, from the environment. Each setting has a default that works."""

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import jiter
from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from operations.exploration import OFF, Exploration
from serving.identity import Role

if TYPE_CHECKING:
    from serving.access.oidc import Provider
    from serving.privacy.retention import Retention


class InvalidSetting(ValueError):
    """A setting breaks a constraint; the message names the setting, the constraint and the value."""


_MAX_RETENTION_DAYS = 36_500
"""A hundred years. A longer time would reach back to a moment that the store cannot hold."""
_ROLES_CONSTRAINT = 'must be a JSON object of roles by group, such as {"sales-team": "sales"}'


def _roles(value: object) -> object:
    """The roles of a JSON object; a group that is there twice is refused, because one of its roles would be lost."""
    return jiter.from_json(value.encode(), catch_duplicate_keys=True) if isinstance(value, str) else value


class Settings(BaseSettings):
    """The settings of the environment. The environment variable of each has the prefix EQL_ and capital letters.

    Attributes:
        home: the folder of all data.
        database_url: the store; by default a SQLite file under home.
        mlflow_uri: the MLflow tracking server; by default a SQLite file under home.
        postgres_url: the PostgreSQL server on which `eql features --engine postgres` computes; by default a private
            server while the command runs.
        policy: the policy file; by default the policy that comes with EQL.
        quality: the file of data quality thresholds; by default the file that comes with EQL.
        exploration_share: the share of leads that sales sees at random places, from 0 (off, the default) to 1.
        exploration_seed: the name of the experiment; another seed draws other leads.
        webhook_allowed_hosts: receivers of webhooks in the operator's own network, comma-separated.
        retrain_after: the age in days at which the worker trains a challenger, earlier if monitoring calls for one; by
            default never.
        public_url: the address at which browsers reach the service; the identity provider redirects to it.
        oidc_issuer: the identity provider for the pages; without one, users sign in by links only.
        oidc_name: the name of the identity provider on the pages.
        oidc_client_id, oidc_client_secret: the credentials of the service at the identity provider.
        oidc_scopes: the scopes to request.
        oidc_role_claim: the claim of the ID token that `oidc_roles` maps.
        oidc_roles: the role of each value of that claim, as JSON; of several, the first in this object counts.
        oidc_partner_claim: the claim that holds a partner's id, for the role partner.
        rate_limit: requests a second that an API key may send to each process; 0 for no limit.
        retention_scored: days that decisions on facts sent in a request are kept; None for ever.
        retention_idle: days that open leads without activity are kept; None for ever.
        retention_events: days that events are kept, with the log of their deliveries; None for ever.
        otlp_endpoint: the OpenTelemetry collector that gets traces of requests; by default none.
        log: the format of the service's log: `text` (errors and warnings) or `json` (JSON lines, each request too).
    """

    model_config = SettingsConfigDict(env_prefix="EQL_", frozen=True)

    home: Path = Path("var")
    database_url: str | None = None
    mlflow_uri: str | None = None
    postgres_url: str | None = None
    policy: Path = Field(default_factory=lambda: Path(str(files("models") / "default_policy.yaml")))
    quality: Path = Field(default_factory=lambda: Path(str(files("features") / "default_quality.yaml")))
    exploration_share: float = Field(default=OFF, ge=0, le=1, allow_inf_nan=False)
    exploration_seed: str = ""
    webhook_allowed_hosts: str = ""
    retrain_after: int | None = Field(default=None, ge=1)
    public_url: str | None = None
    oidc_issuer: str | None = None
    oidc_name: str = "your company account"
    oidc_client_id: str | None = None
    oidc_client_secret: SecretStr = SecretStr("")
    oidc_scopes: str = "openid"
    oidc_role_claim: str = "groups"
    oidc_roles: Annotated[dict[str, Role], NoDecode, BeforeValidator(_roles)] = Field(default_factory=dict)
    oidc_partner_claim: str = "partner_id"
    rate_limit: int = Field(default=100, ge=0)
    retention_scored: int | None = Field(default=None, ge=1, le=_MAX_RETENTION_DAYS)
    retention_idle: int | None = Field(default=None, ge=1, le=_MAX_RETENTION_DAYS)
    retention_events: int | None = Field(default=90, ge=1, le=_MAX_RETENTION_DAYS)
    otlp_endpoint: str | None = Field(default=None, pattern=r"^https?://[^/\s]+")
    log: Literal["text", "json"] = "text"

    @property
    def exploration(self) -> Exploration:
        """How priorities are randomised."""
        return Exploration(self.exploration_share, self.exploration_seed)

    @property
    def retention(self) -> "Retention":
        """How long personal data and events are kept."""
        from serving.privacy.retention import Retention

        return Retention(self.retention_scored, self.retention_idle, self.retention_events)

    @property
    def webhook_hosts(self) -> frozenset[str]:
        """Receivers of webhooks in the operator's own network."""
        return frozenset(host.strip().lower() for host in self.webhook_allowed_hosts.split(",")) - {""}

    @property
    def provider(self) -> "Provider | None":
        """The identity provider for the pages; None without EQL_OIDC_ISSUER.

        Raises:
            InvalidSetting: a setting of the provider is missing, or not safe.
        """
        if self.oidc_issuer is None:
            return None
        from serving.access.oidc import InvalidProvider, Provider

        if self.oidc_client_id is None or self.public_url is None or not self.oidc_roles:
            raise InvalidSetting(
                "EQL_OIDC_ISSUER needs EQL_OIDC_CLIENT_ID, EQL_OIDC_ROLES and EQL_PUBLIC_URL too; set all of them"
            )
        try:
            return Provider(
                name=self.oidc_name,
                issuer=self.oidc_issuer,
                client_id=self.oidc_client_id,
                client_secret=self.oidc_client_secret.get_secret_value(),
                public_url=self.public_url,
                scopes=self.oidc_scopes,
                role_claim=self.oidc_role_claim,
                roles=self.oidc_roles,
                partner_claim=self.oidc_partner_claim,
            )
        except InvalidProvider as error:
            raise InvalidSetting(f"EQL_OIDC_ISSUER: {error}") from None

    @property
    def store_url(self) -> str:
        """The store's URL."""
        return self.database_url or f"sqlite:///{self.store_file}"

    @property
    def store_file(self) -> Path | None:
        """The file of the store in the home; None if EQL_DATABASE_URL names another store."""
        return None if self.database_url else self.home.absolute() / "eql.sqlite"

    @property
    def tracking_uri(self) -> str:
        """MLflow's tracking URI."""
        return self.mlflow_uri or f"sqlite:///{self.home.absolute() / 'mlflow' / 'mlflow.db'}"

    @property
    def artifacts(self) -> Path | None:
        """The folder of MLflow's artifacts; None if a tracking server holds them."""
        return None if self.mlflow_uri else self.home.absolute() / "mlflow" / "artifacts"


def read() -> Settings:
    """Reads the settings from the environment.

    Raises:
        InvalidSetting: a setting breaks a constraint.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = f"EQL_{'_'.join(map(str, first['loc'])).upper()}"
        if first["loc"][0] == "oidc_roles":
            raise InvalidSetting(f"EQL_OIDC_ROLES: {_ROLES_CONSTRAINT}, each group once") from None
        raise InvalidSetting(f"{name}: {first['msg']}, not {first['input']!r}; correct it or leave it out") from None
