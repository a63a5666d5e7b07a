"""The discrete hazard of closing: when leads close, and forecast curves. See docs/forecast.md."""

from training.hazard.follow_up import FollowUp, KnownOutcomes
from training.hazard.forecast import Forecast, curve_metrics, forecast_open_leads
from training.hazard.incidence import CURVE, PERIODS, Curve, Incidence, aalen_johansen
from training.hazard.model import Hazard, UntrustedHazard, fit_hazard, read_hazard

__all__ = [
    "CURVE",
    "PERIODS",
    "Curve",
    "FollowUp",
    "Forecast",
    "Hazard",
    "Incidence",
    "KnownOutcomes",
    "UntrustedHazard",
    "aalen_johansen",
    "curve_metrics",
    "fit_hazard",
    "forecast_open_leads",
    "read_hazard",
]
