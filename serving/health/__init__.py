"""The subject of health: liveness, readiness and metrics."""
