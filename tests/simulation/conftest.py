"""The simulation's own store: one engine for all seeds, since what SQLAlchemy has compiled once it need not again."""

from collections.abc import Iterator

import pytest
from sqlalchemy import event

from state.store import Store


@pytest.fixture(scope="module")
def sqlite_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store in a file, which no power failure threatens."""
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('simulation') / 'store.db'}")

    @event.listens_for(store.engine, "connect")
    def prepare(connection: object, record: object) -> None:
        connection.execute("PRAGMA synchronous=OFF")  # type: ignore[attr-defined]

    yield store
    store.close()
