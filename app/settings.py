"""Settings: where things live, from the environment; every one has a default that works."""

from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from operations.exploration import OFF, Exploration
from serving.access.oidc import InvalidProvider, Provider
from serving.identity import Role
from serving.privacy.retention import Retention


class InvalidSetting(ValueError):
    """A setting of the environment is not what it must be; the message names it, the constraint and its value."""


_LONGEST = 36_500
"""Days, a hundred years: beyond it moments would lie before the epoch."""
_ROLES_LOOK = 'must be a JSON object of roles by group, such as {"sales-team": "sales"}'


class Settings(BaseSettings):
    """The environment's settings, all prefixed EQL_.

    Attributes:
        home: EQL_HOME, the folder of all data.
        database_url: EQL_DATABASE_URL, the store; by default a SQLite file under home.
        mlflow_uri: EQL_MLFLOW_URI, the tracking server; by default SQLite under home.
        postgres_url: EQL_POSTGRES_URL, the server on which `eql features --engine postgres` computes; by default a
            private one while the command runs.
        policy: EQL_POLICY, the policy file; by default the one that comes with the software.
        quality: EQL_QUALITY, the thresholds of data quality; by default those that come with the software.
        exploration_share: EQL_EXPLORATION_SHARE, of leads that sales sees at random places, 0 (off, the default) to 1.
        exploration_seed: EQL_EXPLORATION_SEED, names the experiment; another seed draws other leads.
        webhook_allowed_hosts: EQL_WEBHOOK_ALLOWED_HOSTS, receivers in one's own network, comma-separated.
        retrain_after: EQL_RETRAIN_AFTER, days after which, or when monitoring says so, the worker trains a challenger;
            by default never.
        public_url: EQL_PUBLIC_URL, where browsers find the service, for an identity provider to send them back.
        oidc_issuer: EQL_OIDC_ISSUER, the identity provider for the pages; without it there are sign-in links only.
        oidc_name: EQL_OIDC_NAME, how the pages call it.
        oidc_client_id, oidc_client_secret: EQL_OIDC_CLIENT_ID and _SECRET, what it knows the service by.
        oidc_scopes: EQL_OIDC_SCOPES, what to ask it for.
        oidc_role_claim: EQL_OIDC_ROLE_CLAIM, the claim of its ID tokens that EQL_OIDC_ROLES maps.
        oidc_roles: EQL_OIDC_ROLES, the role of each value of that claim, as JSON; of several the first one counts.
        oidc_partner_claim: EQL_OIDC_PARTNER_CLAIM, the claim with a partner's id, for the role partner.
        rate_limit: EQL_RATE_LIMIT, requests a second that a key may send to each process; 0 for any number.
        retention_scored, retention_idle, retention_events: EQL_RETENTION_SCORED, _IDLE and _EVENTS, days that decisions
            on facts sent along, open leads without activity, and events with their deliveries are kept.
        otlp_endpoint: EQL_OTLP_ENDPOINT, the OpenTelemetry collector that gets traces of requests; by default none.
        log: EQL_LOG, how the service logs: as text what went wrong, or as JSON lines each request too.
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
    oidc_roles: dict[str, Role] = Field(default_factory=dict)
    oidc_partner_claim: str = "partner_id"
    rate_limit: int = Field(default=100, ge=0)
    retention_scored: int | None = Field(default=None, ge=1, le=_LONGEST)
    retention_idle: int | None = Field(default=None, ge=1, le=_LONGEST)
    retention_events: int | None = Field(default=90, ge=1, le=_LONGEST)
    otlp_endpoint: str | None = Field(default=None, pattern=r"^https?://[^/\s]+")
    log: Literal["text", "json"] = "text"

    @property
    def exploration(self) -> Exploration:
        """How priorities are randomised."""
        return Exploration(self.exploration_share, self.exploration_seed)

    @property
    def retention(self) -> Retention:
        """How long what is kept."""
        return Retention(self.retention_scored, self.retention_idle, self.retention_events)

    @property
    def webhook_hosts(self) -> frozenset[str]:
        """Receivers of webhooks in one's own network."""
        return frozenset(host.strip().lower() for host in self.webhook_allowed_hosts.split(",")) - {""}

    @property
    def provider(self) -> Provider | None:
        """The identity provider for the pages, if any.

        Raises:
            InvalidSetting: something about it is missing or not safe.
        """
        if self.oidc_issuer is None:
            return None
        if self.oidc_client_id is None or self.public_url is None or not self.oidc_roles:
            raise InvalidSetting(
                "EQL_OIDC_ISSUER needs EQL_OIDC_CLIENT_ID, EQL_OIDC_ROLES and EQL_PUBLIC_URL beside it"
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
        return self.database_url or f"sqlite:///{self.home.absolute() / 'eql.sqlite'}"

    @property
    def tracking_uri(self) -> str:
        """MLflow's tracking URI."""
        return self.mlflow_uri or f"sqlite:///{self.home.absolute() / 'mlflow' / 'mlflow.db'}"

    @property
    def artifacts(self) -> Path | None:
        """Where MLflow's artifacts go; None where a tracking server decides."""
        return None if self.mlflow_uri else self.home.absolute() / "mlflow" / "artifacts"


def read() -> Settings:
    """The environment's settings.

    Raises:
        InvalidSetting: one is not what it must be.
    """
    try:
        return Settings()
    except SettingsError:
        raise InvalidSetting(f"EQL_OIDC_ROLES: {_ROLES_LOOK}") from None
    except ValidationError as error:
        fault = error.errors()[0]
        name = f"EQL_{'_'.join(map(str, fault['loc'])).upper()}"
        raise InvalidSetting(f"{name}: {fault['msg']}, not {fault['input']!r}; correct it or leave it out") from None
