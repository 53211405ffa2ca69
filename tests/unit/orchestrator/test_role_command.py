"""``berth role``: what is put for a role is listed, reaches sessions that live, and can be taken back."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from kit.clock import SystemClock
from kit.ids import new_id
from kit.settings import Settings
from orchestrator.app import build_parts
from orchestrator.cli import main
from orchestrator.identity import open_session
from orchestrator.role_actions import DEFAULTS, actions_of
from state.access_keys import AccessKey
from state.role_sessions import APPLICATION, EXECUTION, RoleSession
from state.store import Session


@pytest.fixture
def berth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    for name in ("BERTH_STORE_URL", "BERTH_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    build_parts(Settings(data=tmp_path)).store.close()
    return lambda *words: main([*words, "--data", str(tmp_path)])


def test_a_role_is_put_listed_and_removed(berth: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert berth("role", "list") == 0
    assert "No roles" in capsys.readouterr().out
    assert berth("role", "put", "worker", "--allow", "ecs:RunTask", "logs:*", "--allow", "ecs:RunTask") == 0
    assert capsys.readouterr().out == "Role worker: ecs:RunTask, logs:*\n"
    assert berth("role", "list") == 0
    assert "worker" in (told := capsys.readouterr().out) and "ecs:RunTask logs:*" in told
    assert berth("role", "remove", "worker") == 0
    assert berth("role", "remove", "worker") == 1
    assert "nothing was said of a role worker" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("arn:aws:iam::1:role/worker", "--allow", "ecs:RunTask"),
        ("", "--allow", "ecs:RunTask"),
        ("worker", "--allow", "RunTask"),
        ("worker", "--allow", "ecs:Run Task"),
        ("worker", "--allow", ""),
    ],
)
def test_nonsense_is_refused(berth: Callable[..., int], capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert berth("role", "put", *words) == 1
    assert "is not" in capsys.readouterr().err


def test_sessions_that_live_may_at_once_what_was_put(berth: Callable[..., int], tmp_path: Path) -> None:
    parts = build_parts(Settings(data=tmp_path))
    now = SystemClock().now()
    keys: dict[tuple[str, str], str] = {}

    def open_some(session: Session) -> None:
        for name in ("worker", "other"):
            for kind in (APPLICATION, EXECUTION):
                key = open_session(
                    session,
                    parts.secrets,
                    principal_arn=f"arn:aws:sts::123456789012:assumed-role/{name}/x",
                    actions=actions_of(session, name, kind),
                    now=now,
                    length=timedelta(hours=1),
                )
                keys[name, kind] = key.access_key_id
                session.add(
                    RoleSession(
                        access_key_id=key.access_key_id,
                        task_id=new_id(),
                        kind=kind,
                        generation=1,
                        credentials_id="c",
                        role_arn=name,
                        role_name=name,
                        expires_at=now,
                    )
                )

    def may() -> dict[tuple[str, str], list[str]]:
        return parts.store.read(
            lambda session: {which: session.get_one(AccessKey, name).actions for which, name in keys.items()}
        )

    parts.store.transact(open_some)
    before = may()
    assert before["worker", EXECUTION] == list(DEFAULTS[EXECUTION])
    assert berth("role", "put", "worker", "--allow", "ecs:*") == 0
    changed = {("worker", kind): ["ecs:*"] for kind in (APPLICATION, EXECUTION)}
    assert may() == {**before, **changed}
    assert berth("role", "remove", "worker") == 0
    assert may() == before
    parts.store.close()
