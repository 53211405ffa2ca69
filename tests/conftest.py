"""What every test shares: the fixtures of ``tests.support``, and marks that follow from where and what a test is."""

import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No time limits, since a busy machine is not a failure, and no files left behind.
settings.register_profile(
    "berth", deadline=None, database=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("berth")

pytest_plugins = ["tests.support.engine", "tests.support.images", "tests.support.postgres", "tests.support.s3"]

TESTS = Path(__file__).parent

# Whoever asks for one of these needs a Docker Engine, said or not.
ENGINE_FIXTURES = {"docker_engine", "second_engine", "busybox_image"}
# Where ``make test`` looks for them: collecting all others once more, in every process, takes as long as some of them.
ENGINE_ROOMS = {"conformance", "e2e"}


def pytest_configure() -> None:
    """End on SIGTERM as on Ctrl-C, in every worker too: fixtures take down what they started."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests, so that ``make check`` can leave out the slow: everything under e2e/, everything with an engine."""
    for item in items:
        room = item.path.relative_to(TESTS).parts[0] if item.path.is_relative_to(TESTS) else ""
        if room == "e2e" or ENGINE_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("docker")
        if room not in ENGINE_ROOMS and item.get_closest_marker("docker"):
            raise pytest.UsageError(f"{item.nodeid} needs an engine: it belongs in one of {sorted(ENGINE_ROOMS)}")
