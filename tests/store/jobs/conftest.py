"""A plane for jobs, empty or with a host to run them."""

from collections.abc import Iterator

import pytest

from tests.support.batch import BatchPlane


@pytest.fixture
def plane(store_url: str) -> Iterator[BatchPlane]:
    plane = BatchPlane(store_url)
    yield plane
    plane.close()


@pytest.fixture
def hosted(plane: BatchPlane) -> BatchPlane:
    plane.furnish(hosts=1)
    return plane
