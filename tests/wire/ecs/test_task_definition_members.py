"""Secrets, logins, files, log drivers and routers, restarts, swap and file systems: accepted as ECS does."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.control.registration import CAPABILITIES
from kit.aws.service import Service
from kit.settings import Settings
from tests.support.loopback import Loopback
from tests.support.task_definitions import refusal, register, web
from tests.support.tasks import FARGATE

ROLE = "arn:aws:iam::123456789012:role/execution"
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/db-AbCdEf"
PARAMETER = "arn:aws:ssm:us-east-1:123456789012:parameter/prod/db"
OBJECT = "arn:aws:s3:::bucket/app.env"
AWSLOGS = {"awslogs-group": "g", "awslogs-region": "us-east-1"}
ROUTER = {"firelensConfiguration": {"type": "fluentbit"}}
BY_ROUTER = {"logConfiguration": {"logDriver": "awsfirelens", "options": {"Name": "stdout"}}}
SETTINGS = Settings(file_systems="fs-0123=10.0.0.5:/exports/a", task_s3_endpoint="http://s3.test:9000")


@pytest.fixture
def ecs(service: Service, sqlite_url: str, tmp_path: Path) -> Iterator[Any]:
    """A Berth with a store for files and with a file system."""
    loopback = Loopback(sqlite_url, [service], settings=replace(SETTINGS, data=tmp_path))
    yield loopback.client(service.name)
    loopback.close()


def secret(value: str, name: str = "DB") -> dict[str, Any]:
    return {"secrets": [{"name": name, "valueFrom": value}]}


def logs(driver: str, secrets: tuple[str, ...] = (), **options: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in options.items()}
    given: dict[str, Any] = {"logDriver": driver, "options": named}
    if secrets:
        given["secretOptions"] = [{"name": name, "valueFrom": SECRET} for name in secrets]
    return {"logConfiguration": given}


def efs(**members: Any) -> list[dict[str, Any]]:
    return [{"name": "data", "efsVolumeConfiguration": {"fileSystemId": "fs-0123", **members}}]


@pytest.mark.parametrize(
    "container",
    [
        secret(SECRET),
        secret(f"{SECRET}:password::"),
        secret(f"{SECRET}:password:AWSPREVIOUS:"),
        secret(PARAMETER),
        secret("/prod/db"),
        {"repositoryCredentials": {"credentialsParameter": SECRET}},
        {"repositoryCredentials": {"credentialsParameter": "registry/login"}},
        {"environmentFiles": [{"type": "s3", "value": OBJECT}]},
        {"restartPolicy": {"enabled": True, "ignoredExitCodes": [0, 143], "restartAttemptPeriod": 60}},
        {"linuxParameters": {"maxSwap": 0, "swappiness": 0}},
        {"disableNetworking": True},
        {"versionConsistency": "enabled", "image": f"web@sha256:{'ab' * 32}"},
        {"stopTimeout": 500_000},
        logs("awslogs", **{**AWSLOGS, "awslogs-multiline-pattern": "^x", "mode": "blocking"}),
        logs(
            "awslogs", **{**AWSLOGS, "awslogs-datetime-format": "%H", "mode": "non-blocking", "max-buffer-size": "2m"}
        ),
        logs("splunk", ("splunk-token",), splunk_url="https://splunk.test:8088"),
        logs("json-file", max_size="10m", max_file="3"),
        logs("syslog", syslog_address="udp://10.0.0.1:514", tag="x"),
        logs("fluentd", fluentd_address="10.0.0.1:24224", fluentd_async="true"),
        logs("gelf", gelf_address="udp://10.0.0.1:12201"),
        logs("journald"),
    ],
)
def test_a_container_may_have(ecs: Any, container: dict[str, Any]) -> None:
    found = register(ecs, web(**container), executionRoleArn=ROLE)
    for member, value in container.items():
        assert found["containerDefinitions"][0][member] == value
    assert {attribute["name"] for attribute in found["requiresAttributes"]} <= set(CAPABILITIES)


@pytest.mark.parametrize(
    ("container", "text"),
    [
        ({**secret(SECRET), "environment": [{"name": "DB", "value": "x"}]}, "such as 'DB'."),
        ({"secrets": [{"name": "A", "valueFrom": "/a"}, {"name": "A", "valueFrom": "/b"}]}, "such as 'A'."),
        (secret("arn:aws:s3:::bucket/x"), "The Systems Manager parameter name specified for secret DB is invalid"),
        (secret("arn:aws:secretsmanager:us-east-1:123456789012:key:x"), "is not the ARN of a Secrets Manager secret"),
        (secret(f"{SECRET}:a:b:c:d"), "is not the ARN of a Secrets Manager secret"),
        (secret("/a", name="A=B"), "invalid secret name 'A=B'"),
        ({"repositoryCredentials": {"credentialsParameter": PARAMETER}}, "repositoryCredentials.credentialsParameter"),
        ({"environmentFiles": [{"type": "s3", "value": "s3://bucket/x.env"}]}, "Invalid arn syntax"),
        ({"environmentFiles": [{"type": "s3", "value": "arn:aws:s3:::bucket/x.txt"}]}, "file extension .env"),
        ({"environmentFiles": [{"type": "s3", "value": OBJECT}] * 11}, "Specify ten or less and try again"),
        ({"restartPolicy": {"enabled": True, "restartAttemptPeriod": 59}}, "must be between 60 and 1800."),
        ({"restartPolicy": {"enabled": True, "restartAttemptPeriod": 1801}}, "must be between 60 and 1800."),
        ({"restartPolicy": {"enabled": True, "ignoredExitCodes": list(range(51))}}, "at most 50 codes"),
        ({"linuxParameters": {"maxSwap": -1}}, "maxSwap must be 0 or a positive number"),
        ({"linuxParameters": {"maxSwap": 1, "swappiness": 101}}, "swappiness must be between 0 and 100"),
        (logs("awslogs", awslogs_group="g"), "Log driver awslogs requires options: awslogs-region"),
        (logs("awslogs", **AWSLOGS, tag="x"), "Log driver awslogs disallows options: tag"),
        (logs("awslogs", **AWSLOGS, mode="fast"), "mode must be blocking or non-blocking"),
        (logs("awslogs", **{**AWSLOGS, "max-buffer-size": "2m"}), "goes with mode non-blocking"),
        (
            logs("awslogs", **{**AWSLOGS, "mode": "non-blocking", "max-buffer-size": "lots"}),
            "max-buffer-size 'lots' is not a size",
        ),
        (
            logs("awslogs", **{**AWSLOGS, "awslogs-create-group": "false"}),
            "should only be set to 'true', else omit option.",
        ),
        (
            logs("awslogs", **{**AWSLOGS, "awslogs-datetime-format": "%H", "awslogs-multiline-pattern": "x"}),
            "exclude each other",
        ),
        (logs("json-file", awslogs_group="g"), "Log driver json-file disallows options: awslogs-group"),
        (logs("splunk", splunk_url="https://x"), "Log driver splunk requires options: splunk-token"),
        (logs("splunk", ("splunk-url",), splunk_url="https://x", splunk_token="t"), "'splunk-url' is given twice"),
        (BY_ROUTER, "a firelens configuration object must be specified"),
        ({**ROUTER, **BY_ROUTER}, "is the log router and cannot log by awsfirelens"),
        ({"firelensConfiguration": {"type": "fluentd", "options": {"speed": "1"}}}, "unknown option 'speed'"),
        (
            {"firelensConfiguration": {"type": "fluentd", "options": {"enable-ecs-log-metadata": "maybe"}}},
            "enable-ecs-log-metadata must be true or false",
        ),
        ({"firelensConfiguration": {"type": "fluentd", "options": {"config-file-type": "s3"}}}, "go together"),
        (
            {
                "firelensConfiguration": {
                    "type": "fluentd",
                    "options": {"config-file-type": "x", "config-file-value": "y"},
                }
            },
            "must be s3 or file",
        ),
    ],
)
def test_a_container_is_refused_when(ecs: Any, container: dict[str, Any], text: str) -> None:
    assert text in refusal(ecs, web(**container), executionRoleArn=ROLE)


@pytest.mark.parametrize(
    "container",
    [
        secret(SECRET),
        logs("splunk", ("splunk-token",), splunk_url="https://splunk.test:8088"),
        {"repositoryCredentials": {"credentialsParameter": SECRET}},
        {"environmentFiles": [{"type": "s3", "value": OBJECT}]},
        {
            "firelensConfiguration": {
                "type": "fluentd",
                "options": {"config-file-type": "s3", "config-file-value": OBJECT},
            }
        },
    ],
)
def test_what_the_agent_fetches_needs_an_execution_role(ecs: Any, container: dict[str, Any]) -> None:
    assert "specify a value for" in refusal(ecs, web(**container))
    assert register(ecs, web(**container), executionRoleArn=ROLE)["revision"] == 1


def test_containers_log_by_the_one_router_of_their_task(ecs: Any) -> None:
    router = web(name="router", **ROUTER)
    found = register(ecs, web(**BY_ROUTER), router)
    names = {attribute["name"] for attribute in found["requiresAttributes"]}
    assert {"com.amazonaws.ecs.capability.logging-driver.awsfirelens", "ecs.capability.firelens.fluentbit"} <= names
    assert names <= set(CAPABILITIES)
    assert "Only one container" in refusal(ecs, web(**BY_ROUTER), router, web(name="other", **ROUTER))
    assert register(ecs, web(**BY_ROUTER), router, **FARGATE)["compatibilities"] == ["EC2", "FARGATE"]


def test_hosts_that_cannot_fetch_secrets_do_not_get_such_tasks(ecs: Any) -> None:
    found = register(
        ecs,
        web(
            secrets=[{"name": "A", "valueFrom": SECRET}, {"name": "B", "valueFrom": "/b"}],
            repositoryCredentials={"credentialsParameter": SECRET},
            environmentFiles=[{"type": "s3", "value": OBJECT}],
            restartPolicy={"enabled": True},
            **logs("splunk", ("splunk-token",), splunk_url="https://splunk.test:8088"),
        ),
        executionRoleArn=ROLE,
        pidMode="task",
    )
    assert {attribute["name"] for attribute in found["requiresAttributes"]} == {
        "com.amazonaws.ecs.capability.docker-remote-api.1.18",
        "com.amazonaws.ecs.capability.logging-driver.splunk",
        "ecs.capability.container-restart-policy",
        "ecs.capability.env-files.s3",
        "ecs.capability.pid-ipc-namespace-sharing",
        "ecs.capability.private-registry-authentication.secretsmanager",
        "ecs.capability.secrets.asm.bootstrap.log-driver",
        "ecs.capability.secrets.asm.environment-variables",
        "ecs.capability.secrets.ssm.environment-variables",
    }


def test_files_in_s3_need_a_store_to_be_read_from(embedded: Any) -> None:
    files = web(environmentFiles=[{"type": "s3", "value": OBJECT}])
    router = {"type": "fluentd", "options": {"config-file-type": "s3", "config-file-value": OBJECT}}
    for container, member in ((files, "environmentFiles"), (web(firelensConfiguration=router), "config-file-type s3")):
        told = refusal(embedded, container, executionRoleArn=ROLE)
        assert member in told and "BERTH_TASK_S3_ENDPOINT" in told


@pytest.mark.parametrize("members", [{}, {"rootDirectory": "/"}, {"rootDirectory": "/a/b"}])
def test_a_file_system_that_is_known_can_be_mounted(ecs: Any, members: dict[str, Any]) -> None:
    mounted = web(mountPoints=[{"sourceVolume": "data", "containerPath": "/data"}])
    found = register(ecs, mounted, volumes=efs(**members), **FARGATE)
    assert found["volumes"] == efs(**members) and "FARGATE" in found["compatibilities"]
    inert = {"transitEncryption": "DISABLED", "authorizationConfig": {"iam": "DISABLED"}}
    assert register(ecs, mounted, volumes=efs(**inert))["revision"] == 2


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"fileSystemId": "fs-9"}, "efsVolumeConfiguration.fileSystemId 'fs-9' is not known to this Berth"),
        ({"rootDirectory": "a"}, "efsVolumeConfiguration.rootDirectory must be an absolute path"),
        ({"rootDirectory": "/a/../../etc"}, "efsVolumeConfiguration.rootDirectory must be an absolute path"),
        ({"rootDirectory": "/a,exec"}, "efsVolumeConfiguration.rootDirectory must be an absolute path"),
        ({"transitEncryption": "ENABLED"}, "volumes[0].efsVolumeConfiguration.transitEncryption is not supported"),
        (
            {"authorizationConfig": {"accessPointId": "fsap-1"}},
            "volumes[0].efsVolumeConfiguration.authorizationConfig is not supported",
        ),
    ],
)
def test_a_file_system_is_refused_when(ecs: Any, members: dict[str, Any], text: str) -> None:
    assert text in refusal(ecs, web(), volumes=efs(**members))


def test_ephemeral_storage_is_of_fargate_sizes(ecs: Any) -> None:
    assert register(ecs, web(), **FARGATE, ephemeralStorage={"sizeInGiB": 21})["ephemeralStorage"] == {"sizeInGiB": 21}
    for size in (20, 201):
        assert "EphemeralStorage size should be at" in refusal(
            ecs, web(), **FARGATE, ephemeralStorage={"sizeInGiB": size}
        )
    only_ec2 = {"requiresCompatibilities": ["EC2"], "ephemeralStorage": {"sizeInGiB": 30}}
    assert "do not support EphemeralStorage" in refusal(ecs, web(), **only_ec2)


@pytest.mark.parametrize(("mode", "fits"), [("bridge", True), ("none", True), ("host", False), ("awsvpc", False)])
def test_only_a_network_of_the_containers_own_can_be_off(ecs: Any, mode: str, fits: bool) -> None:
    if fits:
        assert register(ecs, web(disableNetworking=True), networkMode=mode)["revision"] == 1
    else:
        assert "Disable Networking is not supported" in refusal(ecs, web(disableNetworking=True), networkMode=mode)


@pytest.mark.parametrize("mode", ["pidMode", "ipcMode"])
def test_containers_may_share_namespaces(ecs: Any, mode: str) -> None:
    assert register(ecs, web(), **{mode: "task"})[mode] == "task"
