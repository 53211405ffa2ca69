"""``berth status``: hosts, services, tasks and jobs on one screen, and why what waits is waiting."""

import argparse
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session
from rich.console import Console
from rich.table import Table

from orchestrator.cli.output import CommandFailed, Place, add_data, root_key, settings_of

WAITING_JOBS = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")
MOST_ROWS = 40
HOSTS = "Hosts"
GIB = 1024
# What a screen of 80 columns has no room for: Batch's clusters end in a UUID, ECS's events in where to read more.
UUID = re.compile(r"-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
READ_MORE = re.compile(r" For more information, see the Troubleshooting section of .*$")
LONG_ID = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{24}\b")


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "status",
        help="show hosts, services, tasks and jobs, and why something waits",
        description="Show every cluster's hosts, services and tasks, and the jobs that have not ended, with the reason "
        "why something waits. Exit code 1 when no Berth is up.",
    )
    add_data(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    place = Place(data=settings.data)
    card = place.read_card()
    if not place.is_up():
        raise CommandFailed(place.down)
    key_id, secret = root_key(settings)
    session = Session()
    session.set_credentials(key_id, secret)

    def client(service: str) -> Any:
        config = Config(retries={"total_max_attempts": 2}, connect_timeout=5, read_timeout=20)
        return session.create_client(service, region_name=card["region"], endpoint_url=card["endpoint"], config=config)

    console = Console()
    console.print(f"[bold]Berth[/] API {card['endpoint']}  registry {card['registry']}  data {settings.data}")
    try:
        tables = list(tables_of(client("ecs"), client("batch")))
        if not any(table.title == HOSTS for table in tables):
            console.print("No hosts: no agent has joined yet; what the local one waits for is in logs/agent.log.")
        for table in tables:
            console.print(table)
    except (ClientError, BotoCoreError) as error:
        raise CommandFailed(f"Berth on {card['endpoint']} does not answer as it should: {error}") from error
    return 0


def tables_of(ecs: Any, batch: Any) -> Iterator[Table]:
    """Hosts, services, tasks and jobs as the clients see them; what there is none of has no table."""
    clusters = [arn.rsplit("/", 1)[-1] for arn in _pages(ecs, "list_clusters", "clusterArns")]
    for table in (_hosts(ecs, clusters), _services(ecs, clusters), _tasks(ecs, clusters), _jobs(batch)):
        if table.row_count:
            yield table


def _hosts(ecs: Any, clusters: Sequence[str]) -> Table:
    table = _table(HOSTS, "cluster", "host", "status", "agent", "vCPU free", "GiB free", "tasks")
    for cluster in clusters:
        arns = list(_pages(ecs, "list_container_instances", "containerInstanceArns", cluster=cluster))
        for chunk in _chunks(arns):
            described = ecs.describe_container_instances(cluster=cluster, containerInstances=chunk)
            for host in described["containerInstances"]:
                has, free = _sizes(host["registeredResources"]), _sizes(host["remainingResources"])
                table.add_row(
                    UUID.sub("", cluster),
                    _short(host["containerInstanceArn"]),
                    host["status"],
                    "connected" if host["agentConnected"] else "[red]away[/]",
                    f"{free['CPU'] / 1024:.2f}/{has['CPU'] / 1024:.2f}",
                    f"{free['MEMORY'] / GIB:.1f}/{has['MEMORY'] / GIB:.1f}",
                    _counted(host["runningTasksCount"], host["pendingTasksCount"]),
                )
    return table


def _services(ecs: Any, clusters: Sequence[str]) -> Table:
    table = _table("Services", "cluster", "service", "of", "running", "rollout", "last word")
    for cluster in clusters:
        arns = list(_pages(ecs, "list_services", "serviceArns", cluster=cluster))
        for chunk in _chunks(arns, 10):
            for service in ecs.describe_services(cluster=cluster, services=chunk)["services"]:
                events = service.get("events") or [{"message": ""}]
                table.add_row(
                    UUID.sub("", cluster),
                    service["serviceName"],
                    _short(service["taskDefinition"]),
                    f"{service['runningCount']}/{service['desiredCount']}",
                    service["deployments"][0].get("rolloutState", "") if service["deployments"] else "",
                    _word(events[0]["message"].removeprefix(f"(service {service['serviceName']}) ")),
                )
    return table


def _tasks(ecs: Any, clusters: Sequence[str]) -> Table:
    table = _table("Tasks", "cluster", "task", "of", "on", "status", "health", "why")
    for cluster in clusters:
        arns = list(_pages(ecs, "list_tasks", "taskArns", cluster=cluster))
        for chunk in _chunks(arns[:MOST_ROWS]):
            for task in ecs.describe_tasks(cluster=cluster, tasks=chunk)["tasks"]:
                table.add_row(
                    UUID.sub("", cluster),
                    _short(task["taskArn"]),
                    _short(task["taskDefinitionArn"]),
                    _short(task.get("containerInstanceArn", "")) or task["launchType"].lower(),
                    task["lastStatus"],
                    "" if task["healthStatus"] == "UNKNOWN" else task["healthStatus"],
                    _why(task),
                )
        if len(arns) > MOST_ROWS:
            table.add_row(UUID.sub("", cluster), f"… {len(arns) - MOST_ROWS} more")
    return table


def _jobs(batch: Any) -> Table:
    table = _table("Jobs", "queue", "job", "name", "status", "why")
    for queue in _pages(batch, "describe_job_queues", "jobQueues"):
        name = queue["jobQueueName"]
        # Asked status by status, a job may be met twice on its way; where it was met last counts.
        jobs = {
            job["jobId"]: job
            for status in WAITING_JOBS
            for job in _pages(batch, "list_jobs", "jobSummaryList", jobQueue=name, jobStatus=status)
        }
        for job in list(jobs.values())[:MOST_ROWS]:
            table.add_row(name, job["jobId"][:8], job["jobName"], job["status"], _word(job.get("statusReason", "")))
        if len(jobs) > MOST_ROWS:
            table.add_row(name, f"… {len(jobs) - MOST_ROWS} more")
    return table


def _counted(running: int, pending: int) -> str:
    return f"{running} running, {pending} pending" if pending else f"{running} running"


def _word(message: str) -> str:
    """A message of ECS's or Batch's, with what a person at a screen does not need left out."""
    return LONG_ID.sub(r"\1", READ_MORE.sub("", message))


def _why(task: dict[str, Any]) -> str:
    """What a task that does not run is waiting for."""
    if task["desiredStatus"] == "STOPPED":
        return _word(f"stopping: {task.get('stoppedReason', '')}")
    match task["lastStatus"]:
        case "PROVISIONING":
            return "waits for capacity of its own"
        case "PENDING":
            return "being pulled and started"
        case _:
            return ""


def _pages(client: Any, operation: str, member: str, **arguments: Any) -> Iterator[Any]:
    for page in client.get_paginator(operation).paginate(**arguments):
        yield from page[member]


def _chunks(items: Sequence[str], size: int = 100) -> Iterable[Sequence[str]]:
    return (items[i : i + size] for i in range(0, len(items), size))


def _sizes(resources: Sequence[dict[str, Any]]) -> dict[str, int]:
    return {resource["name"]: resource.get("integerValue", 0) for resource in resources}


def _short(arn: str) -> str:
    name = arn.rsplit("/", 1)[-1]
    return name[:8] if len(name) == 32 else name


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", header_style="dim")
    return table
