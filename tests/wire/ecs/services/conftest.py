"""A plane with the services loop, on both databases."""

from collections.abc import Iterator

import pytest

from tests.support.services import ServicesPlane


@pytest.fixture
def plane(store_url: str) -> Iterator[ServicesPlane]:
    plane = ServicesPlane(store_url)
    yield plane
    plane.close()
