"""What RunTask and StartTask check before anything is launched, and how a request becomes a Launch."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from kit.fargate import PLATFORM_VERSION, PLATFORM_VERSIONS, FargateRefusal, check_fargate_size
from kit.settings import Settings
from orchestrator.api.ecs.capacity_strategies import PROVIDERS, check_providers, check_strategy
from orchestrator.api.ecs.container_rules import check_override
from orchestrator.api.ecs.container_secrets import check_files
from orchestrator.api.ecs.device_rules import check_device_overrides, needs_devices
from orchestrator.api.ecs.errors import ClientException, InvalidParameterException
from orchestrator.api.ecs.lookup import find_cluster, find_task_definition, tags_of
from orchestrator.api.ecs.task_definition_rules import check_sizes, check_storage
from orchestrator.call import Call
from scheduler.capacity_split import split
from scheduler.launch import Launch
from scheduler.placement import (
    BadConstraint,
    BadSize,
    BadStrategy,
    check_constraints,
    check_strategies,
    demand_of,
)
from state.clusters import Cluster
from state.task_definitions import TaskDefinition

# Groups of these kinds are given by ECS alone: clients tell a service's tasks by them.
OWN_GROUPS = ("service:", "family:")
MOST_GROUP = 255
MOST_STARTED_BY = 128


def read_launches(call: Call, request: Mapping[str, Any], count: int) -> list[tuple[Launch, int]]:
    """What a RunTask request describes, and how many tasks of it: one Launch for each capacity provider that has a
    share, or one alone. Raises ECS's errors for what it cannot be."""
    cluster = find_cluster(call, request.get("cluster"))
    launch = read_launch(call, request, cluster)
    strategy = choose_strategy(request, cluster.default_strategy)
    if not strategy:
        return [(launch, count)]
    return [(replace(launch, capacity_provider=name), share) for name, share in split(count, strategy, {}).items()]


def read_launch(call: Call, request: Mapping[str, Any], cluster: Cluster) -> Launch:
    """The Launch that a RunTask or StartTask request describes, but for its capacity provider; raises ECS's errors
    for what it cannot be."""
    definition = find_task_definition(call, request["taskDefinition"], active=True)
    launch_type = choose_launch_type(request, cluster.default_strategy)
    overrides = check_overrides(definition, request.get("overrides") or {}, launch_type, call.settings)
    network = request.get("networkConfiguration")
    check_network(definition, launch_type, network)
    check_names(request)
    if request.get("volumeConfigurations"):
        raise ClientException("volumeConfigurations is not supported by Berth yet.")
    constraints = request.get("placementConstraints") or []
    strategy = request.get("placementStrategy") or []
    check_placement(launch_type, constraints, strategy)
    try:
        demand = demand_of(definition.body, overrides)
    except BadSize as error:
        raise ClientException(str(error)) from error
    if launch_type == "FARGATE":
        if needs_devices(definition.body, overrides):
            raise ClientException("Fargate tasks do not support resourceRequirements: GPUs and accelerators.")
        try:
            check_fargate_size(demand.cpu, demand.memory)
        except FargateRefusal as error:
            raise ClientException(str(error)) from error
    return Launch(
        cluster=cluster.name,
        task_definition=definition,
        launch_type=launch_type,
        group=request.get("group"),
        started_by=request.get("startedBy"),
        platform_version=platform_version(request, launch_type),
        overrides=overrides,
        network_configuration=network,
        constraints=constraints,
        # ECS scatters tasks of RunTask at random unless told otherwise.
        strategy=strategy or [{"type": "random"}],
        tags=read_tags(request, cluster, definition),
        enable_execute_command=bool(request.get("enableExecuteCommand")),
    )


def read_tags(request: Mapping[str, Any], cluster: Cluster, definition: TaskDefinition) -> list[dict[str, Any]]:
    """The tags of the tasks: the request's, those that it propagates, and ECS's own where it asks for them."""
    tags = tags_of(dict(request))
    match request.get("propagateTags"):
        case "SERVICE":
            raise InvalidParameterException(
                "propagateTags SERVICE is for the tasks of a service: a task that is run takes TASK_DEFINITION or NONE."
            )
        case "TASK_DEFINITION":
            own = {tag["key"] for tag in tags}
            tags += [tag for tag in definition.tags if tag["key"] not in own]
    if request.get("enableECSManagedTags"):
        tags.append({"key": "aws:ecs:clusterName", "value": cluster.name})
    return tags


def check_names(request: Mapping[str, Any]) -> None:
    """Raise on a group that only ECS gives, and on a group or startedBy too long to keep."""
    group, started_by = request.get("group") or "", request.get("startedBy") or ""
    if group.startswith(OWN_GROUPS):
        raise InvalidParameterException(f"Invalid namespace for group: '{group}' is of a kind that only ECS gives.")
    if len(group) > MOST_GROUP:
        raise InvalidParameterException(f"group must have at most {MOST_GROUP} characters, not {len(group)}.")
    if len(started_by) > MOST_STARTED_BY:
        raise InvalidParameterException(
            f"startedBy must have at most {MOST_STARTED_BY} characters, not {len(started_by)}."
        )


def choose_launch_type(request: Mapping[str, Any], default_strategy: Sequence[Mapping[str, Any]]) -> str:
    """The launch type from the request, else from its or the cluster's capacity providers, else EC2."""
    if request.get("capacityProviderStrategy") and request.get("launchType"):
        raise InvalidParameterException(
            "Specifying both a launch type and capacity provider strategy is not supported."
        )
    if request.get("launchType"):
        return str(request["launchType"])
    return "FARGATE" if choose_strategy(request, default_strategy) else "EC2"


def choose_strategy(
    request: Mapping[str, Any], default_strategy: Sequence[Mapping[str, Any]]
) -> Sequence[Mapping[str, Any]]:
    """The capacity provider strategy of the request, else the cluster's; none where a launch type is asked for."""
    if request.get("launchType"):
        return []
    asked = request.get("capacityProviderStrategy") or default_strategy
    check_providers([item["capacityProvider"] for item in asked])
    return check_strategy(asked, PROVIDERS)


def platform_version(request: Mapping[str, Any], launch_type: str) -> str | None:
    """Fargate's platform version; ``LATEST`` is 1.4.0, and other launch types have none."""
    asked = request.get("platformVersion")
    if launch_type != "FARGATE":
        if asked:
            raise InvalidParameterException("The platform version must be null when specifying an EC2 launch type.")
        return None
    if asked not in PLATFORM_VERSIONS:
        raise InvalidParameterException(f"The specified platform version '{asked}' does not exist.")
    return PLATFORM_VERSION


def check_placement(
    launch_type: str, constraints: Sequence[Mapping[str, Any]], strategy: Sequence[Mapping[str, Any]]
) -> None:
    """Raise on placement rules that Berth cannot honour, and on any at all for Fargate."""
    if launch_type == "FARGATE":
        if constraints or strategy:
            raise ClientException("Placement constraints and strategies are not supported with FARGATE launch type.")
        return
    try:
        check_constraints(constraints)
        check_strategies(strategy)
    except (BadConstraint, BadStrategy) as error:
        raise InvalidParameterException(str(error)) from error


def check_overrides(
    definition: TaskDefinition, overrides: Mapping[str, Any], launch_type: str, settings: Settings
) -> dict[str, Any]:
    """The overrides as they will be kept; raise on a container that the task definition does not have."""
    defined = {container["name"]: container for container in definition.body["containerDefinitions"]}
    named: set[str] = set()
    for container in overrides.get("containerOverrides") or ():
        if container.get("name") not in defined:
            raise InvalidParameterException(
                f"Override for container named {container.get('name')} is not a container in the TaskDefinition."
            )
        if container["name"] in named:
            # One would be placed and another run.
            raise InvalidParameterException(f"Container '{container['name']}' is overridden twice.")
        named.add(container["name"])
        files = container.get("environmentFiles") or ()
        check_files(files, "containerOverrides.environmentFiles", settings=settings)
        if files and not (overrides.get("executionRoleArn") or definition.body.get("executionRoleArn")):
            raise ClientException(
                "When you are specifying environment files, you must also specify a value for 'executionRoleArn'."
            )
        check_override(defined[container["name"]], container)
    check_sizes(definition.body, overrides)
    check_device_overrides(definition.body, overrides)
    if overrides.get("ephemeralStorage"):
        check_storage(overrides["ephemeralStorage"])
        if launch_type != "FARGATE":
            raise ClientException(f"Tasks using the {launch_type} launch type do not support EphemeralStorage.")
    return {
        "containerOverrides": [],
        "inferenceAcceleratorOverrides": [],
        **{name: value for name, value in overrides.items() if value not in (None, "")},
    }


def check_network(definition: TaskDefinition, launch_type: str, network: Mapping[str, Any] | None) -> None:
    """Raise when the network configuration does not go with the task definition's network mode."""
    mode = definition.body.get("networkMode") or "bridge"
    given = bool((network or {}).get("awsvpcConfiguration"))
    if launch_type == "FARGATE" and mode != "awsvpc":
        raise ClientException("Fargate only supports network mode 'awsvpc'.")
    if launch_type == "FARGATE" and "FARGATE" not in (definition.body.get("compatibilities") or ("FARGATE",)):
        raise InvalidParameterException("Task definition does not support launch_type FARGATE.")
    if mode == "awsvpc" and not given:
        raise InvalidParameterException(
            "Network Configuration must be provided when networkMode 'awsvpc' is specified."
        )
    if mode != "awsvpc" and given:
        raise InvalidParameterException(
            "Network Configuration is not valid for the given networkMode of this task definition."
        )
