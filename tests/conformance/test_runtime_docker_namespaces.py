"""Namespaces that a task's containers share, on a real Docker Engine, seen from inside of them."""

from pathlib import Path

from tests.support.agent_bench import Bench
from tests.support.agent_process import awslogs, stopped

LOG = awslogs(group="/g", create_group="true", stream_prefix="p")


def told(bench: Bench, task_id: str, name: str) -> str:
    """What a container printed, once its task has stopped."""
    bench.plane.wait_for_report(task_id, "STOPPED")
    return "\n".join(bench.plane.events.get(f"p/{name}/{task_id}", []))


def test_containers_of_a_task_see_each_others_processes_and_memory(bench: Bench) -> None:
    """A pause container holds both namespaces, without a network of its own."""
    writer = bench.container("writer", "sh", "-c", "echo shared > /dev/shm/word; (sleep 0.2 &); exec sleep 617")
    script = "until [ -e /dev/shm/word ]; do sleep 0.1; done; sleep 0.5; cat /dev/shm/word; ps"
    reader = bench.container("reader", "sh", "-c", script, hostConfig={**LOG, "ShmSize": 16 * 1024 * 1024})
    first = {"dependsOn": [{"containerName": "writer", "condition": "START"}]}
    task_id, _ = bench.run(writer, {**reader, **first}, pidMode="task", ipcMode="task")
    seen = told(bench, task_id, "reader")
    assert "shared" in seen
    assert "sleep 617" in seen
    assert "1 0 /pause" in " ".join(seen.split()) or "/pause" in seen
    assert "[sleep]" not in seen
    bench.plane.wait_for(lambda: not bench.containers())


def test_the_hosts_processes_are_seen_with_its_pid_mode(bench: Bench) -> None:
    # By their names alone: some end while they are looked at.
    script = "set -- /proc/[0-9]*; echo $#; cat /proc/1/comm; readlink /proc/self/ns/ipc"
    task_id, _ = bench.run(bench.container("c", "sh", "-c", script, hostConfig=LOG), pidMode="host", ipcMode="host")
    count, comm, ipc = told(bench, task_id, "c").splitlines()
    assert int(count) > 3
    assert comm == Path("/proc/1/comm").read_text().strip()
    assert ipc == str(Path("/proc/self/ns/ipc").readlink())


def test_no_ipc_means_no_shared_memory(bench: Bench) -> None:
    script = "grep -c ' /dev/shm ' /proc/mounts"
    task_id, _ = bench.run(bench.container("c", "sh", "-c", script, hostConfig=LOG), ipcMode="none")
    assert told(bench, task_id, "c") == "0"


def test_a_stop_ends_what_shares_before_what_holds(bench: Bench) -> None:
    task_id, payload = bench.run(bench.container("c", "sleep", "600"), pidMode="task")
    bench.plane.wait_for_report(task_id, "RUNNING")
    bench.plane.send_payload(stopped(payload), seq=3)
    report = bench.plane.wait_for_report(task_id, "STOPPED")
    assert [c["containerName"] for c in report["containers"]] == ["c"]
    bench.plane.wait_for(lambda: not bench.containers())
