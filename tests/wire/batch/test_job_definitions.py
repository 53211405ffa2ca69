"""Job definitions through boto3: what is accepted is echoed, what is not is refused with the reason."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kit.settings import Settings
from orchestrator.agents.conversation import Conversation
from orchestrator.agents.roles import Roles
from tests.support.batch import CONTAINER, FARGATE_CONTAINER, BatchPlane, refusal

ARN = "arn:aws:batch:us-east-1:123456789012"
ROLE = "arn:aws:iam::123456789012:role/execution"
SECRET = {"name": "PASSWORD", "valueFrom": "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf"}


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[BatchPlane]:
    settings = Settings(file_systems="fs-01=nfs.example:/exports/a")
    plane = BatchPlane(f"sqlite:///{tmp_path / 'berth.db'}", settings=settings)
    yield plane
    plane.close()


def test_a_definition_is_echoed_as_it_was_given(plane: BatchPlane) -> None:
    container = {
        "image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:1",
        "vcpus": 2,
        "memory": 128,
        "command": ["run", "Ref::input"],
        "environment": [],
        "volumes": [{"name": "data", "host": {"sourcePath": "/data"}}],
        "mountPoints": [{"sourceVolume": "data", "containerPath": "/data", "readOnly": True}],
        "ulimits": [{"name": "nofile", "softLimit": 1, "hardLimit": 2}],
        "user": "nobody",
        "privileged": False,
        "linuxParameters": {"devices": []},
    }
    given = {
        "parameters": {"input": "x"},
        "retryStrategy": {"attempts": 3, "evaluateOnExit": []},
        "timeout": {"attemptDurationSeconds": 60},
        "propagateTags": True,
        "tags": {"team": "blue"},
        "platformCapabilities": ["EC2"],
    }
    made = plane.batch.register_job_definition(
        jobDefinitionName="work", type="container", containerProperties=container, **given
    )
    assert (made["revision"], made["jobDefinitionArn"]) == (1, f"{ARN}:job-definition/work:1")
    found = plane.batch.describe_job_definitions(jobDefinitionName="work", status="ACTIVE")["jobDefinitions"]
    assert len(found) == 1
    assert {name: found[0][name] for name in given} == given
    assert found[0]["containerProperties"] == {**container, "resourceRequirements": [], "secrets": []}


def test_what_a_job_asks_for_reaches_the_agent_of_its_host(plane: BatchPlane) -> None:
    container = {
        **CONTAINER,
        "executionRoleArn": ROLE,
        "jobRoleArn": "arn:aws:iam::123456789012:role/job",
        "secrets": [SECRET],
        "repositoryCredentials": {"credentialsParameter": "login"},
        "volumes": [{"name": "e", "efsVolumeConfiguration": {"fileSystemId": "fs-01", "rootDirectory": "/b"}}],
        "mountPoints": [{"sourceVolume": "e", "containerPath": "/e"}],
        "ulimits": [{"name": "nofile", "softLimit": 1, "hardLimit": 2}],
        "linuxParameters": {
            "initProcessEnabled": True,
            "sharedMemorySize": 64,
            "maxSwap": 0,
            "swappiness": 10,
            "tmpfs": [{"containerPath": "/t", "size": 8, "mountOptions": ["noexec"]}],
            "devices": [{"hostPath": "/dev/null", "permissions": ["READ"]}],
        },
        "logConfiguration": {
            "logDriver": "splunk",
            "options": {"splunk-url": "https://splunk.example"},
            "secretOptions": [{"name": "splunk-token", "valueFrom": "token"}],
        },
        "enableExecuteCommand": True,
    }
    plane.environment()
    plane.queue()
    plane.definition("work", container)
    host = plane.add_host()
    job = plane.submit()
    plane.settle()
    roles = Roles(plane.store, plane.loop_clock, plane.settings, plane.secrets)
    [news] = Conversation(plane.store, plane.loop_clock, plane.settings, host, roles=roles).news()
    [task] = json.loads(news)["message"]["tasks"]
    [told] = task["containers"]
    config = json.loads(told["dockerConfig"]["hostConfig"])
    assert [(one["name"], one["provider"], one["target"]) for one in told["secrets"]] == [
        ("PASSWORD", "asm", "CONTAINER"),
        ("splunk-token", "ssm", "LOG_DRIVER"),
    ]
    assert task["executionRoleCredentials"]["roleArn"] == ROLE
    assert task["roleCredentials"]["roleArn"] == "arn:aws:iam::123456789012:role/job"
    assert told["registryAuthentication"]["asmAuthData"]["credentialsParameter"] == "login"
    [volume] = task["volumes"]
    assert volume["dockerVolumeConfiguration"]["driverOpts"]["device"] == ":/exports/a/b"
    assert told["mountPoints"] == [{"sourceVolume": "e", "containerPath": "/e"}]
    assert config["Ulimits"] == [{"Name": "nofile", "Soft": 1, "Hard": 2}]
    assert (config["Init"], config["ShmSize"], config["Tmpfs"]) == (True, 64 << 20, {"/t": "noexec,size=8m"})
    assert (config["MemorySwap"], config["MemorySwappiness"]) == (512 << 20, 10)
    assert config["Devices"][0]["CgroupPermissions"] == "r"
    assert config["LogConfig"] == {"Type": "splunk", "Config": {"splunk-url": "https://splunk.example"}}
    assert plane.task_of(job).enable_execute_command
    assert plane.job(job)["container"]["secrets"] == [SECRET]


def test_a_jobs_own_environment_must_not_hide_a_secret(plane: BatchPlane) -> None:
    plane.environment()
    plane.queue()
    plane.definition("work", {**CONTAINER, "secrets": [SECRET], "executionRoleArn": ROLE})
    hiding = {"environment": [{"name": "PASSWORD", "value": "p"}]}
    submit = plane.batch.submit_job
    words = refusal(submit, jobName="j", jobQueue="queue", jobDefinition="work", containerOverrides=hiding)
    assert "such as 'PASSWORD'" in words


def test_revisions_count_up_and_are_never_used_twice(plane: BatchPlane) -> None:
    assert [plane.definition() for _ in range(3)] == ["work:1", "work:2", "work:3"]
    plane.batch.deregister_job_definition(jobDefinition="work:3")
    plane.batch.deregister_job_definition(jobDefinition=f"{ARN}:job-definition/work:3")
    assert plane.definition() == "work:4"
    found = plane.batch.describe_job_definitions(jobDefinitionName="work")["jobDefinitions"]
    assert [(one["revision"], one["status"]) for one in found] == [
        (4, "ACTIVE"),
        (3, "INACTIVE"),
        (2, "ACTIVE"),
        (1, "ACTIVE"),
    ]
    named = plane.batch.describe_job_definitions(jobDefinitions=["work:3", "work:9", "work"])["jobDefinitions"]
    assert [one["revision"] for one in named] == [3, 4]


def test_definitions_are_listed_in_pages(plane: BatchPlane) -> None:
    for name in ("a", "b"):
        for _ in range(2):
            plane.definition(name)
    pages = plane.batch.get_paginator("describe_job_definitions").paginate(PaginationConfig={"PageSize": 3})
    found = [[f"{one['jobDefinitionName']}:{one['revision']}" for one in page["jobDefinitions"]] for page in pages]
    assert found == [["a:2", "a:1", "b:2"], ["b:1"]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image": ""}, "image must be specified"),
        ({"resourceRequirements": []}, "needs a resource requirement of type VCPU"),
        ({"resourceRequirements": [{"type": "VCPU", "value": "0.5"}]}, "needs a resource requirement of type MEMORY"),
        ({"vcpus": 1, "memory": 2, "resourceRequirements": []}, "MEMORY must be a whole number of at least 4"),
        ({"environment": [{"name": "AWS_BATCH_X", "value": "1"}]}, "reserved"),
        ({"environment": [{"value": "1"}]}, "needs a name"),
        ({"mountPoints": [{"sourceVolume": "x", "containerPath": "/x"}]}, "Unknown volume 'x'"),
        ({"volumes": [{"name": "v"}, {"name": "v"}]}, "Duplicate volume name 'v'"),
        ({"volumes": [{"name": "e", "efsVolumeConfiguration": {"fileSystemId": "fs-02"}}]}, "BERTH_FILE_SYSTEMS"),
        (
            {
                "volumes": [
                    {"name": "e", "efsVolumeConfiguration": {"fileSystemId": "fs-01", "transitEncryptionPort": 9}}
                ]
            },
            "volumes[0].efsVolumeConfiguration.transitEncryptionPort is not supported by Berth",
        ),
        (
            {"volumes": [{"name": "e", "s3filesVolumeConfiguration": {"fileSystemArn": "arn:x"}}]},
            "volumes[0].s3filesVolumeConfiguration is not supported by Berth",
        ),
        ({"networkConfiguration": {"assignPublicIp": "ENABLED"}}, "networkConfiguration must not be specified"),
        ({"ulimits": [{"name": "core", "softLimit": 2, "hardLimit": 1}]}, "exceeds hard limit for ulimit core"),
        ({"linuxParameters": {"swappiness": 101}}, "swappiness"),
        ({"secrets": [SECRET], "executionRoleArn": ""}, "must also specify a value for 'executionRoleArn'"),
        ({"secrets": [SECRET, SECRET], "executionRoleArn": ROLE}, "The secret name must be unique"),
        ({"secrets": [{"name": "S", "valueFrom": "arn:aws:s3:::x"}], "executionRoleArn": ROLE}, "parameter name"),
        (
            {"secrets": [SECRET], "environment": [{"name": "PASSWORD", "value": "p"}], "executionRoleArn": ROLE},
            "not shared with any new or existing environment variables",
        ),
        ({"repositoryCredentials": {"credentialsParameter": "login"}}, "specify a value for executionRoleArn"),
        ({"repositoryCredentials": {"credentialsParameter": "a b"}}, "neither the name nor the ARN"),
        ({"logConfiguration": {"logDriver": "splunk"}}, "Log driver splunk requires options: splunk-url, splunk-token"),
        ({"logConfiguration": {"logDriver": "json-file", "options": {"nope": "1"}}}, "disallows options: nope"),
        ({"logConfiguration": {"logDriver": "awsfirelens"}}, "has not built the log driver awsfirelens"),
        ({"runtimePlatform": {"operatingSystemFamily": "WINDOWS_SERVER_2019_CORE"}}, "WINDOWS_SERVER_2019_CORE"),
    ],
)
def test_containers_that_are_refused(plane: BatchPlane, change: dict[str, Any], words: str) -> None:
    register = plane.batch.register_job_definition
    container = {**CONTAINER, **change}
    assert words in refusal(register, jobDefinitionName="w", type="container", containerProperties=container)
    assert plane.definition("w") == "w:1"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"executionRoleArn": ""}, "executionRoleArn must be specified"),
        ({"vcpus": 1}, "vcpus must not be specified"),
        ({"privileged": True}, "privileged must not be specified"),
        ({"linuxParameters": {"sharedMemorySize": 64}}, "linuxParameters.sharedMemorySize must not be specified"),
        ({"ephemeralStorage": {"sizeInGiB": 10}}, "between 21 and 200"),
        ({"fargatePlatformConfiguration": {"platformVersion": "9.9"}}, "'9.9' does not exist"),
        ({"logConfiguration": {"logDriver": "json-file"}}, "json-file is not a valid log driver"),
        ({"volumes": [{"name": "v", "host": {"sourcePath": "/v"}}]}, "volumes.host must not be specified"),
        (
            {"resourceRequirements": [{"type": "VCPU", "value": "3"}, {"type": "MEMORY", "value": "512"}]},
            "VCPU 3 is not one that Fargate offers",
        ),
        (
            {"resourceRequirements": [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "4096"}]},
            "MEMORY 4096 does not go with VCPU 0.25",
        ),
    ],
)
def test_fargate_containers_that_are_refused(plane: BatchPlane, change: dict[str, Any], words: str) -> None:
    container = {**FARGATE_CONTAINER, **change}
    request = {"jobDefinitionName": "w", "type": "container", "containerProperties": container}
    assert words in refusal(plane.batch.register_job_definition, **request, platformCapabilities=["FARGATE"])


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"containerProperties": {}}, "containerProperties must be specified"),
        ({"retryStrategy": {"attempts": 11}}, "attempts must be between 1 and 10"),
        ({"timeout": {"attemptDurationSeconds": 59}}, "must be at least 60"),
        ({"platformCapabilities": ["MANAGED_INSTANCES"]}, "has not built jobs on ECS Managed Instances"),
        ({"platformCapabilities": ["EC2", "FARGATE"]}, "not both"),
        ({"jobDefinitionName": "bad name"}, "jobDefinitionName must match"),
        ({"schedulingPriority": 10_000}, "between 0 and 9999"),
        ({"tags": {"aws:x": "y"}}, "reserved for AWS use"),
        ({"type": "multinode"}, "has not built multi-node parallel jobs"),
        ({"ecsProperties": {"taskProperties": []}}, "has not built jobs of several containers"),
        (
            {"consumableResourceProperties": {"consumableResourceList": [{"consumableResource": "x", "quantity": 1}]}},
            "has not built consumable resources",
        ),
    ],
)
def test_definitions_that_are_refused(plane: BatchPlane, members: dict[str, Any], words: str) -> None:
    usual = {"jobDefinitionName": "w", "type": "container", "containerProperties": CONTAINER}
    assert words in refusal(plane.batch.register_job_definition, **{**usual, **members})


def test_deregistering_needs_a_revision_that_exists(plane: BatchPlane) -> None:
    plane.definition()
    deregister = plane.batch.deregister_job_definition
    assert "must name a revision" in refusal(deregister, jobDefinition="work")
    assert "work:7 not found" in refusal(deregister, jobDefinition="work:7")
    assert "'x' is not a revision" in refusal(deregister, jobDefinition="work:x")
