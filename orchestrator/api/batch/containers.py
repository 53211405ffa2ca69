"""Container properties: checked as RegisterJobDefinition checks them, and merged with what SubmitJob overrides."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from kit.fargate import PLATFORM_VERSIONS
from kit.settings import Settings
from orchestrator.api.batch.errors import ClientException, NotBuiltYet
from orchestrator.api.ecs.container_rules import LEAST_MEMORY
from orchestrator.api.ecs.container_secrets import check_names
from orchestrator.api.ecs.task_definition_rules import read_task_definition
from scheduler.jobs.task_definitions import task_definition_body
from scheduler.queueing import BadResources, JobDemand, demand_of_job
from state.jobs import Submission

LONGEST_IMAGE = 255
RESERVED = "AWS_BATCH"
# CPU units; far beyond any host, within what a database column holds.
MOST_CPU = 1024 * 1024
MOST_GPUS = 1000
# Source: Batch API, ContainerProperties: what each platform's jobs must not specify.
NOT_ON_FARGATE = ("vcpus", "memory", "instanceType", "ulimits", "privileged")
NOT_ON_FARGATE_LINUX = ("devices", "sharedMemorySize", "tmpfs", "maxSwap", "swappiness")
NOT_ON_EC2 = ("networkConfiguration", "fargatePlatformConfiguration", "ephemeralStorage")
SMALLEST_STORAGE, LARGEST_STORAGE = 21, 200


def check_container(name: str, container: Mapping[str, Any], *, fargate: bool, settings: Settings) -> None:
    """Check the containerProperties of a job definition of this name; raises ClientException."""
    image = container.get("image")
    if not image:
        raise ClientException("containerProperties.image must be specified.")
    if len(image) > LONGEST_IMAGE or any(letter.isspace() for letter in image):
        raise ClientException(f"containerProperties.image must have at most {LONGEST_IMAGE} characters and no spaces.")
    check_environment(container.get("environment") or ())
    if (container.get("logConfiguration") or {}).get("logDriver") == "awsfirelens":
        raise NotBuiltYet("the log driver awsfirelens, whose router is a container beside the job's,")
    if container.get("instanceType"):
        raise ClientException("instanceType is for multi-node parallel jobs, which Berth has not built yet.")
    if fargate:
        _check_fargate(container)
    else:
        _check_ec2(container)
    wanted = demand(container, fargate=fargate)
    _check_task(name, container, wanted, fargate=fargate, settings=settings)


def demand(container: Mapping[str, Any], overrides: Mapping[str, Any] | None = None, *, fargate: bool) -> JobDemand:
    """What the job asks for, overrides applied; raises ClientException."""
    try:
        wanted = demand_of_job(container, overrides, fargate=fargate)
    except BadResources as bad:
        raise ClientException(str(bad)) from bad
    if wanted.cpu > MOST_CPU:
        raise ClientException(f"A job can ask for at most {MOST_CPU // 1024} vCPUs.")
    if wanted.gpus > MOST_GPUS:
        raise ClientException(f"A job can ask for at most {MOST_GPUS} GPUs.")
    return wanted


def check_overrides(container: Mapping[str, Any], overrides: Mapping[str, Any], *, fargate: bool) -> None:
    """Check SubmitJob's containerOverrides of the job definition's container; raises ClientException."""
    check_environment(overrides.get("environment") or ())
    check_names(container.get("secrets") or (), overrides.get("environment") or ())
    if overrides.get("instanceType"):
        raise ClientException("instanceType is for multi-node parallel jobs, which Berth has not built yet.")
    given = [name for name in ("vcpus", "memory") if overrides.get(name)]
    if fargate and given:
        raise ClientException(f"{' and '.join(given)} must not be specified for Fargate; use resourceRequirements.")


def override(container: Mapping[str, Any], overrides: Mapping[str, Any], wanted: JobDemand) -> dict[str, Any]:
    """The container as the job runs it: the overrides' command, environment and resources on the definition's."""
    merged = dict(container)
    if overrides.get("command"):
        merged["command"] = overrides["command"]
    environment = {entry.get("name"): entry for entry in container.get("environment") or ()}
    environment |= {entry.get("name"): entry for entry in overrides.get("environment") or ()}
    merged["environment"] = list(environment.values())
    requirements = {entry["type"]: entry for entry in container.get("resourceRequirements") or ()}
    requirements |= {entry["type"]: entry for entry in overrides.get("resourceRequirements") or ()}
    if overrides.get("vcpus") and "VCPU" in requirements:
        requirements["VCPU"] = {"type": "VCPU", "value": str(overrides["vcpus"])}
    if overrides.get("memory") and "MEMORY" in requirements:
        requirements["MEMORY"] = {"type": "MEMORY", "value": str(overrides["memory"])}
    merged["resourceRequirements"] = list(requirements.values())
    if merged.get("vcpus") or overrides.get("vcpus"):
        merged["vcpus"] = wanted.cpu // 1024
    if merged.get("memory") or overrides.get("memory"):
        merged["memory"] = wanted.memory
    return merged


def check_environment(environment: Iterable[Mapping[str, Any]]) -> None:
    """Raise ClientException unless every variable has a name that is not reserved."""
    for entry in environment:
        name = entry.get("name")
        if not name:
            raise ClientException("Every environment variable needs a name.")
        if name.startswith(RESERVED):
            raise ClientException(f"Environment variables cannot start with {RESERVED!r}, which is reserved: {name}.")


def _check_task(
    name: str, container: Mapping[str, Any], wanted: JobDemand, *, fargate: bool, settings: Settings
) -> None:
    """A job runs as an ECS task, so what its container asks for must be what ECS carries out."""
    job = Submission(definition_name=name, container=container, platform="FARGATE" if fargate else "EC2")
    sizes = replace(wanted, memory=max(wanted.memory, LEAST_MEMORY))
    body = task_definition_body(job, sizes, region=settings.region)
    body["containerDefinitions"][0]["environment"] = container.get("environment") or []
    read_task_definition({"family": name, **body}, settings=settings)


def _check_fargate(container: Mapping[str, Any]) -> None:
    given = [name for name in NOT_ON_FARGATE if container.get(name)]
    linux = container.get("linuxParameters") or {}
    given += [f"linuxParameters.{name}" for name in NOT_ON_FARGATE_LINUX if linux.get(name) is not None]
    given += [
        "volumes.host" for volume in container.get("volumes") or () if (volume.get("host") or {}).get("sourcePath")
    ]
    if given:
        raise ClientException(f"{', '.join(given)} must not be specified for jobs on Fargate.")
    if not container.get("executionRoleArn"):
        raise ClientException("containerProperties.executionRoleArn must be specified for jobs on Fargate.")
    version = (container.get("fargatePlatformConfiguration") or {}).get("platformVersion")
    if version not in PLATFORM_VERSIONS:
        raise ClientException(f"The specified platform version '{version}' does not exist.")
    storage = (container.get("ephemeralStorage") or {}).get("sizeInGiB")
    if storage is not None and not SMALLEST_STORAGE <= storage <= LARGEST_STORAGE:
        raise ClientException(f"ephemeralStorage.sizeInGiB must be between {SMALLEST_STORAGE} and {LARGEST_STORAGE}.")


def _check_ec2(container: Mapping[str, Any]) -> None:
    given = [name for name in NOT_ON_EC2 if container.get(name)]
    if given:
        raise ClientException(f"{', '.join(given)} must not be specified for jobs on EC2.")
