"""A store in trouble: writes are refused in words, reads go on, and nothing needs a restart afterwards."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from sqlalchemy import Connection, event, text

from kit.settings import Settings
from orchestrator.operations import SERVICES
from state.store import Session, StoreUnavailable
from tests.support.loopback import Loopback


class SmallDisk:
    """A limit on the pages of the database, as if its disk had that many."""

    def __init__(self, plane: Loopback, path: Path) -> None:
        self._path = path
        self.full = False
        event.listen(plane.store.engine, "begin", self._limit, insert=True)

    def _limit(self, connection: Connection) -> None:
        driver: Any = connection.connection.dbapi_connection
        pages = driver.execute("PRAGMA page_count").fetchone()[0] if self.full else 2**31 - 2
        driver.execute(f"PRAGMA max_page_count = {pages}")


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Loopback]:
    loopback = Loopback(f"sqlite:///{tmp_path / 'berth.db'}", SERVICES, settings=Settings(data=tmp_path))
    yield loopback
    loopback.close()


@pytest.fixture
def disk(plane: Loopback, tmp_path: Path) -> SmallDisk:
    return SmallDisk(plane, tmp_path / "berth.db")


def test_a_full_disk_refuses_writes_with_a_code_that_clients_retry(plane: Loopback, disk: SmallDisk) -> None:
    ecs = plane.client("ecs")
    made = fill(ecs, disk)

    with pytest.raises(ClientError) as refused:
        register(ecs, "one-more")

    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert refused.value.response["Error"]["Code"] == "ServiceUnavailable"
    assert "disk of the store is full" in refused.value.response["Error"]["Message"]
    assert set(families(ecs)) == set(made)


def test_writes_go_on_once_there_is_space_again(plane: Loopback, disk: SmallDisk) -> None:
    ecs = plane.client("ecs")
    made = fill(ecs, disk)

    disk.full = False
    register(ecs, "afterwards")

    assert set(families(ecs)) == {*made, "afterwards"}


def test_a_store_that_is_gone_is_told_as_unavailable(tmp_path: Path) -> None:
    plane = Loopback(f"sqlite:///{tmp_path / 'berth.db'}", SERVICES)
    plane.store.close()
    (tmp_path / "berth.db").rename(tmp_path / "moved")
    (tmp_path / "berth.db").mkdir()

    with pytest.raises(StoreUnavailable):
        plane.store.ping()
    with pytest.raises(ClientError, match="ServiceUnavailable"):
        plane.client("ecs").list_clusters()
    plane.close()


def register(ecs: Any, family: str) -> None:
    container = {"name": "web", "image": "web:1", "memory": 64, "command": ["x" * 30_000]}
    ecs.register_task_definition(family=family, containerDefinitions=[container])


def fill(ecs: Any, disk: SmallDisk) -> list[str]:
    """Write until the disk is full; answers the families that were acknowledged."""
    register(ecs, "family-0")
    disk.full = True
    made = ["family-0"]
    for number in range(1, 100):
        try:
            register(ecs, f"family-{number}")
        except ClientError:
            return made
        made.append(f"family-{number}")
    raise AssertionError("the disk never was full")


def families(ecs: Any) -> list[str]:
    found: list[str] = ecs.list_task_definition_families()["families"]
    return found


def test_a_server_that_hangs_up_is_told_as_unavailable_and_works_again(postgresql_url: str) -> None:
    plane = Loopback(postgresql_url, SERVICES)

    def cut_off(session: Session) -> None:
        session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    for run in (plane.store.transact, plane.store.read):
        with pytest.raises(StoreUnavailable):
            run(cut_off)

    assert plane.client("ecs").list_clusters()["clusterArns"] == []
    plane.close()
