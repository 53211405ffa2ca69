"""Which upstream, and which repository there, a repository's name stands for."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from registry.cache.sources import source_of
from state.base import Base
from state.pull_through_rules import PullThroughRule
from state.store import Store

NOW = datetime(2030, 1, 1, tzinfo=UTC)
RULES = (
    ("hub", "registry-1.docker.io", "ROOT"),
    ("team-a", "https://harbor.example:8443", "team-a"),
    ("my-app", "http://10.0.0.1:5000", "upstream/app"),
    ("my-app/deep", "quay.io", "ROOT"),
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path / 'berth.db'}")
    Base.metadata.create_all(store.engine)
    for prefix, url, upstream_prefix in RULES:
        add_rule(store, prefix, url, upstream_prefix)
    yield store
    store.close()


def add_rule(store: Store, prefix: str, url: str, upstream_prefix: str | None) -> None:
    rule = PullThroughRule(
        prefix=prefix, upstream_url=url, upstream_prefix=upstream_prefix, created_at=NOW, updated_at=NOW
    )
    store.transact(lambda session: session.add(rule))


def found(store: Store, name: str) -> tuple[str, str] | None:
    source = store.read(lambda session: source_of(session, name))
    return None if source is None else (source.address.url, source.repository)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hub/library/nginx", ("https://registry-1.docker.io", "library/nginx")),
        ("hub/nginx", ("https://registry-1.docker.io", "library/nginx")),
        ("hub/grafana/loki", ("https://registry-1.docker.io", "grafana/loki")),
        ("team-a/web/api", ("https://harbor.example:8443", "team-a/web/api")),
        ("my-app/image", ("http://10.0.0.1:5000", "upstream/app/image")),
        ("my-app/deep/image", ("https://quay.io", "image")),
        ("my-app/deeper/image", ("http://10.0.0.1:5000", "upstream/app/deeper/image")),
        ("hub", None),
        ("hubble/nginx", None),
        ("other/nginx", None),
    ],
)
def test_the_longest_prefix_wins_and_ends_at_a_slash(store: Store, name: str, expected: tuple[str, str] | None) -> None:
    assert found(store, name) == expected


def test_root_stands_for_every_other_name(store: Store) -> None:
    add_rule(store, "ROOT", "ghcr.io", "ROOT")
    assert found(store, "a/b") == ("https://ghcr.io", "a/b")
    assert found(store, "hub") == ("https://ghcr.io", "hub")
    assert found(store, "hub/a/b") == ("https://registry-1.docker.io", "a/b")
