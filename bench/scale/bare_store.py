"""The floor of a run: what the database alone needs for the same rows, written by its own driver and nothing else.

The rows are the run's own, tasks with their events, so they have its size; tables and indexes are made alike, and the
durability is the same. Each task is inserted, then updated as by the report that it runs, in batches of a run's size.
"""

import sqlite3
from collections.abc import Iterator, Sequence
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
class Copy:
    """Rows of a run: what there is to write again."""

    columns: dict[str, Sequence[str]]
    rows: dict[str, Rows]


def measure_bare(store: Store, folder: Path) -> float:
    """Tasks a second that the database inserts and updates, on a copy of the first of the run's tasks."""
    return _on_sqlite(store, folder) if store.embedded else _on_postgresql(store)


def _on_sqlite(store: Store, folder: Path) -> float:
    source = sqlite3.connect(store.url.database or "")
    target = sqlite3.connect(folder / "bare.db", isolation_level=None)
    try:
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            target.execute(f"PRAGMA {pragma}")
        names = ", ".join("?" * len(TABLES))
        for (statement,) in source.execute(
            f"SELECT sql FROM sqlite_master WHERE tbl_name IN ({names}) AND sql IS NOT NULL", TABLES
        ):
            target.execute(statement)
        return _write(target, _copy(source), "?", dict(zip(TABLES, TABLES, strict=True)))
    finally:
        source.close()
        target.close()


def _on_postgresql(store: Store) -> float:
    import psycopg
    from psycopg.types.json import set_json_loads

    url = store.url.set(drivername="postgresql").render_as_string(hide_password=False)
    bare = {table: f"bare_{table}" for table in TABLES}
    with psycopg.connect(url, autocommit=True) as connection:
        set_json_loads(lambda text: text if isinstance(text, str) else text.decode(), connection)
        try:
            for table, name in bare.items():
                connection.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL)")
            return _write(connection, _copy(connection), "%s", bare)
        finally:
            for name in bare.values():
                connection.execute(f"DROP TABLE IF EXISTS {name}")


def _copy(connection: Any) -> Copy:
    columns: dict[str, Sequence[str]] = {}
    rows: dict[str, Rows] = {}
    for table in TABLES:
        cursor = connection.cursor()
        # Two events for each task: that it was placed, and that it runs.
        cursor.execute(f"SELECT * FROM {table} ORDER BY id LIMIT {MOST if table == 'tasks' else 2 * MOST}")
        columns[table] = [column[0] for column in cursor.description]
        rows[table] = cursor.fetchall()
    return Copy(columns=columns, rows=rows)


def _write(connection: Any, copy: Copy, mark: str, names: dict[str, str]) -> float:
    cursor = connection.cursor()
    inserts = {
        table: f"INSERT INTO {names[table]} ({_quoted(columns)}) VALUES ({', '.join([mark] * len(columns))})"
        for table, columns in copy.columns.items()
    }
    sets = ", ".join(f"{name} = {mark}" for name in CHANGED)
    update = f"UPDATE {names['tasks']} SET {sets} WHERE id = {mark}"
    columns = copy.columns["tasks"]
    places = [columns.index(name) for name in (*CHANGED, "id")]
    tasks, events = copy.rows["tasks"], copy.rows["events"]
    began = monotonic()
    for batch in _batches(tasks, INSERTED):
        _commit(cursor, [(inserts["tasks"], batch)])
    halves = _batches(events, 2 * UPDATED)
    for batch in _batches(tasks, UPDATED):
        changes = [[row[place] for place in places] for row in batch]
        _commit(cursor, [(update, changes), (inserts["events"], next(halves, ()))])
    return len(tasks) / (monotonic() - began)


def _commit(cursor: Any, writes: Sequence[tuple[str, Rows]]) -> None:
    cursor.execute("BEGIN")
    for statement, rows in writes:
        if rows:
            cursor.executemany(statement, rows)
    cursor.execute("COMMIT")


def _batches(rows: Rows, size: int) -> Iterator[Rows]:
    waiting = iter(rows)
    while batch := list(islice(waiting, size)):
        yield batch


def _quoted(columns: Sequence[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)
