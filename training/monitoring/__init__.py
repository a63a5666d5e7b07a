"""Monitoring: whether the champion is still what it was when it was made. See docs/monitoring.md."""

from training.monitoring.leads import NothingToMonitor
from training.monitoring.monitor import DAYS, monitor
from training.monitoring.report import Report, Verdict, due

__all__ = ["DAYS", "NothingToMonitor", "Report", "Verdict", "due", "monitor"]
