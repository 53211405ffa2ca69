"""What the official ECS agent makes of what it is sent: its own models of the messages, and Go's way to read JSON.

Written down from the agent's public models (ACS and TCS, versions 1.8x and 1.9x): member names and types. Go passes
over a value of the wrong type in silence, so here that is a failure; so is a member that the agent has never heard of.
"""

import json
from collections.abc import Mapping
from typing import Any

STRINGS = ["string"]
MAP = {"string": "string"}
IDENTIFIERS = ["TaskIdentifier"]
TO_INSTANCE = {"clusterArn": "string", "containerInstanceArn": "string", "generatedAt": "int", "messageId": "string"}
TO_TASK = {**TO_INSTANCE, "taskArn": "string", "taskClusterArn": "string", "waitTimeoutMs": "int"}

ACS: dict[str, dict[str, Any]] = {
    "HeartbeatMessage": {"healthy": "bool", "messageId": "string"},
    "PayloadMessage": {**TO_INSTANCE, "tasks": ["Task"], "seqNum": "int", "timeline": "int"},
    "TaskManifestMessage": {**TO_INSTANCE, "tasks": IDENTIFIERS, "timeline": "int"},
    "TaskStopVerificationAck": {"generatedAt": "int", "messageId": "string", "stopTasks": IDENTIFIERS},
    "IAMRoleCredentialsMessage": {
        "messageId": "string",
        "taskArn": "string",
        "taskClusterArn": "string",
        "roleType": "string",
        "roleCredentials": "IAMRoleCredentials",
    },
    "AttachTaskNetworkInterfacesMessage": {**TO_TASK, "elasticNetworkInterfaces": ["ElasticNetworkInterface"]},
    "ConfirmAttachmentMessage": {**TO_TASK, "attachment": "Attachment"},
    "CloseMessage": {"message": "string"},
    "ErrorMessage": {"message": "string"},
    "InactiveInstanceException": {"message": "string"},
    "AccessDeniedException": {"message": "string"},
    "TaskIdentifier": {"taskArn": "string", "taskClusterArn": "string", "desiredStatus": "string"},
    "IAMRoleCredentials": dict.fromkeys(
        (
            "credentialsId",
            "roleArn",
            "accessKeyId",
            "secretAccessKey",
            "sessionToken",
            "expiration",
            "credentialScope",
        ),
        "string",
    ),
    "Task": {
        "arn": "string",
        "taskClusterArn": "string",
        "containers": ["Container"],
        "desiredStatus": "string",
        "family": "string",
        "overrides": "string",
        "version": "string",
        "zone": "string",
        "taskDefinitionAccountId": "string",
        "volumes": ["Volume"],
        "roleCredentials": "IAMRoleCredentials",
        "executionRoleCredentials": "IAMRoleCredentials",
        "elasticNetworkInterfaces": ["ElasticNetworkInterface"],
        "cpu": "double",
        "memory": "int",
        "associations": ["Association"],
        "pidMode": "string",
        "ipcMode": "string",
        "proxyConfiguration": "ProxyConfiguration",
        "agentConfiguration": "string",
        "launchType": "string",
        "attachments": ["Attachment"],
        "networkMode": "string",
        "serviceName": "string",
        "group": "string",
        "enableFaultInjection": "bool",
    },
    "Container": {
        "command": STRINGS,
        "cpu": "int",
        "credentialSpecs": STRINGS,
        "entryPoint": STRINGS,
        "environment": MAP,
        "environmentFiles": ["EnvironmentFile"],
        "essential": "bool",
        "restartPolicy": "RestartPolicy",
        "image": "string",
        "links": STRINGS,
        "memory": "int",
        "name": "string",
        "overrides": "string",
        "portMappings": ["PortMapping"],
        "managedAgents": ["ManagedAgent"],
        "mountPoints": ["MountPoint"],
        "linuxParameters": "LinuxParameters",
        "privileged": "bool",
        "networkInterfaceNames": STRINGS,
        "volumesFrom": ["VolumeFrom"],
        "dockerConfig": "DockerConfig",
        "healthCheckType": "string",
        "registryAuthentication": "RegistryAuthentication",
        "logsAuthStrategy": "string",
        "secrets": ["Secret"],
        "dependsOn": ["ContainerDependency"],
        "startTimeout": "int",
        "stopTimeout": "int",
        "firelensConfiguration": "FirelensConfiguration",
        "containerArn": "string",
    },
    "Association": {"name": "string", "type": "string", "content": "EncodedString", "containers": STRINGS},
    "Attachment": {
        "attachmentArn": "string",
        "attachmentType": "string",
        "attachmentProperties": ["AttachmentProperty"],
    },
    "AttachmentProperty": {"name": "string", "value": "string"},
    "ASMAuthData": {"credentialsParameter": "string", "region": "string"},
    "ContainerDependency": {"containerName": "string", "condition": "string"},
    "Device": {"hostPath": "string", "containerPath": "string", "permissions": STRINGS},
    "DockerConfig": {"version": "string", "config": "string", "hostConfig": "string"},
    "DockerVolumeConfiguration": {
        "scope": "string",
        "autoprovision": "bool",
        "driver": "string",
        "driverOpts": MAP,
        "labels": MAP,
    },
    "ECRAuthData": {
        "registryId": "string",
        "region": "string",
        "endpointOverride": "string",
        "useExecutionRole": "bool",
    },
    "EFSAuthorizationConfig": {"accessPointId": "string", "iam": "string"},
    "EFSVolumeConfiguration": {
        "fileSystemId": "string",
        "rootDirectory": "string",
        "transitEncryption": "string",
        "transitEncryptionPort": "int",
        "authorizationConfig": "EFSAuthorizationConfig",
    },
    "ElasticNetworkInterface": {
        "name": "string",
        "macAddress": "string",
        "attachmentArn": "string",
        "ec2Id": "string",
        "index": "int",
        "interfaceAssociationProtocol": "string",
        "ipv4Addresses": ["IPv4Address"],
        "ipv6Addresses": ["IPv6Address"],
        "domainName": STRINGS,
        "domainNameServers": STRINGS,
        "privateDnsName": "string",
        "subnetGatewayIpv4Address": "string",
        "subnetGatewayIpv6Address": "string",
    },
    "EncodedString": {"value": "string", "encoding": "string"},
    "EnvironmentFile": {"value": "string", "type": "string"},
    "FirelensConfiguration": {"type": "string", "options": MAP},
    "HostVolume": {"sourcePath": "string"},
    "IPv4Address": {"privateAddress": "string", "primary": "bool"},
    "IPv6Address": {"address": "string", "primary": "bool"},
    "KernelCapabilities": {"add": STRINGS, "drop": STRINGS},
    "LinuxParameters": {
        "capabilities": "KernelCapabilities",
        "devices": ["Device"],
        "initProcessEnabled": "bool",
        "sharedMemorySize": "int",
    },
    "ManagedAgent": {"name": "string", "properties": MAP},
    "MountPoint": {"sourceVolume": "string", "containerPath": "string", "readOnly": "bool"},
    "PortMapping": {
        "containerPort": "uint16",
        "hostPort": "uint16",
        "containerPortRange": "string",
        "protocol": "string",
    },
    "ProxyConfiguration": {"type": "string", "containerName": "string", "properties": MAP},
    "RegistryAuthentication": {"type": "string", "ecrAuthData": "ECRAuthData", "asmAuthData": "ASMAuthData"},
    "RestartPolicy": {"enabled": "bool", "ignoredExitCodes": ["int"], "restartAttemptPeriod": "int"},
    "Secret": {
        "name": "string",
        "valueFrom": "string",
        "containerPath": "string",
        "type": "string",
        "region": "string",
        "provider": "string",
        "target": "string",
    },
    "Volume": {
        "name": "string",
        "type": "string",
        "host": "HostVolume",
        "dockerVolumeConfiguration": "DockerVolumeConfiguration",
        "efsVolumeConfiguration": "EFSVolumeConfiguration",
    },
    "VolumeFrom": {"sourceContainer": "string", "readOnly": "bool"},
}

TCS: dict[str, dict[str, Any]] = {
    "AckPublishMetric": {"message": "string"},
    "AckPublishHealth": {"message": "string"},
    "AckPublishInstanceStatus": {"message": "string"},
    "HeartbeatMessage": {"healthy": "bool"},
    "StopTelemetrySessionMessage": {"message": "string"},
}

# Docker Engine API: those members of a container's configuration that a task definition can mean.
DOCKER: dict[str, dict[str, Any]] = {
    "Config": {
        "User": "string",
        "WorkingDir": "string",
        "Hostname": "string",
        "Labels": MAP,
        "Tty": "bool",
        "OpenStdin": "bool",
        "NetworkDisabled": "bool",
        "Healthcheck": "Healthcheck",
    },
    "Healthcheck": {
        "Test": STRINGS,
        "Interval": "int",
        "Timeout": "int",
        "StartPeriod": "int",
        "Retries": "int",
    },
    "HostConfig": {
        "MemoryReservation": "int",
        "MemorySwap": "int",
        "MemorySwappiness": "int",
        "CapAdd": STRINGS,
        "CapDrop": STRINGS,
        "Init": "bool",
        "ShmSize": "int",
        "Tmpfs": MAP,
        "Devices": ["DeviceMapping"],
        "Ulimits": ["Ulimit"],
        "Sysctls": MAP,
        "Dns": STRINGS,
        "DnsSearch": STRINGS,
        "ExtraHosts": STRINGS,
        "Privileged": "bool",
        "ReadonlyRootfs": "bool",
        "SecurityOpt": STRINGS,
        "PidMode": "string",
        "IpcMode": "string",
        "LogConfig": "LogConfig",
    },
    "DeviceMapping": {"PathOnHost": "string", "PathInContainer": "string", "CgroupPermissions": "string"},
    "Ulimit": {"Name": "string", "Soft": "int", "Hard": "int"},
    "LogConfig": {"Type": "string", "Config": MAP},
}

# Members of a task definition's own lists, handed on as they are, that the agent passes over.
PASSED_OVER = {"PortMapping": {"name", "appProtocol"}, "Secret": {"logDriver"}}


def understand(text: str, models: Mapping[str, Mapping[str, Any]] = ACS) -> tuple[str, dict[str, Any]]:
    """A frame's type and message as the agent reads them; AssertionError for what it would not understand."""
    frame = json.loads(text)
    assert frame.keys() == {"type", "message"}, f"a frame of {sorted(frame)}"
    kind, message = frame["type"], frame["message"]
    assert kind in models, f"the agent knows no {kind}"
    check(message, kind, models, kind)
    if kind == "PayloadMessage":
        assert message["messageId"] and message["clusterArn"] and message["containerInstanceArn"]
        for task in message["tasks"]:
            check_task(task)
    return kind, message


def check_task(task: Mapping[str, Any]) -> None:
    """What the agent checks when it makes a task of its own out of a payload's, and hands it to the engine."""
    check(task, "Task", ACS, "Task")
    assert task["arn"] and task["desiredStatus"] in ("RUNNING", "STOPPED")
    for volume in task.get("volumes", ()):
        assert volume["name"] and volume.get("type", "host") in ("host", "docker", "efs")
        if volume.get("type", "host") == "host":
            assert "host" in volume, "the agent cannot read a host volume without its host"
    for interface in task.get("elasticNetworkInterfaces", ()):
        assert interface["ipv4Addresses"] and interface["macAddress"] and interface["ec2Id"]
        assert len(interface["subnetGatewayIpv4Address"].split("/")) == 2
    for container in task["containers"]:
        overrides = json.loads(container.get("overrides", "{}"))
        assert overrides.keys() <= {"command"}, "the agent refuses a task with overrides that it does not know"
        assert all(mapping["protocol"] in ("tcp", "udp") for mapping in container.get("portMappings", ()))
        assert min(container.get("cpu", 0), container.get("memory", 0)) >= 0
        docker = container.get("dockerConfig", {})
        for member, model in (("config", "Config"), ("hostConfig", "HostConfig")):
            check(json.loads(docker.get(member, "{}")), model, DOCKER, f"{container['name']}.{member}")


def check(value: Any, kind: Any, models: Mapping[str, Mapping[str, Any]], where: str) -> None:
    """Whether Go would read the value into a field of this type."""
    if isinstance(kind, list):
        assert isinstance(value, list), f"{where}: {value!r} is no list"
        for place, one in enumerate(value):
            check(one, kind[0], models, f"{where}[{place}]")
    elif isinstance(kind, dict):
        assert isinstance(value, dict), f"{where}: {value!r} is no map"
        for name, one in value.items():
            check(one, "string", models, f"{where}[{name}]")
    elif kind in models:
        assert isinstance(value, dict), f"{where}: {value!r} is no {kind}"
        unknown = value.keys() - models[kind].keys() - PASSED_OVER.get(kind, set())
        assert not unknown, f"{where}: the agent knows no {sorted(unknown)}"
        for name in value.keys() & models[kind].keys():
            check(value[name], models[kind][name], models, f"{where}.{name}")
    else:
        assert _is_a(value, kind), f"{where}: {value!r} is no {kind}"


def _is_a(value: Any, kind: str) -> bool:
    number = isinstance(value, int) and not isinstance(value, bool)
    match kind:
        case "string":
            return isinstance(value, str)
        case "bool":
            return isinstance(value, bool)
        case "int":
            return number and -(2**63) <= value < 2**63
        case "uint16":
            return number and 0 <= value < 2**16
        case "double":
            return number or isinstance(value, float)
    raise ValueError(kind)
