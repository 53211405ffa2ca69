"""Limits: a server opens as many files as it may, and what was allowed already is never taken away."""

import resource
from collections.abc import Iterator

import pytest

from kit import limits


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_low_limit_is_raised_as_far_as_it_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    monkeypatch.setattr(limits, "MOST_OPEN", 600)
    assert limits.allow_open_files() == 600
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (600, hard)


def test_a_higher_limit_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (700, hard))
    monkeypatch.setattr(limits, "MOST_OPEN", 600)
    assert limits.allow_open_files() == 700
