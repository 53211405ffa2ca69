"""``berth agent token|keys|revoke``: who may join, which hosts have, and taking one of them out."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kit.clock import SystemClock
from kit.settings import Settings
from orchestrator.agents.joining import make_host_key
from orchestrator.app import build_parts
from orchestrator.cli import main
from state.access_keys import AccessKey
from state.join_tokens import JoinToken
from state.store import Session
from tests.support.tasks import TasksPlane

Berth = Callable[..., int]


@pytest.fixture
def berth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Berth:
    for name in ("BERTH_STORE_URL", "BERTH_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    return lambda *words: main([*words, "--data", str(tmp_path)])


@pytest.fixture
def plane(berth: Berth, tmp_path: Path) -> Iterator[TasksPlane]:
    settings = Settings(data=tmp_path)
    build_parts(settings).store.close()
    plane = TasksPlane(settings.store)
    yield plane
    plane.close()


def keyed_host(plane: TasksPlane) -> tuple[str, str]:
    """The ids of a host and of its key."""
    host = plane.add_host().rsplit("/", 1)[-1]

    def write(session: Session) -> str:
        key_id, _ = make_host_key(session, plane.secrets, account="123456789012", now=SystemClock().now())
        session.get_one(AccessKey, key_id).speaks_for = host
        return key_id

    return host, plane.store.transact(write)


def status_of(plane: TasksPlane, host: str) -> str:
    [found] = plane.ecs.describe_container_instances(containerInstances=[host])["containerInstances"]
    return str(found["status"])


def test_a_host_is_taken_out_by_what_the_screen_shows_of_it(
    berth: Berth, plane: TasksPlane, capsys: pytest.CaptureFixture[str]
) -> None:
    (host, key), (other, _) = keyed_host(plane), keyed_host(plane)
    assert berth("agent", "keys") == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80 and len(lines) == 3
    shown = next(line.split()[0] for line in lines if key in line)

    assert berth("agent", "revoke", shown) == 0

    assert capsys.readouterr().out.startswith(f"Revoked {key}: the host is out")
    assert (status_of(plane, host), status_of(plane, other)) == ("INACTIVE", "ACTIVE")
    assert berth("agent", "revoke", shown) == 1
    assert "see: berth agent keys" in capsys.readouterr().err


def test_a_token_that_nobody_has_used_is_ended(
    berth: Berth, plane: TasksPlane, capsys: pytest.CaptureFixture[str]
) -> None:
    assert berth("agent", "token") == 0
    key_id = capsys.readouterr().out.partition(":")[0]
    assert berth("agent", "revoke", key_id) == 0
    assert capsys.readouterr().out == f"Revoked {key_id}: nobody can join with it any more.\n"
    assert plane.store.read(lambda session: session.get(AccessKey, key_id)) is None
    assert berth("agent", "revoke", key_id) == 1


def test_of_a_token_that_was_used_the_host_is_taken_out(
    berth: Berth, plane: TasksPlane, capsys: pytest.CaptureFixture[str]
) -> None:
    (host, key), (other, _) = keyed_host(plane), keyed_host(plane)
    assert berth("agent", "token") == 0
    token = capsys.readouterr().out.partition(":")[0]

    def use(session: Session) -> None:
        session.get_one(JoinToken, token).host_key_id = key

    plane.store.transact(use)
    assert berth("agent", "revoke", token) == 0
    assert capsys.readouterr().out.startswith(f"Revoked {key}: the host is out")
    assert (status_of(plane, host), status_of(plane, other)) == ("INACTIVE", "ACTIVE")


@pytest.mark.parametrize(("endpoint", "told"), [("http://127.0.0.1:7070", True), ("https://berth.example", False)])
def test_a_token_comes_with_what_to_do_on_the_host(
    berth: Berth,
    plane: TasksPlane,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    endpoint: str,
    told: bool,
) -> None:
    monkeypatch.setenv("BERTH_ENDPOINT", endpoint)
    assert berth("agent", "token") == 0
    said = capsys.readouterr()
    assert said.out.count("\n") == 1, "what a script reads is the token alone"
    assert f"AWS_ENDPOINT_URL={endpoint} BERTH_JOIN_TOKEN=… berth agent" in said.err
    assert ("Only this machine reaches that address" in said.err) is told


@pytest.mark.parametrize("words", [("agent", "token"), ("agent", "keys"), ("top",), ("role", "list")])
def test_no_berth_is_made_where_there_is_none(
    berth: Berth, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert berth(*words) == 1
    assert f"no Berth has its store in {tmp_path}; name its data directory with --data" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
