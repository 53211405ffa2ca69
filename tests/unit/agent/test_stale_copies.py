"""Stale copies end before anything new is launched; who may stay, or does not end, holds nothing up for long."""

from agent.tasks import messages as m
from agent.tasks.model import Phase
from agent.tasks.stale import MOST_HELD
from tests.support.agent_process import container
from tests.support.fake_control_plane import task_arn
from tests.unit.agent.host import MemoryHost

WEB = container("web", "server")


def manifest(host: MemoryHost, *running: str) -> None:
    host.engine.post(m.Manifest(running=frozenset(map(task_arn, running)), answer=lambda arns: None))


def told_to_stop(host: MemoryHost, *tasks: str) -> None:
    host.engine.post(m.StopThese(tasks=tuple(map(task_arn, tasks))))
    host.settle()


def test_a_new_task_waits_until_the_stale_copies_have_ended(host: MemoryHost) -> None:
    host.run("stale", WEB)
    manifest(host, "new")
    host.run("new", WEB)
    assert host.status("new") is None
    assert host.running() == ["web"]

    told_to_stop(host, "stale")

    assert host.status("stale") is Phase.STOPPED
    assert host.status("new") is Phase.RUNNING


def test_a_stopped_copy_whose_log_is_still_under_way_holds_nothing_up(host: MemoryHost) -> None:
    host.run("stale", WEB)
    host.logs.hold = True
    manifest(host, "new")
    host.assign("new", WEB)
    told_to_stop(host, "stale")
    assert host.status("new") is Phase.RUNNING
    host.logs.let_out()
    host.settle()
    assert host.status("stale") is Phase.STOPPED


def test_what_may_stay_after_all_holds_nothing_up(host: MemoryHost) -> None:
    host.run("raced", WEB)
    manifest(host, "new")
    host.run("new", WEB)
    assert host.status("new") is None

    told_to_stop(host)

    assert host.status("raced") is Phase.RUNNING
    assert host.status("new") is Phase.RUNNING


def test_a_copy_that_does_not_end_holds_others_up_for_a_while_only(host: MemoryHost) -> None:
    host.run("stale", WEB)
    manifest(host, "new")
    host.run("new", WEB)
    host.tick(MOST_HELD.total_seconds() - 1)
    assert host.status("new") is None
    host.tick(1)
    assert host.status("new") is Phase.RUNNING


def test_a_newer_manifest_that_knows_all_frees_what_waits(host: MemoryHost) -> None:
    host.run("stale", WEB)
    manifest(host, "new")
    host.run("new", WEB)
    assert host.status("new") is None
    manifest(host, "new", "stale")
    host.settle()
    assert host.status("new") is Phase.RUNNING
