"""Which members of a task definition Berth carries out, which it only keeps, and which it refuses by name.

Nothing is passed over in silence: every member of RegisterTaskDefinition stands in exactly one of these tables
(a test compares them with botocore's model), and one that is refused names itself in the error.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.api.ecs.errors import ClientException


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Carried out by placement, by the agent, or by the API itself.
CARRIED_OUT: Mapping[str, frozenset[str]] = {
    "": _words(
        "family networkMode containerDefinitions volumes placementConstraints requiresCompatibilities cpu "
        "memory tags pidMode ipcMode runtimePlatform taskRoleArn executionRoleArn inferenceAccelerators"
    ),
    "containerDefinitions": _words(
        "name image cpu memory memoryReservation links portMappings essential entryPoint command environment "
        "mountPoints volumesFrom linuxParameters dependsOn startTimeout stopTimeout hostname user "
        "workingDirectory privileged readonlyRootFilesystem dnsServers dnsSearchDomains extraHosts "
        "dockerSecurityOptions interactive pseudoTerminal dockerLabels ulimits logConfiguration healthCheck "
        "systemControls resourceRequirements"
    ),
    "containerDefinitions.portMappings": _words("containerPort hostPort protocol containerPortRange"),
    "containerDefinitions.resourceRequirements": _words("type value"),
    "containerDefinitions.linuxParameters": _words("capabilities devices initProcessEnabled sharedMemorySize tmpfs"),
    "containerDefinitions.logConfiguration": _words("logDriver options"),
    "volumes": _words("name host dockerVolumeConfiguration"),
}

# Kept and echoed: only features that Berth refuses elsewhere would read them.
KEPT: Mapping[str, frozenset[str]] = {
    "containerDefinitions.portMappings": _words("name appProtocol"),
}

# Refused unless absent, empty or false, or equal to the value given here, which asks for nothing.
REFUSED: Mapping[str, Mapping[str, Any]] = {
    "": dict.fromkeys(_words("proxyConfiguration ephemeralStorage enableFaultInjection trustedExecutionConfiguration")),
    "containerDefinitions": {
        **dict.fromkeys(
            _words(
                "repositoryCredentials environmentFiles secrets firelensConfiguration credentialSpecs disableNetworking"
            )
        ),
        "restartPolicy": {"enabled": False},
        "versionConsistency": "disabled",
    },
    "containerDefinitions.resourceRequirements": {"sharingStrategy": None},
    "containerDefinitions.linuxParameters": dict.fromkeys(_words("maxSwap swappiness")),
    "containerDefinitions.logConfiguration": {"secretOptions": None},
    "volumes": dict.fromkeys(
        _words(
            "efsVolumeConfiguration s3filesVolumeConfiguration fsxWindowsFileServerVolumeConfiguration "
            "configuredAtLaunch"
        )
    ),
}
_NOTHING: tuple[Any, ...] = (None, "", False, [], {})


def refuse_unbuilt(request: Mapping[str, Any]) -> None:
    """Raise ClientException naming the first member that Berth would have to ignore."""
    for path, members in REFUSED.items():
        for where, holder in _holders(request, path):
            for member, harmless in members.items():
                value = holder.get(member)
                # Zero is a wish too (``swappiness: 0``), and equal to False.
                wanted = value not in _NOTHING or (value == 0 and value is not False)
                if wanted and value != harmless:
                    raise ClientException(f"{where}{member} is not supported by Berth yet.")


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
