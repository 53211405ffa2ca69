"""Payloads: secrets, logins, files, routers, restarts, swap and file systems, understood by both kinds of agent."""

import json
from typing import Any

import pytest

from agent.tasks.routers import RouterType
from agent.tasks.secret_refs import Provider, SecretRef, Target
from kit.settings import Settings
from orchestrator.agents.official import Recipient, fit_payload
from tests.support.official_model import check_task
from tests.unit.orchestrator.test_payloads import SETTINGS, payload, read

SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf:password::"
PARAMETER = "arn:aws:ssm:us-east-1:123456789012:parameter/prod/db"
FILES = [{"type": "s3", "value": "arn:aws:s3:::bucket/app.env"}]
MIB = 1024 * 1024


def told(container: dict[str, Any], **rest: Any) -> dict[str, Any]:
    """The last container of the payload, which an official agent understands whole."""
    task = payload(container, **rest)
    check_task(fit_payload({**task, "desiredStatus": "RUNNING"}, Recipient(official=True), settings=SETTINGS))
    found: dict[str, Any] = task["containers"][-1]
    return found


def host_config(container: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(container["dockerConfig"]["hostConfig"])
    return config


def test_secrets_are_told_by_where_they_are_kept_and_never_by_value() -> None:
    container = {
        "secrets": [
            {"name": "A", "valueFrom": SECRET},
            {"name": "B", "valueFrom": PARAMETER},
            {"name": "C", "valueFrom": "/prod/c"},
        ],
        "logConfiguration": {
            "logDriver": "splunk",
            "options": {"splunk-url": "https://s"},
            "secretOptions": [{"name": "splunk-token", "valueFrom": "token"}],
        },
    }
    found = told(container)["secrets"]
    assert [(one["name"], one["provider"], one["region"], one["target"]) for one in found] == [
        ("A", "asm", "eu-west-1", "CONTAINER"),
        ("B", "ssm", "us-east-1", "CONTAINER"),
        ("C", "ssm", "us-east-1", "CONTAINER"),
        ("splunk-token", "ssm", "us-east-1", "LOG_DRIVER"),
    ]
    assert {one["type"] for one in found} == {"ENVIRONMENT_VARIABLE"}
    _, understood = read(container)
    assert understood.secrets[0] == SecretRef(name="A", value_from=SECRET, provider=Provider.ASM)
    assert understood.secrets[3].target is Target.LOG_DRIVER


def test_a_registrys_login_goes_before_a_token_of_ours() -> None:
    container = {"image": "127.0.0.1:5050/web:1", "repositoryCredentials": {"credentialsParameter": SECRET}}
    assert told(container)["registryAuthentication"] == {
        "type": "asm",
        "asmAuthData": {"credentialsParameter": SECRET, "region": "eu-west-1"},
    }
    _, understood = read(container)
    assert understood.registry_auth is not None and understood.registry_auth.secret == SECRET


def test_a_runs_environment_files_replace_the_definitions() -> None:
    assert told({"environmentFiles": FILES})["environmentFiles"] == FILES
    other = [{"type": "s3", "value": "arn:aws:s3:::bucket/other.env"}]
    overrides = {"containerOverrides": [{"name": "main", "environmentFiles": other}]}
    _, understood = read({"environmentFiles": FILES}, overrides=overrides)
    assert understood.environment_files == ("arn:aws:s3:::bucket/other.env",)


def test_restart_policies_and_routers_arrive() -> None:
    policy = {"enabled": True, "ignoredExitCodes": [0], "restartAttemptPeriod": 60}
    router = {"type": "fluentd", "options": {"enable-ecs-log-metadata": "false"}}
    container = {"restartPolicy": policy, "firelensConfiguration": router}
    assert (told(container)["restartPolicy"], told(container)["firelensConfiguration"]) == (policy, router)
    _, understood = read(container)
    assert understood.restart is not None and understood.restart.period.total_seconds() == 60
    assert understood.router is not None and understood.router.type is RouterType.FLUENTD


@pytest.mark.parametrize(
    ("linux", "swap", "swappiness"),
    [
        ({"maxSwap": 0}, 64 * MIB, None),
        ({"maxSwap": 36, "swappiness": 0}, 100 * MIB, 0),
        ({"swappiness": 10}, None, None),
    ],
)
def test_swap_is_counted_with_memory_as_the_engine_does(linux: dict[str, int], swap: Any, swappiness: Any) -> None:
    found = host_config(told({"linuxParameters": linux}))
    assert (found.get("MemorySwap"), found.get("MemorySwappiness")) == (swap, swappiness)


def test_swap_follows_an_overriding_memory() -> None:
    overrides = {"containerOverrides": [{"name": "main", "memory": 128}]}
    found = host_config(told({"linuxParameters": {"maxSwap": 32}}, overrides=overrides))
    assert found["MemorySwap"] == 160 * MIB


@pytest.mark.parametrize(
    ("root", "device"), [(None, ":/exports/a"), ("/", ":/exports/a"), ("/web/data/", ":/exports/a/web/data")]
)
def test_a_file_system_is_a_volume_that_the_engine_mounts_by_nfs(root: str | None, device: str) -> None:
    efs = {"fileSystemId": "fs-0123", **({"rootDirectory": root} if root else {})}
    settings = Settings(file_systems="fs-9=other:/x, fs-0123=10.0.0.5:/exports/a")
    container = {"mountPoints": [{"sourceVolume": "data", "containerPath": "/data", "readOnly": True}]}
    volumes = [{"name": "data", "efsVolumeConfiguration": efs}]
    task, understood = read(container, volumes=volumes, settings=settings)
    [volume] = task.volumes
    assert (volume.type, volume.driver, volume.scope) == ("docker", "local", "task")
    assert (volume.driver_options["type"], volume.driver_options["device"]) == ("nfs", device)
    assert volume.driver_options["o"].startswith("addr=10.0.0.5,nfsvers=4.1,")
    assert understood.mount_points[0].read_only


def test_a_runs_cpu_and_memory_bound_a_task_that_was_registered_without() -> None:
    task, _ = read({}, overrides={"cpu": "512", "memory": "256"})
    assert (task.cpu, task.memory) == (0.5, 256)


@pytest.mark.parametrize("mode", ["host", "task"])
def test_namespaces_are_shared_as_registered(mode: str) -> None:
    task, _ = read({}, pidMode=mode, ipcMode=mode)
    assert (task.pid_mode, task.ipc_mode) == (mode, mode)
