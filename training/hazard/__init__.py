"""The discrete hazard: when leads close, soft labels for those too young for a label, curves. See docs/forecast.md."""

from training.hazard.follow_up import FollowUp, Known
from training.hazard.forecast import Forecast, figures, open_leads
from training.hazard.incidence import CURVE, PERIODS, Curve, Incidence, aalen_johansen
from training.hazard.model import Hazard, UntrustedHazard, fit, read

__all__ = [
    "CURVE",
    "PERIODS",
    "Curve",
    "FollowUp",
    "Forecast",
    "Hazard",
    "Incidence",
    "Known",
    "UntrustedHazard",
    "aalen_johansen",
    "figures",
    "fit",
    "open_leads",
    "read",
]
