"""Fitting a model: the rungs, their selection at rolling origins, tuning, calibration, and the trainer."""
