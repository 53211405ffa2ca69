"""Payloads for the official agent: its models understand all that a task definition can say, and find Berth."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from kit.ids import Arns
from kit.settings import Settings
from orchestrator.agents.official import OWN, Recipient, fit_payload, recipient_of
from orchestrator.agents.payloads import render_payload_task
from orchestrator.agents.roles import RoleCredentials
from orchestrator.api.ecs.task_definition_body import fill_defaults
from scheduler.launch import Launch
from scheduler.new_tasks import Place
from state.role_sessions import APPLICATION, EXECUTION
from state.task_definitions import TaskDefinition
from tests.support.official_model import check_task
from tests.unit.orchestrator.test_payloads import new_task

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SETTINGS = Settings(endpoint="http://berth.example:7070", registry_address="berth.example:5050", region="eu-west-1")
OFFICIAL = Recipient(official=True, logs_by_role=True)
FULL = {
    "name": "main",
    "image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/web@sha256:" + "ab" * 32,
    "cpu": 128,
    "memory": 256,
    "memoryReservation": 128,
    "essential": True,
    "command": ["serve"],
    "entryPoint": ["/bin/sh", "-c"],
    "environment": [{"name": "A", "value": "1"}],
    "portMappings": [
        {"containerPort": 80, "name": "http", "appProtocol": "http"},
        {"containerPort": 53, "hostPort": 5353, "protocol": "udp"},
        {"containerPortRange": "9000-9009"},
    ],
    "mountPoints": [{"sourceVolume": "host", "containerPath": "/a", "readOnly": True}],
    "volumesFrom": [{"sourceContainer": "side", "readOnly": False}],
    "dependsOn": [{"containerName": "side", "condition": "HEALTHY"}],
    "links": ["side:other"],
    "startTimeout": 60,
    "stopTimeout": 20,
    "healthCheck": {"command": ["CMD", "true"], "startPeriod": 10},
    "restartPolicy": {"enabled": True, "ignoredExitCodes": [0], "restartAttemptPeriod": 60},
    "user": "1000:1000",
    "workingDirectory": "/srv",
    "hostname": "web",
    "dockerLabels": {"a": "b"},
    "pseudoTerminal": True,
    "interactive": True,
    "disableNetworking": False,
    "privileged": False,
    "readonlyRootFilesystem": True,
    "dnsServers": ["10.0.0.2"],
    "dnsSearchDomains": ["example"],
    "extraHosts": [{"hostname": "db", "ipAddress": "10.0.0.3"}],
    "dockerSecurityOptions": ["no-new-privileges"],
    "ulimits": [{"name": "nofile", "softLimit": 1024, "hardLimit": 2048}],
    "systemControls": [{"namespace": "net.core.somaxconn", "value": "512"}],
    "linuxParameters": {
        "capabilities": {"add": ["NET_ADMIN"], "drop": ["MKNOD"]},
        "devices": [{"hostPath": "/dev/fuse", "permissions": ["read"]}],
        "initProcessEnabled": True,
        "sharedMemorySize": 64,
        "maxSwap": 128,
        "swappiness": 10,
        "tmpfs": [{"containerPath": "/tmp", "size": 16, "mountOptions": ["noexec"]}],
    },
    "logConfiguration": {
        "logDriver": "awslogs",
        "options": {"awslogs-group": "g", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p"},
    },
}
SIDE = {"name": "side", "image": "berth.example:5050/side:1", "memory": 64, "healthCheck": FULL["healthCheck"]}
VOLUMES = [
    {"name": "host", "host": {"sourcePath": "/srv"}},
    {"name": "empty"},
    {
        "name": "docker",
        "dockerVolumeConfiguration": {"scope": "shared", "autoprovision": True, "driverOpts": {"type": "tmpfs"}},
    },
]


def roles() -> list[RoleCredentials]:
    return [
        RoleCredentials(
            role_type=kind,
            credentials_id=f"id-{kind}",
            role_arn=f"arn:aws:iam::123456789012:role/{kind}",
            access_key_id="ASIA",
            secret_access_key="s",
            session_token="t",
            expires_at=NOW,
        )
        for kind in (APPLICATION, EXECUTION)
    ]


def payload(
    *containers: dict[str, Any],
    place: Place | None = None,
    credentials: list[RoleCredentials] | None = None,
    **body: Any,
) -> dict[str, Any]:
    """What a task's agent would be told, were it Berth's own."""
    given = {"family": "f", "containerDefinitions": list(containers), **body}
    definition = TaskDefinition(
        family="f", revision=3, body=fill_defaults(given), registered_at=NOW, registered_by="me"
    )
    overrides = {
        "containerOverrides": [
            {"name": "main", "command": ["c"], "environment": [{"name": "B", "value": "2"}], "cpu": 64, "memory": 128}
        ]
    }
    launch = Launch(cluster="default", task_definition=definition, launch_type="EC2", overrides=overrides)
    task = new_task(launch, settings=SETTINGS, place=place)
    task.desired_status = "RUNNING"
    return render_payload_task(task, definition, arns=Arns(), settings=SETTINGS, roles=credentials or ())


@pytest.mark.parametrize("mode", ["bridge", "host", "none"])
def test_all_that_a_task_definition_can_say_is_understood(mode: str) -> None:
    body = {"networkMode": mode, "cpu": "256", "memory": "512", "pidMode": "task", "ipcMode": "task"}
    told = payload(FULL, SIDE, volumes=VOLUMES, credentials=roles(), **body)

    check_task(fit_payload(told, OFFICIAL, settings=SETTINGS))


def test_addresses_and_gpus_are_understood() -> None:
    place = Place("h", network="10.9.0.0/24", address="10.9.0.2", gpus=("GPU-a",))
    wanted = {**SIDE, "name": "main", "resourceRequirements": [{"type": "GPU", "value": "1"}]}
    told = fit_payload(payload(wanted, networkMode="awsvpc", place=place), OFFICIAL, settings=SETTINGS)

    check_task(told)
    assert told["elasticNetworkInterfaces"] and told["associations"]


def test_images_are_named_as_the_engine_must_pull_them_and_tokens_asked_for_at_a_door_of_their_own() -> None:
    told = fit_payload(payload(FULL, SIDE), OFFICIAL, settings=SETTINGS)["containers"]

    assert [one["image"] for one in told] == [
        "berth.example:5050/team/web@sha256:" + "ab" * 32,
        "berth.example:5050/side:1",
    ]
    doors = {one["registryAuthentication"]["ecrAuthData"]["endpointOverride"] for one in told}
    assert doors == {"http://berth.example:7070/ecs-agent"}


def test_an_image_from_elsewhere_stays_as_it_is() -> None:
    [told] = fit_payload(payload({**SIDE, "image": "docker.io/web"}), OFFICIAL, settings=SETTINGS)["containers"]
    assert told["image"] == "docker.io/web" and "registryAuthentication" not in told


def log_of(container: dict[str, Any]) -> dict[str, Any]:
    log: dict[str, Any] = json.loads(container["dockerConfig"]["hostConfig"])["LogConfig"]
    return log


def test_the_engines_log_driver_finds_berth_and_knows_no_prefix() -> None:
    told = fit_payload(payload(FULL, SIDE), OFFICIAL, settings=SETTINGS)
    task_id = told["arn"].rpartition("/")[2]

    assert log_of(told["containers"][0]) == {
        "Type": "awslogs",
        "Config": {
            "awslogs-group": "g",
            "awslogs-endpoint": "http://berth.example:7070",
            "awslogs-region": "eu-west-1",
            "awslogs-stream": f"p/main/{task_id}",
        },
    }


@pytest.mark.parametrize(
    ("recipient", "credentials", "strategy"),
    [
        (OFFICIAL, roles(), "ExecutionRole"),
        (OFFICIAL, [], None),
        (OFFICIAL._replace(logs_by_role=False), roles(), None),
    ],
)
def test_logs_are_written_with_the_execution_role_where_there_is_one_and_the_agent_can(
    recipient: Recipient, credentials: list[RoleCredentials], strategy: str | None
) -> None:
    told = fit_payload(payload(FULL, SIDE, credentials=credentials), recipient, settings=SETTINGS)["containers"]
    assert [one.get("logsAuthStrategy") for one in told] == [strategy, None]


def test_other_log_drivers_keep_their_options() -> None:
    log = {"logDriver": "json-file", "options": {"max-size": "1m"}}
    [told] = fit_payload(payload({**SIDE, "logConfiguration": log}), OFFICIAL, settings=SETTINGS)["containers"]
    assert log_of(told) == {"Type": "json-file", "Config": {"max-size": "1m"}}


def test_berths_own_agent_is_told_what_it_always_was() -> None:
    told = payload(FULL, SIDE, credentials=roles())
    assert fit_payload(told, OWN, settings=SETTINGS) == told


def test_who_is_there_is_known_by_the_attributes() -> None:
    assert recipient_of([{"name": "berth.agent", "value": "a"}, {"name": "ecs.capability.x"}]) == OWN
    assert recipient_of([{"name": "berth.rack", "value": "7"}]) == Recipient(official=True)
    assert recipient_of([{"name": "ecs.capability.execution-role-awslogs"}]) == OFFICIAL
