"""Settings: where things live, from the environment; every one has a default that works."""

from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from operations.exploration import OFF, Exploration


class InvalidSetting(ValueError):
    """A setting of the environment is not what it must be; the message names it, the constraint and its value."""


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
        rate_limit: EQL_RATE_LIMIT, requests a second that a key may send to each process; 0 for any number.
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
    rate_limit: int = Field(default=100, ge=0)
    log: Literal["text", "json"] = "text"

    @property
    def exploration(self) -> Exploration:
        """How priorities are randomised."""
        return Exploration(self.exploration_share, self.exploration_seed)

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
    except ValidationError as error:
        fault = error.errors()[0]
        name = f"EQL_{'_'.join(map(str, fault['loc'])).upper()}"
        raise InvalidSetting(f"{name}: {fault['msg']}, not {fault['input']!r}; correct it or leave it out") from None
