"""The agent on a real Docker Engine: what a task asks for is what its processes get, through restarts and outages."""

import uuid
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.agent_bench import Bench, bench_on
from tests.support.agent_process import awslogs, running_agent, stopped
from tests.support.engine import Engine, OwnEngine, connect
from tests.support.fake_control_plane import task_arn
from tests.support.images import make_busybox_image
from tests.support.pages import served

TOLD_TO_END = "while [ ! -e /tmp/end ]; do sleep 0.1; done"


def test_a_bridge_task_serves_on_the_port_it_reports(bench: Bench) -> None:
    ports = [{"containerPort": 80, "hostPort": 0}]
    web = bench.container("web", "httpd", "-f", "-h", "/www", portMappings=ports, cpu=256, memory=64)
    task_id, payload = bench.run(web)
    report = bench.plane.wait_for_report(task_id, "RUNNING")
    [binding] = report["containers"][0]["networkBindings"]
    assert binding["containerPort"] == 80
    assert served(f"http://127.0.0.1:{binding['hostPort']}/") == b"hello from berth\n"
    [made] = bench.containers()
    assert made.labels["com.amazonaws.ecs.task-arn"] == task_arn(task_id)
    assert made.labels["com.amazonaws.ecs.task-definition-version"] == "7"
    assert made.attrs["HostConfig"]["Memory"] == 64 * 1024 * 1024
    assert made.attrs["HostConfig"]["CpuShares"] == 256
    bench.plane.send_payload(stopped(payload), seq=3)
    report = bench.plane.wait_for_report(task_id, "STOPPED")
    assert report["containers"][0]["runtimeId"] == made.id
    bench.plane.wait_for(lambda: not bench.containers())


def test_exit_codes_and_reasons_are_those_of_ecs(bench: Bench) -> None:
    # The engine forgets at times that a container ran out of memory where the container ends in the same moment.
    script = "dd if=/dev/zero of=/dev/null bs=200M count=1; code=$?; sleep 1; exit $code"
    cases = {
        "exits": bench.container("c", "sh", "-c", "exit 3"),
        "missing": bench.container("c", "/no/such/program"),
        "greedy": bench.container("c", "sh", "-c", script, memory=16, hostConfig={"MemorySwap": 16 * 1024 * 1024}),
        "absent": {**bench.container("c"), "image": "127.0.0.1:9/no/such:image"},
    }
    ids = {name: bench.run(spec)[0] for name, spec in cases.items()}
    reports = {name: bench.plane.wait_for_report(task_id, "STOPPED") for name, task_id in ids.items()}
    seen = {name: report["containers"][0] for name, report in reports.items()}
    assert seen["exits"]["exitCode"] == 3
    assert reports["exits"]["reason"] == "Essential container in task exited"
    assert seen["missing"]["reason"].startswith("CannotStartContainerError: Error response from daemon: ")
    assert seen["missing"]["exitCode"] == 127
    assert seen["greedy"]["exitCode"] == 137
    assert seen["greedy"]["reason"] == "OutOfMemoryError: Container killed due to memory usage"
    assert seen["absent"]["reason"].startswith("CannotPullContainerError: ")
    assert reports["absent"]["reason"] == seen["absent"]["reason"]


def test_an_awsvpc_task_shares_one_address_of_its_own(bench: Bench) -> None:
    [registered] = bench.plane.calls("RegisterContainerInstance")
    cidr = next(a["value"] for a in registered["attributes"] if a["name"] == "berth.awsvpc-cidr")
    prefix = cidr.rsplit(".", 1)[0]
    address = f"{prefix}.{77 + uuid.uuid4().int % 100}"
    eni = {
        "ec2Id": "eni-1",
        "ipv4Addresses": [{"primary": True, "privateAddress": address}],
        "macAddress": "02:42:0a:e9:00:4d",
        "subnetGatewayIpv4Address": f"{prefix}.1/20",
    }
    task_id, payload = bench.run(
        bench.container("web", "httpd", "-f", "-h", "/www", portMappings=[{"containerPort": 80}]),
        bench.container(
            "probe", "sh", "-c", "until wget -q -O - http://127.0.0.1/; do sleep 0.1; done; sleep 600", essential=False
        ),
        networkMode="awsvpc",
        elasticNetworkInterfaces=[eni],
    )
    report = bench.plane.wait_for_report(task_id, "RUNNING")
    assert {c["containerName"] for c in report["containers"]} == {"web", "probe"}
    assert served(f"http://{address}/") == b"hello from berth\n"
    bench.plane.send_payload(stopped(payload), seq=3)
    bench.plane.wait_for_report(task_id, "STOPPED")
    bench.plane.wait_for(lambda: not bench.containers())


def test_the_whole_log_is_there_before_stopped_is_said(bench: Bench) -> None:
    script = "seq 1 5000; echo last >&2; exit 4"
    options = awslogs(group="/g", create_group="true", stream_prefix="p")
    task_id, _ = bench.run(bench.container("talker", "sh", "-c", script, hostConfig=options))
    heard: list[str] = []

    def said_stopped() -> bool:
        if not bench.plane.reports(task_id, "STOPPED"):
            return False
        heard.extend(bench.plane.events.get(f"p/talker/{task_id}", []))
        return True

    bench.plane.wait_for(said_stopped)
    assert [line for line in heard if line != "last"] == [str(n) for n in range(1, 5001)]
    assert "last" in heard


def test_a_missing_log_group_keeps_the_task_from_starting(bench: Bench) -> None:
    options = awslogs(group="/never-made", stream_prefix="p")
    task_id, _ = bench.run(bench.container("c", "sleep", "600", hostConfig=options))
    report = bench.plane.wait_for_report(task_id, "STOPPED")
    assert report["reason"].startswith("ResourceInitializationError: ")
    assert "The specified log group does not exist." in report["reason"]


def test_health_reaches_the_control_plane_when_it_changes(bench: Bench) -> None:
    second = 1_000_000_000
    check = {"Test": ["CMD", "test", "-e", "/tmp/well"], "Interval": second, "Timeout": second, "Retries": 1}
    web = bench.container("web", "sleep", "600", config={"Healthcheck": check})
    after = bench.container(
        "after", "sleep", "600", dependsOn=[{"containerName": "web", "condition": "HEALTHY"}], essential=False
    )
    task_id, _ = bench.run(web, after)

    def published(status: str) -> bool:
        return any(
            c["healthStatus"] == status
            for frame in bench.plane.frames("PublishHealthRequest")
            for t in frame["tasks"]
            if t["taskArn"] == task_arn(task_id)
            for c in t["containers"]
        )

    bench.plane.wait_for(lambda: published("UNHEALTHY"))
    assert not bench.plane.reports(task_id, "RUNNING")
    [only] = bench.containers()
    only.exec_run(["touch", "/tmp/well"])
    bench.plane.wait_for(lambda: published("HEALTHY"))
    bench.plane.wait_for_report(task_id, "RUNNING")


def test_a_killed_agent_adopts_and_restarts_nothing(own_bench: Bench) -> None:
    options = awslogs(group="/g", create_group="true", stream_prefix="p")
    script = "n=0; while true; do n=$((n+1)); echo line $n; sleep 0.1; done"
    stays, _ = own_bench.run(own_bench.container("stays", "sh", "-c", script, hostConfig=options))
    ends, _ = own_bench.run(own_bench.container("ends", "sh", "-c", f"{TOLD_TO_END}; exit 9"))
    for task_id in (stays, ends):
        own_bench.plane.wait_for_report(task_id, "RUNNING")
    stream = f"p/stays/{stays}"
    own_bench.plane.wait_for(lambda: own_bench.plane.events.get(stream))
    before = {c.name: c.attrs["State"]["StartedAt"] for c in own_bench.containers()}
    own_bench.agent.kill()
    [ending] = [c for c in own_bench.containers() if c.name.endswith("-ends")]
    ending.exec_run(["touch", "/tmp/end"])
    ending.wait()
    own_bench.agent.start()
    report = own_bench.plane.wait_for_report(ends, "STOPPED")
    assert report["containers"][0]["exitCode"] == 9
    own_bench.plane.wait_for(lambda: len(own_bench.plane.reports(stays, "RUNNING")) > 1)
    [kept] = [c for c in own_bench.containers() if c.name.endswith("-stays")]
    assert kept.attrs["State"]["StartedAt"] == before[kept.name]
    assert len(own_bench.plane.calls("RegisterContainerInstance")) == 2
    assert "containerInstanceArn" in own_bench.plane.calls("RegisterContainerInstance")[1]
    heard = len(own_bench.plane.events[stream])
    own_bench.plane.wait_for(lambda: len(own_bench.plane.events[stream]) > heard + 5)
    numbers = [int(line.split()[1]) for line in own_bench.plane.events[stream]]
    # None is lost. What was on its way when the agent was killed comes again, in its order, and nothing else does.
    assert set(numbers) == set(range(1, numbers[-1] + 1))
    assert sum(after < before for before, after in pairwise(numbers)) <= 1


def test_with_the_control_plane_away_tasks_run_on_and_their_ends_are_caught_up(own_bench: Bench) -> None:
    task_id, _ = own_bench.run(own_bench.container("c", "sh", "-c", f"{TOLD_TO_END}; exit 5"))
    own_bench.plane.wait_for_report(task_id, "RUNNING")
    own_bench.plane.stop()
    [made] = own_bench.containers()
    made.exec_run(["touch", "/tmp/end"])
    made.wait()
    own_bench.plane.start()
    report = own_bench.plane.wait_for_report(task_id, "STOPPED")
    assert report["containers"][0]["exitCode"] == 5
    own_bench.plane.wait_for(own_bench.plane.connected)


def test_volumes_are_shared_within_the_task_and_go_with_it(bench: Bench) -> None:
    mount = [{"sourceVolume": "scratch", "containerPath": "/s"}]
    first = bench.container("first", "sh", "-c", "echo hello > /s/word", essential=False, mountPoints=mount)
    then = [{"containerName": "first", "condition": "SUCCESS"}]
    second = bench.container("second", "grep", "hello", "/s/word", mountPoints=mount, dependsOn=then)
    task_id, _ = bench.run(first, second, volumes=[{"name": "scratch", "type": "host", "host": {}}])
    report = bench.plane.wait_for_report(task_id, "STOPPED")
    assert [c["exitCode"] for c in report["containers"]] == [0, 0]
    bench.plane.wait_for(lambda: not bench.containers())
    volumes = bench.engine.client.volumes
    bench.plane.wait_for(lambda: not [volume for volume in volumes.list() if task_id in volume.name])


def test_a_second_agent_on_the_same_data_says_so(bench: Bench) -> None:
    with running_agent(bench.plane, bench.agent.data, "--docker-host", bench.engine.host) as second:
        assert second.process
        assert second.process.wait(20) == 3
    assert "an agent is running on" in bench.agent.log_text()


def test_sigterm_leaves_containers_running(own_bench: Bench) -> None:
    task_id, _ = own_bench.run(own_bench.container("c", "sleep", "600"))
    own_bench.plane.wait_for_report(task_id, "RUNNING")
    assert own_bench.agent.stop() == 0
    assert [c.status for c in own_bench.containers()] == ["running"]


@pytest.mark.parametrize("end", [OwnEngine.stop, OwnEngine.kill])
def test_an_engine_that_ends_is_survived_and_what_died_with_it_is_reported(
    second_engine: OwnEngine, tmp_path: Path, end: Callable[[OwnEngine], None]
) -> None:
    engine = connect(second_engine.host)
    image = make_busybox_image(engine, "berth-test/busybox:agent")
    with bench_on(engine, image, tmp_path / "agent") as bench:
        task_id, _ = bench.run(bench.container("c", "sleep", "600"))
        bench.plane.wait_for_report(task_id, "RUNNING")
        end(second_engine)

        def status(wanted: str) -> bool:
            frames = bench.plane.frames("PublishInstanceStatusRequest")
            return bool(frames) and frames[-1]["statuses"][0]["status"] == wanted

        bench.plane.wait_for(lambda: status("IMPAIRED"))
        second_engine.start()
        bench.plane.wait_for_report(task_id, "STOPPED")
        bench.plane.wait_for(lambda: status("OK"))


def test_a_bounded_capacity_holds_its_containers_together_and_leaves_nothing(
    docker_engine: Engine, busybox_image: str, tmp_path: Path
) -> None:
    parent = f"/berth-test-{uuid.uuid4().hex[:8]}"
    options = ("--capacity", "c1", "--cgroup-parent", parent, "--cpu", "256", "--memory", "64")
    script = "dd if=/dev/zero of=/dev/null bs=200M count=1"
    with bench_on(docker_engine, busybox_image, tmp_path / "agent", *options) as bench:
        [registered] = bench.plane.calls("RegisterContainerInstance")
        resources = {r["name"]: r.get("integerValue") for r in registered["totalResources"]}
        assert (resources["CPU"], resources["MEMORY"]) == (256, 64)
        assert {"name": "berth.capacity", "value": "c1"} in registered["attributes"]
        quiet, payload = bench.run(bench.container("quiet", "sleep", "600"))
        bench.plane.wait_for_report(quiet, "RUNNING")
        assert bench.containers()[0].attrs["HostConfig"]["CgroupParent"] == parent
        greedy, _ = bench.run(bench.container("greedy", "sh", "-c", script))
        report = bench.plane.wait_for_report(greedy, "STOPPED")
        assert report["containers"][0]["exitCode"] == 137
        bench.plane.send_payload(stopped(payload), seq=3)
        bench.plane.wait_for(lambda: not bench.containers())
        bound = [fact["cgroup"] for fact in bench.agent.facts("capacity bounded")]
        assert bound == [parent]
        assert bench.agent.stop() == 0
    assert not list(Path("/sys/fs/cgroup").glob(f"*{parent}"))
    assert not list(Path("/sys/fs/cgroup").glob(f"*/*{parent[1:]}"))


def test_nonsense_on_the_socket_is_survived(bench: Bench) -> None:
    for nonsense in ("", "{", "[]", '{"type": "NoSuchMessage"}', '{"type": "PayloadMessage", "message": 3}'):
        bench.plane.send_raw(nonsense)
    bench.plane.send("PayloadMessage", {"messageId": "bad", "tasks": [7, {"arn": 5}]})
    bench.plane.wait_for(lambda: [f for f in bench.plane.frames("NackRequest") if f["messageId"] == "bad"])
    task_id, _ = bench.run(bench.container("c", "sh", "-c", "exit 0"))
    assert bench.plane.wait_for_report(task_id, "STOPPED")["containers"][0]["exitCode"] == 0
    assert bench.plane.heard.handshakes[0].startswith(("/acs/ws?", "/tcs/ws?"))


def test_a_closed_socket_is_dialled_again_and_the_agent_stays_small(bench: Bench) -> None:
    dialled = len(bench.plane.heard.handshakes)
    bench.plane.send("CloseMessage", {"message": "ConnectionExpired"})
    bench.plane.wait_for(lambda: len(bench.plane.heard.handshakes) > dialled)
    bench.plane.wait_for(bench.plane.connected)
    assert bench.agent.process
    status = Path(f"/proc/{bench.agent.process.pid}/status").read_text()
    resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    assert resident < 60 * 1024, "the agent is to stay below 60 MB"
