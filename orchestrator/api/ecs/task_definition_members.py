"""Which members of a task definition Berth carries out, which it only keeps, and which it refuses by name.

Nothing is passed over in silence: every member of RegisterTaskDefinition stands in exactly one of these tables
(a test compares them with botocore's model), and one that is refused names itself, and why, in the error.
``docs/task-definitions.md`` is made of these tables.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.api.ecs.errors import ClientException


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a member is refused, and the value besides absence and emptiness that asks for nothing."""

    why: str
    harmless: Any = None


def _by(**members: str) -> Mapping[str, str]:
    """Who carries out each member: ``_by(agent="image command")`` is ``{"image": "agent", "command": "agent"}``."""
    return {member: who for who, words in members.items() for member in words.split()}


# Carried out by the API itself, by placement, by the agent on the container, or by these two.
CARRIED_OUT: Mapping[str, Mapping[str, str]] = {
    "": _by(
        api="family tags containerDefinitions requiresCompatibilities taskRoleArn executionRoleArn",
        placement="placementConstraints runtimePlatform inferenceAccelerators",
        both="cpu memory networkMode",
        agent="volumes pidMode ipcMode ephemeralStorage",
    ),
    "containerDefinitions": _by(
        api="name versionConsistency",
        both="cpu memory memoryReservation portMappings resourceRequirements",
        agent="image links essential entryPoint command environment environmentFiles secrets mountPoints "
        "volumesFrom linuxParameters dependsOn startTimeout stopTimeout hostname user workingDirectory "
        "disableNetworking privileged readonlyRootFilesystem dnsServers dnsSearchDomains extraHosts "
        "dockerSecurityOptions interactive pseudoTerminal dockerLabels ulimits logConfiguration healthCheck "
        "systemControls repositoryCredentials firelensConfiguration restartPolicy",
    ),
    "containerDefinitions.portMappings": _by(
        both="hostPort protocol containerPortRange",
        agent="containerPort",
    ),
    "containerDefinitions.resourceRequirements": _by(both="type value"),
    "containerDefinitions.linuxParameters": _by(
        agent="capabilities devices initProcessEnabled sharedMemorySize tmpfs maxSwap swappiness"
    ),
    "containerDefinitions.logConfiguration": _by(agent="logDriver options secretOptions"),
    "containerDefinitions.restartPolicy": _by(agent="enabled ignoredExitCodes restartAttemptPeriod"),
    "containerDefinitions.firelensConfiguration": _by(agent="type options"),
    "containerDefinitions.secrets": _by(agent="name valueFrom"),
    "containerDefinitions.environmentFiles": _by(agent="value type"),
    "containerDefinitions.repositoryCredentials": _by(agent="credentialsParameter"),
    "volumes": _by(agent="name host dockerVolumeConfiguration efsVolumeConfiguration"),
    "volumes.dockerVolumeConfiguration": _by(agent="scope autoprovision driver driverOpts labels"),
    "volumes.efsVolumeConfiguration": _by(agent="fileSystemId rootDirectory"),
}

# Kept and echoed, and why nothing else is done with them.
KEPT: Mapping[str, Mapping[str, str]] = {
    "containerDefinitions.portMappings": {
        "name": "only Service Connect reads it, which services refuse",
        "appProtocol": "only Service Connect reads it, which services refuse",
    },
}

# Refused unless absent, empty or false, or equal to the harmless value, which asks for nothing.
REFUSED: Mapping[str, Mapping[str, Refusal]] = {
    "": {
        "proxyConfiguration": Refusal(why="it is of App Mesh, whose proxies need a mesh to ask"),
        "enableFaultInjection": Refusal(why="agents inject no faults"),
        "trustedExecutionConfiguration": Refusal(why="it is of ECS Managed Instances, which Berth has none of"),
    },
    "containerDefinitions": {
        "credentialSpecs": Refusal(why="agents join no Active Directory domain"),
    },
    "containerDefinitions.resourceRequirements": {
        "sharingStrategy": Refusal(why="a GPU is one container's alone"),
    },
    "volumes": {
        "s3filesVolumeConfiguration": Refusal(why="agents mount no S3 Files"),
        "fsxWindowsFileServerVolumeConfiguration": Refusal(why="hosts run Linux"),
        "configuredAtLaunch": Refusal(why="Berth makes no EBS volumes at launch"),
    },
    "volumes.efsVolumeConfiguration": {
        "transitEncryption": Refusal(
            why="file systems are mounted by NFS as it is; encrypt the network instead", harmless="DISABLED"
        ),
        "transitEncryptionPort": Refusal(why="it goes with transitEncryption"),
        "authorizationConfig": Refusal(
            why="NFS servers know neither access points nor roles", harmless={"iam": "DISABLED"}
        ),
    },
}
_NOTHING: tuple[Any, ...] = (None, "", False, [], {})


def refuse_unbuilt(request: Mapping[str, Any]) -> None:
    """Raise ClientException naming the first member that Berth would have to ignore."""
    for path, members in REFUSED.items():
        for where, holder in _holders(request, path):
            for member, refusal in members.items():
                value = holder.get(member)
                # Zero is a wish too, and equal to False.
                wanted = value not in _NOTHING or (value == 0 and value is not False)
                if wanted and value != refusal.harmless:
                    raise ClientException(f"{where}{member} is not supported by Berth: {refusal.why}.")


def _holders(holder: Mapping[str, Any], path: str, where: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every structure at ``path``, with how an error names its place."""
    if not path:
        yield where, holder
        return
    member, _, rest = path.partition(".")
    value = holder.get(member)
    if isinstance(value, Mapping):
        yield from _holders(value, rest, f"{where}{member}.")
    for index, item in enumerate(value if isinstance(value, list) else ()):
        yield from _holders(item or {}, rest, f"{where}{member}[{index}].")
