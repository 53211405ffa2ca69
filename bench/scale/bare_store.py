"""The floor of a run: what the database alone needs for the same rows, written by its own driver and nothing else.

The rows are the run's own, tasks with their events, so they have its size; tables and indexes are made alike, and the
durability is the same.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from kit.clock import monotonic
from state.store import Store

MOST = 200_000
INSERTED = 10_000
UPDATED = 2_000
# What the report that a task runs changes of it.
CHANGED = ("last_status", "started_at", "containers", "version")
TABLES = ("tasks", "events")
Rows = Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bare:
    """Empty tables like the run's, some rows of it to write into them, and the driver's connection."""

    connection: Any
    mark: str
    names: Mapping[str, str]
    columns: Mapping[str, Sequence[str]]
    rows: Mapping[str, Rows]

    def insert(self, table: str) -> str:
        """The statement that inserts one row."""
        marks = ", ".join([self.mark] * len(self.columns[table]))
        named = ", ".join(f'"{column}"' for column in self.columns[table])
        return f"INSERT INTO {self.names[table]} ({named}) VALUES ({marks})"

    def commit(self, writes: Sequence[tuple[str, Rows]]) -> None:
        """One transaction."""
        cursor = self.connection.cursor()
        cursor.execute("BEGIN" if self.mark == "%s" else "BEGIN IMMEDIATE")
        for statement, rows in writes:
            if rows:
                cursor.executemany(statement, rows)
        cursor.execute("COMMIT")


def measure_bulk(store: Store, folder: Path) -> float:
    """Tasks a second: each inserted, then updated as by the report that it runs, with their events, in batches of
    a run's size."""
    with bare_tables(store, folder, MOST) as bare:
        columns, tasks, events = bare.columns["tasks"], bare.rows["tasks"], bare.rows["events"]
        sets = ", ".join(f"{name} = {bare.mark}" for name in CHANGED)
        update = f"UPDATE {bare.names['tasks']} SET {sets} WHERE id = {bare.mark}"
        places = [columns.index(name) for name in (*CHANGED, "id")]
        began = monotonic()
        for batch in _batches(tasks, INSERTED):
            bare.commit([(bare.insert("tasks"), batch)])
        told = _batches(events, 2 * UPDATED)
        for batch in _batches(tasks, UPDATED):
            changes = [[row[place] for place in places] for row in batch]
            bare.commit([(update, changes), (bare.insert("events"), next(told, ()))])
        return len(tasks) / (monotonic() - began)


def measure_each(store: Store, folder: Path, most: int) -> Sequence[float]:
    """Seconds for each of some tasks, inserted with one event in a transaction of its own."""
    times = []
    with bare_tables(store, folder, most) as bare:
        for task, event in zip(bare.rows["tasks"], bare.rows["events"], strict=False):
            began = monotonic()
            bare.commit([(bare.insert("tasks"), [task]), (bare.insert("events"), [event])])
            times.append(monotonic() - began)
    return times


@contextmanager
def bare_tables(store: Store, folder: Path, most: int) -> Iterator[Bare]:
    """Tables of their own: a file in ``folder``, or beside the run's in its PostgreSQL; gone afterwards."""
    with _on_sqlite(store, folder, most) if store.embedded else _on_postgresql(store, most) as bare:
        yield bare


@contextmanager
def _on_sqlite(store: Store, folder: Path, most: int) -> Iterator[Bare]:
    path = folder / "bare.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as target:
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            target.execute(f"PRAGMA {pragma}")
        with closing(sqlite3.connect(store.url.database or "")) as source:
            names = ", ".join("?" * len(TABLES))
            for (statement,) in source.execute(
                f"SELECT sql FROM sqlite_master WHERE tbl_name IN ({names}) AND sql IS NOT NULL", TABLES
            ):
                target.execute(statement)
            columns, rows = _read(source, most)
        yield Bare(
            connection=target, mark="?", names=dict(zip(TABLES, TABLES, strict=True)), columns=columns, rows=rows
        )
    for left in folder.glob("bare.db*"):
        left.unlink()


@contextmanager
def _on_postgresql(store: Store, most: int) -> Iterator[Bare]:
    import psycopg
    from psycopg.types.json import set_json_loads

    url = store.url.set(drivername="postgresql").render_as_string(hide_password=False)
    names = {table: f"bare_{table}" for table in TABLES}
    with psycopg.connect(url, autocommit=True) as connection:
        # Documents are passed on as they are, unread.
        set_json_loads(lambda text: text if isinstance(text, str) else text.decode(), connection)
        try:
            for table, name in names.items():
                connection.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL)")
            columns, rows = _read(connection, most)
            yield Bare(connection=connection, mark="%s", names=names, columns=columns, rows=rows)
        finally:
            for name in names.values():
                connection.execute(f"DROP TABLE IF EXISTS {name}")


def _read(connection: Any, most: int) -> tuple[dict[str, Sequence[str]], dict[str, Rows]]:
    columns: dict[str, Sequence[str]] = {}
    rows: dict[str, Rows] = {}
    for table in TABLES:
        cursor = connection.cursor()
        # Two events for each task: that it was placed, and that it runs.
        cursor.execute(f"SELECT * FROM {table} ORDER BY id LIMIT {most if table == 'tasks' else 2 * most}")
        columns[table] = [column[0] for column in cursor.description]
        rows[table] = cursor.fetchall()
    return columns, rows


def _batches(rows: Rows, size: int) -> Iterator[Rows]:
    waiting = iter(rows)
    while batch := list(islice(waiting, size)):
        yield batch
