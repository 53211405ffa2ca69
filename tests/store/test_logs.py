"""Log groups, streams and events in the store, on both databases: sweeping in chunks, ids, writers side by side."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select

from kit.clock import epoch_millis
from state.base import Base
from state.log_events import LogEvent, add_log_events, expire_log_events, scan_log_events
from state.log_groups import LogGroup, get_log_group, list_log_groups
from state.log_streams import DiscardedStream, LogStream, discard_log_group, discard_log_stream, get_log_stream
from state.store import Session, Store

NOW = datetime(2030, 1, 1, tzinfo=UTC)
MS = epoch_millis(NOW)


def make(store: Store, group: str, *streams: str, retention_days: int | None = None) -> None:
    def work(session: Session) -> None:
        row = LogGroup(name=group, retention_days=retention_days, created_at=NOW)
        session.add(row)
        session.flush()
        session.add_all(LogStream(group_id=row.id, name=name, created_at=NOW) for name in streams)

    store.transact(work)


def put(store: Store, group: str, stream: str, *lines: tuple[int, str]) -> None:
    def work(session: Session) -> None:
        row = get_log_group(session, group)
        assert row is not None
        held = get_log_stream(session, row, stream, hold=True)
        assert held is not None
        add_log_events(session, held, lines, at=MS)

    store.transact(work)


def read(store: Store, group: str) -> list[str]:
    def work(session: Session) -> list[str]:
        row = get_log_group(session, group)
        assert row is not None
        return [line.message for line in scan_log_events(session, row, since=0, limit=100_000)]

    return store.read(work)


def count(store: Store, table: type[Base]) -> int:
    return store.read(lambda session: session.scalar(select(func.count()).select_from(table)) or 0)


def sweep(store: Store, limit: int) -> int:
    return store.transact(lambda session: expire_log_events(session, NOW, limit))


def test_a_deleted_streams_events_are_unreachable_at_once_and_swept_in_chunks(store: Store) -> None:
    make(store, "g", "gone", "kept")
    put(store, "g", "gone", *((MS, str(index)) for index in range(7)))
    put(store, "g", "kept", (MS, "kept"))

    def discard(session: Session) -> None:
        group = get_log_group(session, "g")
        assert group is not None
        stream = get_log_stream(session, group, "gone")
        assert stream is not None
        discard_log_stream(session, stream)

    store.transact(discard)
    assert read(store, "g") == ["kept"]
    assert [sweep(store, 3) for _ in range(4)] == [3, 3, 1, 0]
    assert count(store, LogEvent) == 1
    assert count(store, DiscardedStream) == 0


def test_a_new_stream_never_inherits_the_id_of_a_deleted_one(store: Store) -> None:
    make(store, "g", "s")
    put(store, "g", "s", (MS, "of the old stream"))

    def discard(session: Session) -> int:
        group = get_log_group(session, "g")
        assert group is not None
        stream = get_log_stream(session, group, "s")
        assert stream is not None
        discard_log_group(session, group)
        return stream.id

    old = store.transact(discard)
    make(store, "g", "s")
    assert store.read(lambda session: session.scalars(select(LogStream.id)).one()) > old
    assert read(store, "g") == []
    assert sweep(store, 10) == 1
    put(store, "g", "s", (MS, "new"))
    assert sweep(store, 10) == 0
    assert read(store, "g") == ["new"]


def test_retention_sweeps_only_what_is_too_old_and_keeps_the_books(store: Store) -> None:
    make(store, "short", "a", "b", retention_days=1)
    make(store, "for ever", "a")
    old, edge = MS - 86_400_001, MS - 86_400_000
    for stream in ("a", "b"):
        put(store, "short", stream, (old - 1, "old"), (old, "old"), (edge, "edge"), (MS, "new"))
    put(store, "for ever", "a", (1, "ancient"))
    assert [sweep(store, 3) for _ in range(3)] == [3, 1, 0]
    assert sorted(read(store, "short")) == ["edge", "edge", "new", "new"]
    assert read(store, "for ever") == ["ancient"]
    streams = store.read(lambda session: session.scalars(select(LogStream).order_by(LogStream.id)).all())
    assert [(stream.first_event_at, stream.stored_bytes) for stream in streams[:2]] == [(edge, 30 + 29)] * 2


def test_a_stream_swept_empty_has_no_first_event_and_takes_new_ones(store: Store) -> None:
    make(store, "g", "s", retention_days=1)
    put(store, "g", "s", (1, "old"))
    assert sweep(store, 10) == 1
    stream = store.read(lambda session: session.scalars(select(LogStream)).one())
    assert (stream.first_event_at, stream.stored_bytes) == (None, 0)
    put(store, "g", "s", (MS, "new"))
    assert sweep(store, 10) == 0
    assert read(store, "g") == ["new"]


def test_writers_side_by_side_lose_nothing(store: Store) -> None:
    make(store, "g", "s")

    def write(writer: int) -> None:
        for batch in range(10):
            put(store, "g", "s", *((MS + batch, f"{writer}/{batch}/{line}") for line in range(5)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert sorted(read(store, "g")) == sorted(f"{w}/{b}/{n}" for w in range(4) for b in range(10) for n in range(5))
    stream = store.read(lambda session: session.scalars(select(LogStream)).one())
    assert stream.batches == 40
    assert stream.stored_bytes == store.read(lambda session: session.scalar(select(func.sum(LogEvent.size))))


def test_a_stream_created_while_its_group_goes_is_refused_or_gone_with_it(store: Store) -> None:
    def create(index: int) -> None:
        def work(session: Session) -> None:
            group = get_log_group(session, "g", hold="share")
            if group is not None:
                session.add(LogStream(group_id=group.id, name=f"s{index}", created_at=NOW))

        store.transact(work)

    def remove() -> None:
        def work(session: Session) -> None:
            group = get_log_group(session, "g", hold="alone")
            if group is not None:
                discard_log_group(session, group)

        store.transact(work)

    for _ in range(5):
        make(store, "g")
        with ThreadPoolExecutor(4) as pool:
            done = [pool.submit(create, index) for index in range(6)]
            done.append(pool.submit(remove))
            for future in done:
                future.result()
        assert count(store, LogStream) == 0
        assert count(store, LogGroup) == 0


def test_names_sort_byte_by_byte_on_every_database(store: Store) -> None:
    for name in ("b", "B", "a-b", "a/b", "a", "_", "A"):
        make(store, name)
    listed = store.read(lambda session: [group.name for group in list_log_groups(session, limit=10)])
    assert listed == ["A", "B", "_", "a", "a-b", "a/b", "b"]


def test_reading_backwards_between_two_places(store: Store) -> None:
    make(store, "g", "s")
    put(store, "g", "s", *((MS + index // 2, str(index)) for index in range(8)))

    def work(session: Session) -> tuple[list[str], list[str]]:
        group = get_log_group(session, "g")
        assert group is not None
        lines = list(scan_log_events(session, group, since=0, limit=100))
        between = scan_log_events(
            session, group, since=0, after=lines[1].place, before=lines[6].place, backwards=True, limit=3
        )
        bounded = scan_log_events(session, group, since=MS + 1, until=MS + 2, limit=100)
        return [line.message for line in between], [line.message for line in bounded]

    assert store.read(work) == (["5", "4", "3"], ["2", "3", "4", "5"])


def test_a_day_of_retention_is_a_day(store: Store) -> None:
    make(store, "g", "s", retention_days=1)
    put(store, "g", "s", (MS, "line"))
    day_later = NOW + timedelta(days=1)
    assert store.transact(lambda session: expire_log_events(session, day_later, 10)) == 0
    later = day_later + timedelta(milliseconds=1)
    assert store.transact(lambda session: expire_log_events(session, later, 10)) == 1
