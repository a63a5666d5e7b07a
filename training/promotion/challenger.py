"""Training a challenger: a version is trained, registered in MLflow, and gets the alias `challenger`."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from features.catalogue.catalogue import Catalogue
from features.partner_history import HORIZON_DAYS
from training.data.matrix import Progress
from training.data.segments import Segment
from training.evaluation.lift import LEADS_A_WEEK
from training.evaluation.report import EvaluationReport
from training.fitting.trainer import train
from training.fitting.tuning import Search
from training.promotion.registry import Registry


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """The options of a training.

    Attributes:
        seed: the random seed.
        horizon_days: days within which a win counts.
        allowed_leaks: attributes to train with although they nearly decide the outcome.
        excluded: segments of leads to leave out.
        leads_a_week: leads that sales can work in a week, for lift.
        search: the search for better settings of the trees; None for the default settings.
    """

    seed: int = 0
    horizon_days: int = HORIZON_DAYS
    allowed_leaks: Collection[str] = ()
    excluded: Collection[Segment] = ()
    leads_a_week: int = LEADS_A_WEEK
    search: Search | None = None

    def to_params(self) -> dict[str, Any]:
        """The parameters that MLflow logs with the run."""
        return {
            "seed": self.seed,
            "horizon_days": self.horizon_days,
            "excluded": ", ".join(map(str, self.excluded)) or "none",
            "allowed_leaks": ", ".join(sorted({*self.allowed_leaks})) or "none",
        }


@dataclass(frozen=True)
class TrainedVersion:
    """A registered version and its evaluation report."""

    version: str
    report: EvaluationReport

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        return {"version": self.version, **self.report.to_dict()}


def train_challenger(
    registry: Registry,
    folder: Path,
    catalogue: Catalogue,
    options: TrainingOptions,
    progress: Progress,
    *,
    actor: str,
    reason: str,
    clock: Callable[[], datetime],
) -> TrainedVersion:
    """Trains on a folder of records, registers the version and makes it the challenger.

    Args:
        registry: the registry that gets the version.
        folder: the records (see features.folder).
        catalogue: the base catalogue; the attributes of the folder are added.
        options: the options of the training.
        progress: gets each step, in words.
        actor: the user in the history of the alias.
        reason: the reason in that history.
        clock: gives the moment in that history, read after the training.

    Raises:
        NothingToLearn, UnknownSegment, LeakFound, FolderError, UnreadableRecords: see `training.fitting.trainer.train`.
    """
    trained = train(
        folder,
        catalogue,
        progress,
        seed=options.seed,
        horizon_days=options.horizon_days,
        allowed_leaks=options.allowed_leaks,
        excluded=options.excluded,
        search=options.search,
    )
    progress("registering in MLflow")
    version = registry.resolve(registry.log_training(trained, options.to_params(), catalogue, options.leads_a_week))
    registry.set_alias("challenger", version, actor, reason, clock())
    return TrainedVersion(version.version, trained.report)
