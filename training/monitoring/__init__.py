"""Monitoring: whether the champion is still as good as at its training. See docs/monitoring.md."""

from training.monitoring.leads import NothingToMonitor
from training.monitoring.monitor import DAYS, monitor
from training.monitoring.report import MonitoringReport, Verdict, retraining_reason

__all__ = ["DAYS", "MonitoringReport", "NothingToMonitor", "Verdict", "monitor", "retraining_reason"]
