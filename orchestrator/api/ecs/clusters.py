"""Clusters: created once and again without harm, deleted only when empty, described with counts."""

from typing import Any

from kit.aws.paging import scope_of
from orchestrator.api.ecs.account_settings import effective_settings
from orchestrator.api.ecs.capacity_strategies import check_providers, check_strategy
from orchestrator.api.ecs.errors import (
    ClusterContainsContainerInstancesException,
    ClusterContainsServicesException,
    ClusterContainsTasksException,
    InvalidParameterException,
    ResourceInUseException,
)
from orchestrator.api.ecs.lookup import DEFAULT_CLUSTER, find_cluster, resource_name, tags_of
from orchestrator.api.ecs.names import check_name
from orchestrator.api.ecs.pages import page
from orchestrator.api.ecs.wire import ecs
from orchestrator.call import Call
from state.clusters import Cluster, get_cluster, get_clusters, list_cluster_names, lock_cluster
from state.counts import ClusterCounts, count_clusters
from state.services import providers_in_use

MOST_DESCRIBED = 100
INSIGHTS = {"disabled", "enabled", "enhanced"}
LAUNCH_TYPES = {"EC2": "EC2", "FARGATE": "Fargate", "EXTERNAL": "External"}


@ecs.operation("CreateCluster")
def create_cluster(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """An ACTIVE cluster of the same name is answered as it is; an INACTIVE one starts anew."""
    name = check_name(request.get("clusterName") or DEFAULT_CLUSTER, "Cluster")
    _refuse_service_connect(request)
    insights = effective_settings(call, call.caller.principal_arn)["containerInsights"]
    settings = _settings(request.get("settings"), [{"name": "containerInsights", "value": insights}])
    providers = check_providers(request.get("capacityProviders"))
    strategy = check_strategy(request.get("defaultCapacityProviderStrategy"), providers)
    tags = tags_of(request)
    lock_cluster(call.session, name)
    cluster = get_cluster(call.session, name)
    if cluster is None:
        cluster = Cluster(name=name, status="ACTIVE")
        call.session.add(cluster)
    elif cluster.status == "ACTIVE":
        return {"cluster": render_cluster(call, cluster, _count(call, cluster), include=("SETTINGS", "TAGS"))}
    else:
        cluster.advance("ACTIVE", at=call.now, because="CreateCluster")
    cluster.settings = settings
    cluster.configuration = request.get("configuration") or None
    cluster.capacity_providers = providers
    cluster.default_strategy = strategy
    cluster.tags = tags
    cluster.created_at = call.now
    include = ("SETTINGS", "TAGS", "CONFIGURATIONS")
    return {"cluster": render_cluster(call, cluster, ClusterCounts(), include=include)}


@ecs.operation("DescribeClusters")
def describe_clusters(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    refs = list(dict.fromkeys(request.get("clusters") or [DEFAULT_CLUSTER]))
    if len(refs) > MOST_DESCRIBED:
        raise InvalidParameterException(f"Clusters cannot have more than {MOST_DESCRIBED} elements.")
    include = request.get("include") or ()
    named = {ref: resource_name(call, ref, "cluster") for ref in refs}
    found = get_clusters(call.session, {name for name in named.values() if name})
    counts = count_clusters(call.session, found.keys())
    clusters, failures = [], []
    for ref, name in named.items():
        if name is not None and name in found:
            clusters.append(render_cluster(call, found[name], counts[name], include=include))
        else:
            failures.append({"arn": ref if name is None else call.arns.cluster(name), "reason": "MISSING"})
    return {"clusters": clusters, "failures": failures}


@ecs.operation("ListClusters")
def list_clusters(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    names, more = page(
        request,
        lambda after, limit: list_cluster_names(call.session, after=after, limit=limit),
        str,
        scope=scope_of("ListClusters"),
    )
    return {"clusterArns": [call.arns.cluster(name) for name in names], **more}


@ecs.operation("DeleteCluster")
def delete_cluster(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    cluster = find_cluster(call, request["cluster"], lock=True)
    counts = _count(call, cluster)
    if counts.services:
        raise ClusterContainsServicesException
    if counts.instances:
        raise ClusterContainsContainerInstancesException
    if counts.tasks:
        raise ClusterContainsTasksException
    cluster.advance("INACTIVE", at=call.now, because="DeleteCluster")
    return {"cluster": render_cluster(call, cluster, counts, include=("SETTINGS", "TAGS"))}


@ecs.operation("UpdateCluster")
def update_cluster(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    _refuse_service_connect(request)
    cluster = find_cluster(call, request["cluster"], lock=True)
    if request.get("settings"):
        cluster.settings = _settings(request["settings"], cluster.settings)
    if request.get("configuration"):
        cluster.configuration = request["configuration"]
    include = ("SETTINGS", "TAGS", "CONFIGURATIONS")
    return {"cluster": render_cluster(call, cluster, _count(call, cluster), include=include)}


@ecs.operation("UpdateClusterSettings")
def update_cluster_settings(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    cluster = find_cluster(call, request["cluster"], lock=True)
    cluster.settings = _settings(request["settings"], cluster.settings)
    return {"cluster": render_cluster(call, cluster, _count(call, cluster), include=("SETTINGS", "TAGS"))}


@ecs.operation("PutClusterCapacityProviders")
def put_cluster_capacity_providers(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    cluster = find_cluster(call, request["cluster"], lock=True)
    providers = check_providers(request["capacityProviders"])
    strategy = check_strategy(request["defaultCapacityProviderStrategy"], providers)
    leaving = set(cluster.capacity_providers) - set(providers)
    if leaving & providers_in_use(call.session, cluster.name):
        raise ResourceInUseException("The specified capacity provider is in use and cannot be removed.")
    cluster.capacity_providers = providers
    cluster.default_strategy = strategy
    return {"cluster": render_cluster(call, cluster, _count(call, cluster), include=("SETTINGS", "TAGS"))}


def render_cluster(
    call: Call, cluster: Cluster, counts: ClusterCounts, *, include: tuple[str, ...] | list[str] = ()
) -> dict[str, Any]:
    """The cluster on the wire; ``include`` as in DescribeClusters."""
    rendered: dict[str, Any] = {
        "clusterArn": call.arns.cluster(cluster.name),
        "clusterName": cluster.name,
        "status": cluster.status,
        "registeredContainerInstancesCount": counts.instances,
        "runningTasksCount": counts.tasks_in("RUNNING"),
        "pendingTasksCount": counts.tasks_in("PENDING"),
        "activeServicesCount": counts.services_in("ACTIVE"),
        "statistics": _statistics(counts) if "STATISTICS" in include else [],
        "tags": cluster.tags if "TAGS" in include else [],
        "settings": cluster.settings if "SETTINGS" in include else [],
        "capacityProviders": cluster.capacity_providers,
        "defaultCapacityProviderStrategy": cluster.default_strategy,
    }
    if "CONFIGURATIONS" in include and cluster.configuration:
        rendered["configuration"] = cluster.configuration
    return rendered


def _count(call: Call, cluster: Cluster) -> ClusterCounts:
    return count_clusters(call.session, (cluster.name,))[cluster.name]


def _statistics(counts: ClusterCounts) -> list[dict[str, str]]:
    figures = {}
    for launch_type, word in LAUNCH_TYPES.items():
        figures[f"running{word}TasksCount"] = counts.tasks[launch_type, "RUNNING"]
        figures[f"pending{word}TasksCount"] = counts.tasks[launch_type, "PENDING"]
        figures[f"active{word}ServiceCount"] = counts.services[launch_type, "ACTIVE"]
        figures[f"draining{word}ServiceCount"] = counts.services[launch_type, "DRAINING"]
    return [{"name": name, "value": str(count)} for name, count in figures.items()]


def _settings(given: list[dict[str, Any]] | None, before: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """``before`` with what was given on top."""
    settings = {setting["name"]: setting["value"] for setting in before}
    for setting in given or ():
        name, value = setting.get("name"), setting.get("value")
        if name is None or value not in INSIGHTS:
            raise InvalidParameterException(f"Invalid value {value!r} for the cluster setting {name!r}.")
        settings[name] = value
    return [{"name": name, "value": value} for name, value in settings.items()]


def _refuse_service_connect(request: dict[str, Any]) -> None:
    if (request.get("serviceConnectDefaults") or {}).get("namespace"):
        raise InvalidParameterException("serviceConnectDefaults: Service Connect is not supported by Berth yet.")
