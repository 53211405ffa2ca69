"""A registry whose names beneath ``hub`` are another's, and that other one."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kit.clock import ManualClock
from state.pull_through_rules import PullThroughRule
from tests.support.registry import RegistryClient, running_registry
from tests.support.upstream import Upstream, running_upstream


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with running_upstream() as running:
        yield running


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2030, 1, 1, tzinfo=UTC))


@pytest.fixture
def registry(upstream: Upstream, clock: ManualClock, tmp_path: Path) -> Iterator[RegistryClient]:
    with running_registry(tmp_path, clock=clock) as running:
        add_rule(running, upstream)
        yield running


def add_rule(registry: RegistryClient, upstream: Upstream, **columns: str) -> None:
    now = registry.clock.now()
    given = {"prefix": "hub", "upstream_url": f"http://{upstream.address}", "upstream_prefix": "ROOT", **columns}
    rule = PullThroughRule(**given, created_at=now, updated_at=now)
    registry.store.transact(lambda session: session.add(rule))
