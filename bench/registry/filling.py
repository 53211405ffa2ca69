"""Filling a store or a folder with more than could be pushed in a minute: straight into the tables, or as files."""

from pathlib import Path

from sqlalchemy import text

from state.store import Store

# SQLite and PostgreSQL both; digests are drawn at random, as real ones are, so that indexes are as scattered.
_SERIES = {
    True: "WITH RECURSIVE series(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < :count) ",
    False: "WITH series(n) AS (SELECT generate_series(1, :count)) ",
}
_DIGEST = {
    True: "'sha256:' || lower(hex(randomblob(32)))",
    False: "'sha256:' || md5(random()::text) || md5(random()::text)",
}


def add_blobs(store: Store, repository: str, count: int) -> None:
    """So many more blobs in the catalogue, each visible in the repository; every one is like a blob already there."""
    _multiply(store, "blobs", "digest", _DIGEST[store.embedded], count, limit_to="")
    link = (
        "INSERT INTO blob_links (repository, digest) SELECT :name, digest FROM blobs WHERE true ON CONFLICT DO NOTHING"
    )
    with store.engine.begin() as connection:
        connection.execute(text(link), {"name": repository})
        connection.exec_driver_sql("ANALYZE")


def add_tags(store: Store, repository: str, count: int) -> None:
    """So many more tags in a repository that has one, for the same image: ``v0000001`` and on."""
    name = "printf('v%07d', n)" if store.embedded else "'v' || lpad(n::text, 7, '0')"
    _multiply(store, "image_tags", "name", name, count, limit_to=repository)
    with store.engine.begin() as connection:
        connection.exec_driver_sql("ANALYZE")


def add_peer_tags(blobs: Path, repository: str, digest: str, count: int) -> None:
    """The same for the peer: a tag is a folder with a file that names its manifest."""
    tags = blobs.parent / "repositories" / repository / "_manifests" / "tags"
    for number in range(1, count + 1):
        folder = tags / f"v{number:07d}" / "current"
        folder.mkdir(parents=True)
        (folder / "link").write_text(digest)


def _multiply(store: Store, table: str, key: str, value: str, count: int, *, limit_to: str) -> None:
    """Copy one row of the table ``count`` times, with another ``key``."""
    from state.base import Base

    columns = [column.name for column in Base.metadata.tables[table].columns]
    chosen = ", ".join(value if name == key else f"pattern.{name}" for name in columns)
    where = "WHERE repository = :repository" if limit_to else ""
    statement = (
        f"INSERT INTO {table} ({', '.join(columns)}) {_SERIES[store.embedded]}"
        f"SELECT {chosen} FROM series, (SELECT * FROM {table} {where} LIMIT 1) AS pattern"
    )
    with store.engine.begin() as connection:
        connection.execute(text(statement), {"count": count, **({"repository": limit_to} if limit_to else {})})
