"""ECS's planes: one whose hosts run tasks, on both databases, and the service alone."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.tasks import TasksPlane


@pytest.fixture
def plane(store_url: str) -> Iterator[TasksPlane]:
    plane = TasksPlane(store_url)
    yield plane
    plane.close()


@pytest.fixture
def ecs(embedded: Any) -> Any:
    """ECS alone, without a cluster and without hosts."""
    return embedded
