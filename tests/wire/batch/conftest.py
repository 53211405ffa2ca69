"""A plane for Batch, empty or ready for jobs."""

from collections.abc import Iterator

import pytest

from tests.support.batch import BatchPlane


@pytest.fixture
def plane(sqlite_url: str) -> Iterator[BatchPlane]:
    plane = BatchPlane(sqlite_url)
    yield plane
    plane.close()


@pytest.fixture
def ready(plane: BatchPlane) -> BatchPlane:
    """An UNMANAGED environment without hosts, a queue and a definition."""
    plane.furnish()
    return plane
