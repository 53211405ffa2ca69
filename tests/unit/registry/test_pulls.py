"""Recording pulls: many at once in few transactions, and never at the cost of a pull."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from kit.clock import ManualClock
from registry.pulls import EXCLUDED_FOR, NOTED_EVERY, Pull, Pulls
from state.base import Base
from state.images import Image
from state.pull_exclusions import PullExclusion
from state.repositories import Repository
from state.store import Session, Store, StoreBusy, StoreUnavailable

NOW = ManualClock().now()
DIGESTS = [f"sha256:{number:064}" for number in range(30)]
WHO = "arn:aws:iam::123456789012:user/puller"


class CountingStore(Store):
    """Counts its transactions; one that fails, or waits, when told to."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.transactions = 0
        self.trouble: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    def transact(self, work: Callable[[Session], Any]) -> Any:
        self.transactions += 1
        self.gate.wait()
        if self.trouble is not None:
            raise self.trouble
        return super().transact(work)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CountingStore]:
    store = CountingStore(f"sqlite:///{tmp_path / 'berth.db'}")
    Base.metadata.create_all(store.engine)

    def fill(session: Session) -> None:
        session.add(Repository(name="web", created_at=NOW))
        session.flush()
        for digest in DIGESTS:
            session.add(
                Image(
                    repository="web",
                    digest=digest,
                    media_type="application/json",
                    body=b"{}",
                    body_size=2,
                    size=0,
                    pushed_at=NOW,
                )
            )

    store.transact(fill)
    store.transactions = 0
    yield store
    store.close()


def recorded(store: Store) -> int:
    return store.read(lambda session: session.query(Image).filter(Image.pulled_at == NOW).count())


def test_pulls_that_wait_for_a_writer_are_written_together(store: CountingStore) -> None:
    pulls = Pulls(store)
    store.gate.clear()
    with ThreadPoolExecutor(len(DIGESTS)) as threads:
        noted = [threads.submit(pulls.note, Pull("web", digest, WHO), now=NOW) for digest in DIGESTS]
        while len(pulls._waiting) + store.transactions < len(DIGESTS):
            threading.Event().wait(0)
        store.gate.set()
        for each in noted:
            each.result(timeout=30)
    assert recorded(store) == len(DIGESTS)
    assert store.transactions == 2


@pytest.mark.parametrize("trouble", [StoreBusy("busy"), StoreUnavailable("full")])
def test_a_pull_that_cannot_be_recorded_is_due_again(store: CountingStore, trouble: Exception) -> None:
    pulls, store.trouble = Pulls(store), trouble
    pulls.note(Pull("web", DIGESTS[0], WHO), now=NOW)
    assert pulls.is_due(WHO, None, now=NOW)
    store.trouble = None
    pulls.note(Pull("web", DIGESTS[0], WHO), now=NOW)
    assert recorded(store) == 1


def test_a_pull_of_what_is_gone_is_nothing(store: CountingStore) -> None:
    Pulls(store).note(Pull("gone", DIGESTS[0], WHO), now=NOW)
    assert recorded(store) == 0


def test_a_pull_is_due_after_an_hour(store: CountingStore) -> None:
    pulls = Pulls(store)
    assert pulls.is_due(WHO, None, now=NOW)
    assert not pulls.is_due(WHO, NOW, now=NOW)
    assert pulls.is_due(WHO, NOW, now=NOW + NOTED_EVERY)


def test_who_is_excluded_is_asked_about_once_a_minute(store: CountingStore) -> None:
    store.transact(lambda session: session.add(PullExclusion(principal_arn=WHO, created_at=NOW)))
    pulls = Pulls(store)
    pulls.note(Pull("web", DIGESTS[0], WHO), now=NOW)
    assert recorded(store) == 0
    assert not pulls.is_due(WHO, None, now=NOW)
    assert pulls.is_due("arn:aws:iam::123456789012:user/other", None, now=NOW)
    assert pulls.is_due(WHO, None, now=NOW + EXCLUDED_FOR)
