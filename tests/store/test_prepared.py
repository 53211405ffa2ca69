"""Statements that are compiled once: the same on both databases, and within the session's transaction."""

from sqlalchemy import bindparam, literal, select, update

from kit.clock import ManualClock
from state.prepared import Prepared, values_of
from state.repositories import Repository
from state.store import Session, Store

# The values come in another order than the statement has them.
SET_POLICY = Prepared(update(Repository).where(Repository.name == bindparam("before")).values(values_of("policy")))
POLICY = Prepared(select(Repository.policy, literal(7)).where(Repository.name == bindparam("name")))


def test_values_reach_the_places_of_their_names_and_written_rows_are_counted(store: Store) -> None:
    now = ManualClock().now()
    store.transact(lambda session: session.add_all(Repository(name=name, created_at=now) for name in ("a", "b")))
    assert store.transact(lambda session: SET_POLICY.rows(session, before="a", policy="{}")) == 1
    assert store.transact(lambda session: SET_POLICY.rows(session, before="none", policy="{}")) == 0
    found = store.read(lambda session: [POLICY.row(session, name=name) for name in ("a", "b", "none")])
    assert [each and tuple(each) for each in found] == [("{}", 7), (None, 7), None]


def test_what_the_session_has_not_written_yet_is_seen(store: Store) -> None:
    def add_and_look(session: Session) -> bool:
        session.add(Repository(name="a", created_at=ManualClock().now()))
        return POLICY.row(session, name="a") is not None

    assert store.transact(add_and_look)
