"""What every runtime driver promises of containers, asked of the simulated one and of a real Docker Engine alike."""

import pytest

from agent.firelens import packed
from agent.runtime import Event, Kind, NameTaken, NotFound, Refused, Runtime, Status, Temporary
from agent.runtime.docker import DockerRuntime
from kit.clock import SystemClock
from tests.conformance.runtime_rigs import GRACE, Rig, SimulatedRig


def test_a_container_goes_from_created_to_running_to_exited(rig: Rig) -> None:
    container = rig.create("c", "exit-3")
    assert rig.runtime.inspect(container).status is Status.CREATED
    rig.runtime.start(container)
    running = rig.runtime.inspect(container)
    assert (running.status, running.exit_code) == (Status.RUNNING, None)
    assert running.started_at is not None
    rig.wait_for_exit(container)
    exited = rig.runtime.inspect(container)
    assert (exited.status, exited.exit_code, exited.oom_killed) == (Status.EXITED, 3, False)
    assert exited.finished_at is not None
    assert exited.finished_at >= running.started_at


def test_a_container_is_found_by_id_by_name_and_by_labels(rig: Rig) -> None:
    container = rig.create("c", "sleep")
    assert rig.runtime.inspect(rig.name("c")).id == container
    assert [state.id for state in rig.runtime.list(rig.labels)] == [container]
    assert rig.runtime.list({**rig.labels, "other": "label"}) == ()
    assert rig.runtime.inspect(container).name == rig.name("c")


def test_a_name_is_given_once(rig: Rig) -> None:
    rig.create("c", "sleep")
    with pytest.raises(NameTaken):
        rig.create("c", "sleep")


def test_a_program_that_is_not_there_refuses_to_start_and_leaves_its_reason(rig: Rig) -> None:
    container = rig.create("c", "missing")
    with pytest.raises(Refused, match="no such file or directory"):
        rig.runtime.start(container)
    state = rig.runtime.inspect(container)
    assert (state.status, state.exit_code) == (Status.CREATED, 127)
    assert "no such file or directory" in state.error


def test_every_call_may_be_repeated(rig: Rig) -> None:
    container = rig.started("c", "sleep")
    rig.runtime.start(container)
    rig.runtime.stop(container, GRACE)
    code = rig.runtime.inspect(container).exit_code
    rig.runtime.stop(container, GRACE)
    rig.runtime.kill(container)
    assert rig.runtime.inspect(container).exit_code == code
    rig.runtime.remove(container)
    rig.runtime.remove(container)


def test_a_kill_is_137(rig: Rig) -> None:
    container = rig.started("c", "sleep")
    rig.runtime.kill(container)
    rig.wait_for_exit(container)
    assert rig.runtime.inspect(container).exit_code == 137


def test_what_does_not_exist_is_not_found(rig: Rig) -> None:
    for call in (rig.runtime.start, rig.runtime.kill, rig.runtime.inspect, rig.runtime.stats):
        with pytest.raises(NotFound):
            call(rig.name("nobody"))
    with pytest.raises(NotFound):
        rig.runtime.stop(rig.name("nobody"), GRACE)


def test_a_running_container_is_removed_too(rig: Rig) -> None:
    container = rig.started("c", "sleep")
    rig.runtime.remove(container)
    assert rig.runtime.list(rig.labels) == ()


def test_a_death_is_told_to_whoever_asked_for_its_labels(rig: Rig) -> None:
    heard: list[Event] = []
    elsewhere: list[Event] = []
    subscriptions = [
        rig.runtime.events(rig.labels, heard.append),
        rig.runtime.events({"another": "label"}, elsewhere.append),
    ]
    container = rig.started("c", "exit-3")
    rig.until(lambda: any(event.kind is Kind.DIED for event in heard))
    died = next(event for event in heard if event.kind is Kind.DIED)
    assert died.container_id == container
    assert rig.labels.items() <= died.labels.items()
    assert elsewhere == []
    for subscription in subscriptions:
        subscription.close()


def test_usage_is_counted(rig: Rig) -> None:
    container = rig.started("c", "sleep")
    usage = rig.runtime.stats(container)
    assert usage.memory_bytes > 0
    assert usage.cpu_ns >= 0


def test_what_containers_write_is_counted_by_their_labels(rig: Rig) -> None:
    rig.started("idle", "sleep")
    before = rig.runtime.written(rig.labels)
    rig.wait_for_exit(rig.started("c", "write"))
    assert rig.runtime.written(rig.labels) - before == 1 << 20
    assert rig.runtime.written({**rig.labels, "other": "label"}) == 0


def test_files_are_put_into_a_container_before_it_starts_and_again(rig: Rig) -> None:
    tar = packed({"word": b"one"})
    container = rig.create("c", "sleep")
    for _ in range(2):
        rig.runtime.put(container, "/tmp", tar)
    rig.runtime.start(container)
    with pytest.raises(NotFound):
        rig.runtime.put(rig.name("absent"), "/tmp", tar)


def test_a_container_is_started_again_in_its_place(rig: Rig) -> None:
    container = rig.started("c", "exit-3")
    rig.wait_for_exit(container)
    first = rig.runtime.inspect(container)
    rig.runtime.start(container)
    again = rig.runtime.inspect(container)
    assert (again.id, again.status, again.exit_code) == (first.id, Status.RUNNING, None)
    assert first.started_at and again.started_at
    assert again.started_at > first.started_at
    rig.wait_for_exit(container)
    last = rig.runtime.inspect(container)
    assert last.finished_at and first.finished_at
    assert last.finished_at > first.finished_at


def test_details_and_statistics_are_told_of_what_runs(rig: Rig) -> None:
    container = rig.started("sleeper", "sleep", NetworkMode="bridge")
    details = rig.runtime.details(container)
    assert details.image_id and details.created_at is not None
    assert details.addresses == {"bridge": rig.runtime.inspect(container).address}
    assert (details.pid > 0) == rig.runtime.info().local
    sample = rig.runtime.statistics(container)
    assert sample["read"] and sample["cpu_stats"]["cpu_usage"]["total_usage"] >= 0
    assert sample["memory_stats"] and {"rx_bytes", "tx_bytes"} <= sample["networks"]["eth0"].keys()
    rig.runtime.stop(container, GRACE)
    assert rig.runtime.details(container).pid == 0
    for ask in (rig.runtime.details, rig.runtime.statistics):
        with pytest.raises(NotFound):
            ask(rig.name("nobody"))


def test_the_engine_says_what_it_is(rig: Rig) -> None:
    info = rig.runtime.info()
    assert info.version
    assert info.cpus >= 1
    assert info.memory_mib > 0
    assert info.architecture in ("x86_64", "aarch64")


def test_an_engine_that_does_not_answer_is_a_temporary_trouble(rig: Rig) -> None:
    if isinstance(rig, SimulatedRig):
        rig.simulated.go_away()
        away: Runtime = rig.runtime
    else:
        away = DockerRuntime(clock=SystemClock(), host="tcp://127.0.0.1:9")
    for call in (away.info, lambda: away.inspect("c"), lambda: away.list({}), lambda: away.create("c", {"Image": "i"})):
        with pytest.raises(Temporary):
            call()
