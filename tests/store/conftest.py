"""Planes that the tests of several files begin with; other files make their own."""

from collections.abc import Iterator

import pytest

from tests.support.batch import BatchPlane
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


@pytest.fixture
def bare(store_url: str) -> Iterator[BatchPlane]:
    """One for jobs, with nothing in it."""
    plane = BatchPlane(store_url)
    yield plane
    plane.close()


@pytest.fixture
def hosted(bare: BatchPlane) -> BatchPlane:
    """An UNMANAGED environment with one host of 4 vCPU, a queue, and a definition of 1 vCPU."""
    bare.environment()
    bare.add_host()
    bare.queue()
    bare.definition()
    return bare
