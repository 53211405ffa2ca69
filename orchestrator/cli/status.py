"""``berth status``: hosts, services, tasks and jobs on one screen, and why what waits is waiting."""

import argparse
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kit.settings import Settings
from orchestrator.cli.asking import (
    GIB,
    SHORT,
    chunks,
    clusters_of,
    connect,
    last_part,
    pages,
    plain_table,
    short,
    short_cluster,
    sizes_of,
    word,
)
from orchestrator.cli.opening import has_store
from orchestrator.cli.output import CommandFailed, add_command, settings_of

WAITING_JOBS = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")
MOST_ROWS = 40
MOST_LOOKED_AT = 1000
"""Tasks of a cluster that are looked at; those that wait are shown before those that run."""
HOSTS = "Hosts"
NOT_LOOKED_AT = "the scheduler has not come to it yet"


def add_parser(commands: Any) -> None:
    add_command(
        commands,
        "status",
        run,
        help="show hosts, services, tasks and jobs, and why something waits",
        description="Show every cluster's hosts, services and tasks, and the jobs that have not ended, with the reason "
        "why something waits. Exit code 1 when no Berth is up.",
    )


def run(arguments: argparse.Namespace) -> int:
    card, client = connect(arguments)
    console = Console()
    console.print(f"[bold]Berth[/] API {card['endpoint']}  registry {card['registry']}  data {card['data']}")
    try:
        tables = list(tables_of(client("ecs"), client("batch")))
        if not any(table.title == HOSTS for table in tables):
            console.print("No hosts: no agent has joined yet; what the local one waits for is in logs/agent.log.")
        for table in tables:
            console.print(table)
    except (ClientError, BotoCoreError) as error:
        raise CommandFailed(f"Berth on {card['endpoint']} does not answer as it should: {error}") from error
    damaged = count_damaged(settings_of(arguments))
    if damaged:
        console.print(
            f"[red]Registry: {damaged} damaged blob{'s' if damaged > 1 else ''}.[/] Which images they hurt says "
            f"'berth registry scrub --found --data {card['data']}'; push those again to heal them.",
            soft_wrap=True,
        )
    return 0


def count_damaged(settings: Settings) -> int:
    """How many of the registry's blobs are known to be damaged: asked of the store, since no client can ask for it."""
    from state.scrubs import count_faults
    from state.store import Store, StoreUnavailable

    # Where another store was set when Berth was started there may be none here.
    if not has_store(settings):
        return 0
    store = Store(settings.store)
    try:
        return store.read(count_faults)
    except StoreUnavailable as error:
        raise CommandFailed(f"the store cannot be asked for damaged blobs: {error}") from error
    finally:
        store.close()


def tables_of(ecs: Any, batch: Any) -> Iterator[Table]:
    """Hosts, services, tasks and jobs as the clients see them; what there is none of has no table."""
    clusters = clusters_of(ecs)
    away: set[str] = set()
    for table in (_hosts(ecs, clusters, away), _services(ecs, clusters), _tasks(ecs, clusters, away), _jobs(batch)):
        if table.row_count:
            yield table


def why_task_waits(task: dict[str, Any], away: Collection[str]) -> str:
    """What a task that does not run is waiting for; ``away`` are the hosts whose agents are not connected."""
    stopping = f"stopping: {word(task.get('stoppedReason', ''))}"
    if task.get("containerInstanceArn") in away:
        return f"{stopping}; its host's agent is away" if task["desiredStatus"] == "STOPPED" else "its host is away"
    if task["desiredStatus"] == "STOPPED":
        return stopping
    match task["lastStatus"]:
        case "PROVISIONING":
            return "waits for capacity of its own"
        case "PENDING" if task.get("pullStoppedAt"):
            return "being started"
        case "PENDING" if task.get("pullStartedAt"):
            return "its image is being pulled"
        case "PENDING":
            return "being pulled and started"
        case "ACTIVATING":
            return "its network is being attached"
        case _:
            return ""


def why_job_waits(job: dict[str, Any]) -> str:
    """Why a job stands where it stands."""
    if job.get("statusReason"):
        return word(job["statusReason"])
    match job["status"]:
        case "SUBMITTED" | "PENDING" | "RUNNABLE":
            return _children_of(job) or NOT_LOOKED_AT
        case "STARTING":
            return "its task is being started"
        case _:
            return ""


def _children_of(job: dict[str, Any]) -> str:
    """How far an array's jobs have come, which stays PENDING itself until they have ended; nothing when none began."""
    summary = (job.get("arrayProperties") or {}).get("statusSummary") or {}
    if not any(summary.get(status) for status in ("STARTING", "RUNNING", "SUCCEEDED", "FAILED")):
        return ""
    counted = ", ".join(f"{count} {status}" for status, count in summary.items() if count)
    return f"its {sum(summary.values())} jobs: {counted}"


def why_service_waits(service: dict[str, Any]) -> str:
    """The last that was told of a service, or why nothing was yet."""
    events = service.get("events")
    if events:
        return word(events[0]["message"].removeprefix(f"(service {service['serviceName']}) "))
    return NOT_LOOKED_AT if service["runningCount"] != service["desiredCount"] else ""


def _hosts(ecs: Any, clusters: Sequence[str], away: set[str]) -> Table:
    table = plain_table(HOSTS, "cluster", "host", "status", "agent", "vCPU free", "GiB free", "tasks")
    for cluster in clusters:
        arns = list(pages(ecs, "list_container_instances", "containerInstanceArns", cluster=cluster))
        hosts = [
            host
            for chunk in chunks(arns)
            for host in ecs.describe_container_instances(cluster=cluster, containerInstances=chunk)[
                "containerInstances"
            ]
        ]
        away |= {host["containerInstanceArn"] for host in hosts if not host["agentConnected"]}
        # Where there are too many to show, those that need a look come first.
        if len(hosts) > MOST_ROWS:
            hosts.sort(key=lambda host: host["agentConnected"] and host["status"] == "ACTIVE")
        for host in hosts[:MOST_ROWS]:
            has, free = sizes_of(host["registeredResources"]), sizes_of(host["remainingResources"])
            table.add_row(
                short_cluster(cluster),
                short(host["containerInstanceArn"]),
                host["status"],
                "connected" if host["agentConnected"] else "[red]away[/]",
                f"{free['CPU'] / 1024:.2f}/{has['CPU'] / 1024:.2f}",
                f"{free['MEMORY'] / GIB:.1f}/{has['MEMORY'] / GIB:.1f}",
                _counted(host["runningTasksCount"], host["pendingTasksCount"]),
            )
        if len(hosts) > MOST_ROWS:
            table.add_row(short_cluster(cluster), f"… {len(hosts) - MOST_ROWS} more")
    return table


def _services(ecs: Any, clusters: Sequence[str]) -> Table:
    table = plain_table("Services", "cluster", "service", "of", "running", "rollout", "last word")
    for cluster in clusters:
        arns = list(pages(ecs, "list_services", "serviceArns", cluster=cluster))
        for chunk in chunks(arns, 10):
            for service in ecs.describe_services(cluster=cluster, services=chunk)["services"]:
                table.add_row(
                    short_cluster(cluster),
                    service["serviceName"],
                    last_part(service["taskDefinition"]),
                    f"{service['runningCount']}/{service['desiredCount']}",
                    service["deployments"][0].get("rolloutState", "") if service["deployments"] else "",
                    Text(why_service_waits(service)),
                )
    return table


def _tasks(ecs: Any, clusters: Sequence[str], away: Collection[str]) -> Table:
    table = plain_table("Tasks", "cluster", "task", "of", "on", "status", "health", "why")
    for cluster in clusters:
        arns = list(islice(pages(ecs, "list_tasks", "taskArns", cluster=cluster), MOST_LOOKED_AT + 1))
        tasks = [
            task
            for chunk in chunks(arns[:MOST_LOOKED_AT])
            for task in ecs.describe_tasks(cluster=cluster, tasks=chunk)["tasks"]
        ]
        if len(tasks) > MOST_ROWS:
            tasks.sort(key=lambda task: why_task_waits(task, away) == "")
        for task in tasks[:MOST_ROWS]:
            table.add_row(
                short_cluster(cluster),
                short(task["taskArn"]),
                last_part(task["taskDefinitionArn"]),
                short(task.get("containerInstanceArn", "")) or task["launchType"].lower(),
                task["lastStatus"],
                "" if task["healthStatus"] == "UNKNOWN" else task["healthStatus"],
                Text(why_task_waits(task, away)),
            )
        if len(arns) > MOST_LOOKED_AT:
            table.add_row(short_cluster(cluster), f"… more than {MOST_LOOKED_AT - MOST_ROWS} more")
        elif len(tasks) > MOST_ROWS:
            table.add_row(short_cluster(cluster), f"… {len(tasks) - MOST_ROWS} more")
    return table


def _jobs(batch: Any) -> Table:
    table = plain_table("Jobs", "queue", "job", "name", "status", "why")
    for queue in pages(batch, "describe_job_queues", "jobQueues"):
        name = queue["jobQueueName"]
        # Asked status by status, a job may be met twice on its way; where it was met last counts.
        jobs = {
            job["jobId"]: job
            for status in WAITING_JOBS
            for job in pages(batch, "list_jobs", "jobSummaryList", jobQueue=name, jobStatus=status)
        }
        shown = list(jobs.values())[:MOST_ROWS]
        # Only a description says how far an array's jobs have come.
        arrays = [job["jobId"] for job in shown if (job.get("arrayProperties") or {}).get("size")]
        described = {one["jobId"]: one for one in batch.describe_jobs(jobs=arrays)["jobs"]} if arrays else {}
        for job in shown:
            why = why_job_waits(described.get(job["jobId"], job))
            table.add_row(name, job["jobId"][-SHORT:], job["jobName"], job["status"], Text(why))
        if len(jobs) > MOST_ROWS:
            table.add_row(name, f"… {len(jobs) - MOST_ROWS} more")
    return table


def _counted(running: int, pending: int) -> str:
    return f"{running} running, {pending} pending" if pending else f"{running} running"
