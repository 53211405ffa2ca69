"""A plane for services, whatever becomes of them."""

from collections.abc import Iterator

import pytest

from tests.support.counts import counts_amiss
from tests.support.services import ServicesPlane


@pytest.fixture
def plane(store_url: str) -> Iterator[ServicesPlane]:
    """One with a definition for services, whose tasks are counted right whatever became of them."""
    plane = ServicesPlane(store_url)
    plane.register()
    yield plane
    assert plane.store.read(lambda session: list(counts_amiss(session))) == []
    plane.close()
