"""What a task definition asks for, on a real Docker Engine, looked at from inside the container."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.support.agent_bench import Bench
from tests.support.agent_process import awslogs, stopped
from tests.support.fake_control_plane import ACCESS_KEY, SECRET_KEY

LOG = awslogs(group="/g", create_group="true", stream_prefix="p")
MIB = 1024 * 1024


def told(bench: Bench, task_id: str, name: str = "c") -> list[str]:
    """What a container printed, once its task has stopped."""
    bench.plane.wait_for_report(task_id, "STOPPED")
    return bench.plane.events.get(f"p/{name}/{task_id}", [])


def run_script(bench: Bench, script: str, task: dict[str, Any] | None = None, **members: Any) -> list[str]:
    """What a container of these members prints when it runs the script."""
    host_config = {**LOG, **members.pop("hostConfig", {})}
    task_id, _ = bench.run(bench.container("c", "sh", "-c", script, hostConfig=host_config, **members), **(task or {}))
    return told(bench, task_id)


def test_limits_are_the_kernels(bench: Bench) -> None:
    script = """
        grep 'open files' /proc/self/limits
        cd /sys/fs/cgroup/memory 2>/dev/null && cat memory.limit_in_bytes memory.memsw.limit_in_bytes memory.swappiness
        cat /sys/fs/cgroup/cpu/cpu.shares memory.soft_limit_in_bytes
        grep ' /dev/shm ' /proc/mounts
    """
    host_config = {
        "Ulimits": [{"Name": "nofile", "Soft": 1111, "Hard": 2222}],
        "MemorySwap": 96 * MIB,
        "MemorySwappiness": 13,
        "MemoryReservation": 32 * MIB,
        "ShmSize": 8 * MIB,
    }
    files, *numbers, shm = run_script(bench, script, cpu=256, memory=64, hostConfig=host_config)
    assert files.split()[3:5] == ["1111", "2222"]
    assert [int(n) for n in numbers] == [64 * MIB, 96 * MIB, 13, 256, 32 * MIB]
    assert f"size={8 * 1024}k" in shm


def test_the_file_system_is_as_asked_for(bench: Bench) -> None:
    script = "touch /x 2>&1; echo $?; touch /scratch/x; echo $?; grep ' /scratch ' /proc/mounts; pwd"
    host_config = {"ReadonlyRootfs": True, "Tmpfs": {"/scratch": "noexec,mode=1770,size=3m"}}
    seen = run_script(bench, script, hostConfig=host_config, config={"WorkingDir": "/www"})
    refused, first, second, mount, place = seen
    assert "Read-only file system" in refused
    assert (first, second, place) == ("1", "0", "/www")
    assert "noexec" in mount
    assert "size=3072k" in mount


def test_the_process_is_who_it_should_be(bench: Bench) -> None:
    script = "id -u; id -g; hostname; grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status; cat /proc/1/comm"
    config = {"User": "1234:5678", "Hostname": "named"}
    host_config = {
        "CapAdd": ["NET_ADMIN"],
        "CapDrop": ["CHOWN"],
        "SecurityOpt": ["no-new-privileges"],
        "Init": True,
    }
    user, group, name, effective, bounding, fixed, first = run_script(
        bench, script, config=config, hostConfig=host_config
    )
    assert (user, group, name) == ("1234", "5678", "named")
    allowed = int(bounding.split()[1], 16)
    assert allowed & 1 << 12
    assert not allowed & 1
    assert int(effective.split()[1], 16) == 0
    assert fixed.split()[1] == "1"
    assert first in ("docker-init", "tini")


def test_privileged_means_all_capabilities_and_devices(bench: Bench) -> None:
    """An engine that has not all capabilities itself says so, which is as good a proof that they were asked for."""
    script = "grep CapBnd /proc/self/status; ls /dev | wc -l"
    container = bench.container("c", "sh", "-c", script, privileged=True, hostConfig=LOG)
    task_id, _ = bench.run(container)
    seen = told(bench, task_id)
    reason = bench.plane.wait_for_report(task_id, "STOPPED")["containers"][0].get("reason", "")
    if reason:
        assert "unable to apply caps" in reason
        return
    bounding, devices = seen
    own = next(line for line in Path("/proc/1/status").read_text().splitlines() if line.startswith("CapBnd"))
    assert bounding.split()[1] == own.split()[1]
    assert int(devices) > int(run_script(bench, "ls /dev | wc -l")[0])


def test_a_device_is_there_with_its_rights(bench: Bench) -> None:
    device = {"PathOnHost": "/dev/loop-control", "PathInContainer": "/dev/mine", "CgroupPermissions": "r"}
    script = "ls -l /dev/mine | cut -c1; head -c 0 < /dev/mine; echo $?; (echo > /dev/mine) 2>/dev/null; echo $?"
    # The kernel's list of devices decides, so that not even root may write.
    kind, read, write = run_script(bench, script, hostConfig={"Devices": [device]})
    assert (kind, read) == ("c", "0")
    assert write != "0"


def test_a_terminal_is_one(bench: Bench) -> None:
    script = "[ -t 0 ] && echo in; [ -t 1 ] && echo out"
    assert run_script(bench, script, config={"Tty": True, "OpenStdin": True}) == ["in", "out"]
    assert run_script(bench, script) == []


def test_an_interactive_container_waits_for_input(bench: Bench) -> None:
    task_id, payload = bench.run(bench.container("c", "cat", config={"OpenStdin": True}))
    bench.plane.wait_for_report(task_id, "RUNNING")
    [made] = bench.containers()
    assert made.attrs["State"]["Running"]
    bench.plane.send_payload(stopped(payload), seq=3)
    assert bench.plane.wait_for_report(task_id, "STOPPED")["containers"][0]["exitCode"] == 137
    assert run_script(bench, "cat; echo over") == ["over"]


def test_names_are_resolved_as_asked_for(bench: Bench) -> None:
    host_config = {"Dns": ["192.0.2.53"], "DnsSearch": ["example.test"], "ExtraHosts": ["db:192.0.2.7"]}
    seen = run_script(bench, "cat /etc/resolv.conf /etc/hosts", hostConfig=host_config)
    assert "nameserver 192.0.2.53" in seen
    assert "search example.test" in seen
    assert any(line.split() == ["192.0.2.7", "db"] for line in seen)


SYSCTLS = {"net.ipv4.ip_unprivileged_port_start": "81", "kernel.msgmax": "9000"}
READ_SYSCTLS = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax"


def test_kernel_parameters_are_the_containers_own(bench: Bench) -> None:
    assert run_script(bench, READ_SYSCTLS, hostConfig={"Sysctls": SYSCTLS}) == ["81", "9000"]


def test_kernel_parameters_hold_in_an_awsvpc_tasks_network(bench: Bench) -> None:
    [registered] = bench.plane.calls("RegisterContainerInstance")
    cidr = next(a["value"] for a in registered["attributes"] if a["name"] == "berth.awsvpc-cidr")
    address = f"{cidr.rsplit('.', 1)[0]}.{180 + uuid.uuid4().int % 60}"
    eni = {"ec2Id": "eni-1", "ipv4Addresses": [{"primary": True, "privateAddress": address}]}
    task = {"networkMode": "awsvpc", "elasticNetworkInterfaces": [eni]}
    assert run_script(bench, READ_SYSCTLS, task, hostConfig={"Sysctls": SYSCTLS}) == ["81", "9000"]


@pytest.mark.parametrize(("config", "mode"), [({"NetworkDisabled": True}, "bridge"), ({}, "none")])
def test_without_a_network_there_is_but_loopback(bench: Bench, config: dict[str, Any], mode: str) -> None:
    assert run_script(bench, "ls /sys/class/net", {"networkMode": mode}, config=config) == ["lo"]


def test_links_name_other_containers(bench: Bench) -> None:
    web = bench.container("web", "httpd", "-f", "-h", "/www", essential=False)
    script = "until wget -q -O - http://front/; do sleep 0.2; done"
    task_id, _ = bench.run(web, bench.container("c", "sh", "-c", script, hostConfig=LOG, links=["web:front"]))
    assert told(bench, task_id)[-1] == "hello from berth"


def test_volumes_are_mounted_as_asked_for(bench: Bench, tmp_path: Path) -> None:
    """A path of the host read-only, a container's volumes in another, and a local driver's own options."""
    (tmp_path / "word").write_text("from the host\n")
    shared = f"berth-test-{uuid.uuid4().hex[:8]}"
    sized = {"type": "tmpfs", "device": "tmpfs", "o": "size=2m"}
    volumes = [
        {"name": "there", "type": "host", "host": {"sourcePath": str(tmp_path)}},
        {"name": "own", "type": "docker", "dockerVolumeConfiguration": {"scope": "task", "driverOpts": sized}},
        {
            "name": shared,
            "type": "docker",
            "dockerVolumeConfiguration": {
                "scope": "shared",
                "autoprovision": True,
                "driver": "local",
                "labels": bench.engine.labels,
            },
        },
    ]
    mounts = [
        {"sourceVolume": "there", "containerPath": "/there", "readOnly": True},
        {"sourceVolume": "own", "containerPath": "/own"},
        {"sourceVolume": shared, "containerPath": "/shared"},
    ]
    keeper = bench.container("keeper", "sh", "-c", "exit 0", essential=False, mountPoints=mounts)
    script = """
        cat /there/word; touch /there/x 2>/dev/null; echo $?; grep ' /own ' /proc/mounts
        touch /own/x 2>/dev/null; echo $?; [ -d /shared ] && echo shared
    """
    reader = bench.container(
        "c",
        *("sh", "-c", script),
        hostConfig=LOG,
        volumesFrom=[{"sourceContainer": "keeper", "readOnly": True}],
    )
    task_id, _ = bench.run(keeper, reader, volumes=volumes)
    word, refused, mount, own_refused, there = told(bench, task_id)
    assert (word, refused, own_refused, there) == ("from the host", "1", "1", "shared")
    assert "tmpfs" in mount
    assert "size=2048k" in mount
    bench.plane.wait_for(lambda: not bench.containers())
    bench.plane.wait_for(lambda: not [v for v in bench.engine.client.volumes.list() if task_id in v.name])
    assert bench.engine.client.volumes.get(shared)


def test_an_nfs_volume_is_given_to_the_local_driver(bench: Bench) -> None:
    """This kernel may have no NFS: then the engine's own refusal is the reason, of a volume with the right options."""
    options = {"type": "nfs", "o": "addr=192.0.2.9,nolock,soft,timeo=1,retrans=1", "device": ":/export"}
    name = f"berth-test-{uuid.uuid4().hex[:8]}"
    configuration = {
        "scope": "shared",
        "autoprovision": True,
        "driver": "local",
        "driverOpts": options,
        "labels": bench.engine.labels,
    }
    volume = {"name": name, "type": "docker", "dockerVolumeConfiguration": configuration}
    mount = {"sourceVolume": name, "containerPath": "/nfs"}
    task_id, _ = bench.run(bench.container("c", "true", mountPoints=[mount]), volumes=[volume])
    report = bench.plane.wait_for_report(task_id, "STOPPED")
    assert report["containers"][0]["reason"].startswith(("CannotStartContainerError", "CannotCreateContainerError"))
    assert bench.engine.client.volumes.get(name).attrs["Options"] == options


def test_a_volume_that_is_not_to_be_made_is_missed_by_name(bench: Bench) -> None:
    configuration = {"scope": "shared", "autoprovision": False}
    volume = {"name": "berth-test-absent", "type": "docker", "dockerVolumeConfiguration": configuration}
    mount = {"sourceVolume": "berth-test-absent", "containerPath": "/v"}
    task_id, _ = bench.run(bench.container("c", "true", mountPoints=[mount]), volumes=[volume])
    reason = bench.plane.wait_for_report(task_id, "STOPPED")["reason"]
    assert reason == "ResourceInitializationError: volume berth-test-absent does not exist and is not to be provisioned"


@pytest.mark.parametrize(
    "log",
    [
        {"Type": "json-file", "Config": {"max-size": "1m", "labels": "a"}},
        {"Type": "none", "Config": {}},
        {"Type": "syslog", "Config": {"syslog-address": "udp://127.0.0.1:9", "tag": "t"}},
        {"Type": "fluentd", "Config": {"fluentd-address": "127.0.0.1:9", "fluentd-async": "true"}},
    ],
)
def test_other_log_drivers_are_the_engines(bench: Bench, log: dict[str, Any]) -> None:
    labels = {"mine": "yes"}
    task_id, _ = bench.run(
        bench.container("c", "sleep", "600", hostConfig={"LogConfig": log}, config={"Labels": labels})
    )
    bench.plane.wait_for_report(task_id, "RUNNING")
    [made] = bench.containers()
    assert made.attrs["HostConfig"]["LogConfig"] == log
    assert made.labels["mine"] == "yes"


def test_a_container_that_ignores_sigterm_is_killed_and_the_order_is_turned_round(bench: Bench) -> None:
    deaf = "trap '' TERM; while true; do sleep 0.1; done"
    polite = "trap 'echo left at $(date +%s%N); exit 5' TERM; while true; do sleep 0.05; done"
    front = bench.container(
        *("front", "sh", "-c", deaf), dependsOn=[{"containerName": "back", "condition": "START"}], stopTimeout=1
    )
    task_id, payload = bench.run(front, bench.container("back", "sh", "-c", polite, hostConfig=LOG, stopTimeout=20))
    bench.plane.wait_for_report(task_id, "RUNNING")
    found = {c.labels["com.amazonaws.ecs.container-name"]: c for c in bench.containers()}
    bench.plane.send_payload(stopped(payload), seq=3)
    bench.plane.wait_for(lambda: (found["front"].reload(), not found["front"].attrs["State"]["Running"])[1])
    report = bench.plane.wait_for_report(task_id, "STOPPED")
    codes = {c["containerName"]: c["exitCode"] for c in report["containers"]}
    assert codes == {"front": 137, "back": 5}


def test_a_container_is_restarted_in_place_also_by_a_new_agent(own_bench: Bench) -> None:
    # Longer than the period by more than a busy engine takes to note that it has begun.
    script = "echo run; sleep 2.5; exit 7"
    policy = {"enabled": True, "restartAttemptPeriod": 1, "ignoredExitCodes": [0]}
    task_id, payload = own_bench.run(own_bench.container("c", "sh", "-c", script, hostConfig=LOG, restartPolicy=policy))
    own_bench.plane.wait_for_report(task_id, "RUNNING")

    def runs() -> int:
        return own_bench.plane.events.get(f"p/c/{task_id}", []).count("run")

    own_bench.plane.wait_for(lambda: runs() >= 2)
    own_bench.agent.kill()
    [made] = own_bench.containers()
    own_bench.plane.wait_for(lambda: (made.reload(), not made.attrs["State"]["Running"])[1])
    before = runs()
    own_bench.agent.start()
    own_bench.plane.wait_for(lambda: runs() >= before + 2)
    [same] = own_bench.containers()
    assert same.id == made.id
    kept = json.loads((own_bench.agent.data / "tasks" / f"{task_id}.json").read_text())
    assert kept["state"]["containers"]["c"]["restartCount"] >= 2
    assert not own_bench.plane.reports(task_id, "STOPPED")
    own_bench.plane.send_payload(stopped(payload), seq=3)
    own_bench.plane.wait_for_report(task_id, "STOPPED")


def test_secrets_are_in_the_process_and_on_no_disk(bench: Bench) -> None:
    secret = f"clear-{uuid.uuid4().hex}"
    bench.plane.answers["GetSecretValue"] = lambda body: {"SecretString": json.dumps({"word": secret})}
    role = {"credentialsId": "i", "roleArn": "r", **_keys()}
    arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:s-AbCdEf:word::"
    secrets = [{"name": "WORD", "valueFrom": arn, "provider": "asm"}]
    seen = run_script(bench, "echo $WORD", {"executionRoleCredentials": role}, secrets=secrets)
    assert seen == [secret]
    files = [path for path in bench.agent.data.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if secret in path.read_text() or _keys()["secretAccessKey"] in path.read_text()]
    assert secret not in bench.agent.log_text()


def _keys() -> dict[str, str]:
    return {"accessKeyId": ACCESS_KEY, "secretAccessKey": SECRET_KEY, "sessionToken": ""}
