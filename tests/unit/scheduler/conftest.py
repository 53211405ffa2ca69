"""Hypothesis for the pure rooms: no time limits, since a busy machine is not a failure, and no files left behind."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "pure", deadline=None, database=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("pure")
