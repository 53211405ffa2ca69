"""What commits have put into SQLite's log gets into the file while others hold the file open, and is never lost."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import insert

from state.base import Base, Event
from state.checkpoints import LARGE
from state.store import Session, Store

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def fill(session: Session, count: int) -> None:
    event = {"at": NOW, "kind": "task", "entity": "task/x", "after": "STOPPED", "because": "b" * 1000}
    session.execute(insert(Event), [event] * count)


def opened(file: Path) -> tuple[Store, sqlite3.Connection]:
    """The store, and another that has the file open."""
    store = Store(f"sqlite:///{file}")
    Base.metadata.create_all(store.engine)
    other = sqlite3.connect(file)
    assert other.execute("SELECT count(*) FROM events").fetchone() == (0,)
    return store, other


def test_a_long_log_is_moved_into_the_file_beside_its_users(tmp_path: Path) -> None:
    file = tmp_path / "berth.db"
    store, other = opened(file)
    store.transact(lambda session: fill(session, 6000))
    # Whoever holds the file keeps SQLite itself from moving the log when the store closes.
    store.close()
    assert file.stat().st_size > LARGE
    assert other.execute("SELECT count(*) FROM events").fetchone() == (6000,)
    other.close()


def test_a_short_log_needs_no_thread(tmp_path: Path) -> None:
    file = tmp_path / "berth.db"
    store, other = opened(file)
    before = file.stat().st_size
    store.transact(lambda session: fill(session, 10))
    store.close()
    assert file.stat().st_size == before
    assert other.execute("SELECT count(*) FROM events").fetchone() == (10,)
    other.close()
