"""Migrations make the tables that the entities describe, on both databases, however many processes start at once."""

from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from state.base import Base
from state.images import get_image, get_tag
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


def test_images_of_an_older_berth_are_there_after_the_migration(empty_store_url: str) -> None:
    store = Store(empty_store_url)
    migrate(store, "0001")
    digest = "sha256:" + "0" * 64
    with store.engine.begin() as connection:
        older = sa.MetaData()
        older.reflect(connection, only=["repositories", "images", "image_tags"])
        document = sa.literal("{}").cast(sa.JSON) if not store.embedded else "{}"
        given = {"mutability_filters": document, "scanning": document, "encryption": document, "tags": document}
        connection.execute(
            older.tables["repositories"].insert().values(name="web", tag_mutability="MUTABLE", created_at=0, **given)
        )
        image = {"repository": "web", "digest": digest, "media_type": "t", "annotations": document, "body": b"{}"}
        connection.execute(older.tables["images"].insert().values(**image, body_size=2, size=2, pushed_at=0))
        connection.execute(older.tables["image_tags"].insert().values(repository="web", name="v1", digest=digest))
    migrate(store)
    tag = store.read(lambda session: get_tag(session, "web", "v1"))
    found = store.read(lambda session: get_image(session, "web", digest))
    assert tag is not None and tag.digest == digest
    assert found is not None and found.status == "ACTIVE"
    store.close()
