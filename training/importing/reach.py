"""Which qualifications the leads of an export can reach, by the kinds of facts that the export delivers."""

from collections.abc import Collection, Iterator

from features.catalogue.entry import FACTS
from training.importing.mapping import Mapping as MappingFile

_SIGNALS = ("integration_usage", "referrals")
"""An EQL needs one of these kinds, beside `_CONFIRMED`."""
_CONFIRMED = ("confirmations", "buying_signals")
_FIT = ("employees", "industry", "country")
"""The fields of an account that its fit is judged by."""


def reach(mapping: MappingFile, delivered: Collection[str]) -> Iterator[str]:
    """The sentences, for the gates of the default policy.

    Args:
        mapping: of the import.
        delivered: the kinds with imported records.
    """
    if mapping.records.leads is None:
        return
    known = {*delivered, *(mapping.delivers or ())}
    absent = [kind for kind in FACTS if kind not in known]
    if absent:
        yield f"not recorded: {_listed(absent)}; rules on them are unknown, and their features are missing"
    fields = mapping.records.accounts.fields if mapping.records.accounts else {}
    unfit = [f"accounts.{name}" for name in _FIT if name not in fields]
    lacking = [*unfit, *(kind for kind in _CONFIRMED if kind in absent)]
    if all(kind in absent for kind in _SIGNALS):
        lacking.append(" or ".join(_SIGNALS).replace("_", " "))
    best = ["MQL"] if unfit else ["SQL", "MQL"] if lacking else ["EQL", "SQL", "MQL"]
    why = f"; an EQL also needs {_listed(lacking)}" if lacking else ""
    yield f"qualifications that leads of this export can reach under the default policy: {', '.join(best)}{why}"


def _listed(names: list[str]) -> str:
    return ", ".join(name.replace("_", " ") for name in names)
