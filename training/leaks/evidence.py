"""The order of suspects, and the error that blocks training."""

from collections.abc import Sequence

from training.evaluation.leak_findings import Suspect


def ranked(suspects: Sequence[Suspect]) -> list[Suspect]:
    """The suspects that block training first, then by strength, then by name."""
    return sorted(suspects, key=lambda each: (not each.decisive, -each.strength, each.name))


class LeakFound(ValueError):
    """Attributes nearly decide the outcome; the message names them and the fix."""

    def __init__(self, suspects: Sequence[Suspect]) -> None:
        named = "; ".join(f"{suspect.name!r} {suspect.grounds}" for suspect in suspects)
        super().__init__(
            f"training is blocked by what cannot have been known at creation: {named}. Declare it `known: later` in "
            f"the mapping and import again, or override with --allow-leak NAME"
        )
        self.suspects = tuple(suspects)
