"""What screens are made of: a plane with services and one with jobs, on both databases."""

from collections.abc import Iterator

import pytest

from tests.support.batch import BatchPlane
from tests.support.services import ServicesPlane


@pytest.fixture
def plane(store_url: str) -> Iterator[ServicesPlane]:
    plane = ServicesPlane(store_url)
    yield plane
    plane.close()


@pytest.fixture
def jobs(store_url: str) -> Iterator[BatchPlane]:
    plane = BatchPlane(store_url)
    yield plane
    plane.close()
