"""Migrations make the tables that the entities describe, on both databases, however many processes start at once."""

from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from state.base import Base
from state.migrations import migrate
from state.store import Store


def test_migrated_tables_are_what_the_entities_describe(empty_store_url: str) -> None:
    store = Store(empty_store_url)
    migrate(store)
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    store.close()


def test_migrating_again_changes_nothing(empty_store_url: str) -> None:
    store = Store(empty_store_url)
    migrate(store)
    before = set(sa.inspect(store.engine).get_table_names())
    migrate(store)
    assert set(sa.inspect(store.engine).get_table_names()) == before
    store.close()


def test_many_processes_may_start_on_an_empty_store_at_once(empty_store_url: str) -> None:
    stores = [Store(empty_store_url) for _ in range(4)]
    with ThreadPoolExecutor(len(stores)) as pool:
        list(pool.map(migrate, stores))
    with stores[0].engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM alembic_version")).scalar_one() == 1
    for store in stores:
        store.close()
