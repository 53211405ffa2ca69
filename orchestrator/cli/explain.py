"""``berth explain``: why one task, job or service waits or does not run, and what to do about it.

Everything is asked through the AWS API; the decision itself is made here by the same engine that places tasks.
"""

import argparse
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from orchestrator.cli.asking import connect, last_part, pages, plain_table, short, short_cluster, word
from orchestrator.cli.explain_answer import Answer, advise, asks_text, lacking, weigh
from orchestrator.cli.explain_world import ask_of_job, hosts_of, one_more
from orchestrator.cli.finding import ENDED, Found, find
from orchestrator.cli.output import CommandFailed, add_data
from orchestrator.cli.status import why_job_waits, why_service_waits, why_task_waits
from scheduler.placement import Ask

MOST_ROWS = 10
AT_ONCE = 100
"""Tasks that DescribeTasks takes."""
FAILURES = ("TaskFailedToStart", "EssentialContainerExited")
OWN = "capacity of its own (Fargate): Berth provisions a host for each task"


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "explain",
        help="say why a task, job or service waits, and what to do",
        description="Say what a task, job or service asks for, why the hosts refuse it and by how much, which host "
        "comes closest, and what to do next. Exit code 1 when there is no such thing or no Berth is up.",
    )
    add_data(parser)
    parser.add_argument(
        "what",
        metavar="TASK|JOB|SERVICE",
        help="an ARN, an id or its last digits, a service's name (or CLUSTER/NAME), or a job's name",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    card, client = connect(arguments)
    console = Console(highlight=False)
    try:
        for part in explain(client("ecs"), client("batch"), arguments.what):
            console.print(part)
    except (ClientError, BotoCoreError) as error:
        raise CommandFailed(f"Berth on {card['endpoint']} does not answer as it should: {error}") from error
    return 0


def explain(ecs: Any, batch: Any, reference: str) -> Iterator[RenderableType]:
    """The explanation, part after part; raises CommandFailed when what is meant is not clear."""
    found = find(ecs, batch, reference)
    match found.kind:
        case "task":
            yield from _task(ecs, found)
        case "service":
            yield from _service(ecs, found)
        case "job":
            yield from _job(ecs, batch, found)


def _task(ecs: Any, found: Found) -> Iterator[RenderableType]:
    said, cluster = found.said, found.cluster
    of = last_part(said["taskDefinitionArn"])
    yield _title(f"Task {short(said['taskArn'])}", f" of {of} in {short_cluster(cluster)}: {said['lastStatus']}")
    definition = _definition(ecs, said["taskDefinitionArn"])
    ask = one_more(definition, said.get("overrides"), group=said.get("group", ""))
    facts = [("asks", asks_text(ask))]
    fargate = said["launchType"] == "FARGATE"
    away = set()
    if said.get("containerInstanceArn"):
        host = ecs.describe_container_instances(cluster=cluster, containerInstances=[said["containerInstanceArn"]])
        away = {one["containerInstanceArn"] for one in host["containerInstances"] if not one["agentConnected"]}
        facts.append(("on", f"host {short(said['containerInstanceArn'])}{', whose agent is away' if away else ''}"))
    elif fargate:
        facts.append(("on", OWN))
    if said["lastStatus"] == "STOPPED":
        facts.append(("why", word(f"{said.get('stopCode', '')}: {said.get('stoppedReason', '')}".strip(": "))))
        facts += [("", line) for line in _ends(said)]
    else:
        facts.append(("why", why_task_waits(dict(said), away) or "it runs; nothing is waited for"))
    if away:
        facts.append(("next", f"Start the agent of {short(said['containerInstanceArn'])} again; its log says why"))
    yield _facts(facts)
    if said["lastStatus"] == "STOPPED" and not fargate:
        yield from _room(ecs, cluster, ask, "Started again now")


def _service(ecs: Any, found: Found) -> Iterator[RenderableType]:
    said, cluster = found.said, found.cluster
    counts = f"{said['runningCount']} of {said['desiredCount']} running, {said['pendingCount']} pending"
    yield _title(f"Service {said['serviceName']}", f" in {short_cluster(cluster)}: {said['status']}, {counts}")
    daemon = said["schedulingStrategy"] == "DAEMON"
    ask = one_more(
        _definition(ecs, said["taskDefinition"]),
        group=f"service:{said['serviceName']}",
        # A daemon runs once on each host.
        constraints=[*said["placementConstraints"], *([{"type": "distinctInstance"}] if daemon else [])],
        strategy=said["placementStrategy"],
    )
    facts = [("runs", f"{last_part(said['taskDefinition'])}{' on every host that fits (DAEMON)' if daemon else ''}")]
    facts.append(("asks", f"for each task: {asks_text(ask)}"))
    for deployment in said["deployments"]:
        state = f"{deployment['status']} {deployment.get('rolloutState', '')}".strip()
        failed = f", {deployment['failedTasks']} tasks failed" if deployment.get("failedTasks") else ""
        facts.append(("rollout", f"{last_part(deployment['taskDefinition'])}: {state}{failed}"))
    facts.append(("said", why_service_waits(dict(said)) or "nothing yet"))
    facts += _last_failure(ecs, cluster, said)
    fargate = said.get("launchType") == "FARGATE" or bool(said.get("capacityProviderStrategy"))
    if fargate:
        facts.append(("on", OWN))
    yield _facts(facts)
    if not fargate and said["status"] == "ACTIVE":
        yield from _room(ecs, cluster, ask, "One more task now")


def _last_failure(ecs: Any, cluster: str, service: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Of a service whose newest tasks fail, what ended the last of them."""
    if not any(deployment.get("failedTasks") for deployment in service["deployments"]):
        return
    which = {"cluster": cluster, "serviceName": service["serviceName"], "desiredStatus": "STOPPED"}
    # They are listed in the order in which they were made.
    newest = list(pages(ecs, "list_tasks", "taskArns", **which))[-AT_ONCE:]
    tasks = ecs.describe_tasks(cluster=cluster, tasks=newest)["tasks"] if newest else []
    failed = [task for task in tasks if task.get("stopCode") in FAILURES and task.get("stoppedAt")]
    if failed:
        last = max(failed, key=lambda task: task["stoppedAt"])
        yield "failed", word(f"task {short(last['taskArn'])}, {last['stopCode']}: {last.get('stoppedReason', '')}")


def _job(ecs: Any, batch: Any, found: Found) -> Iterator[RenderableType]:
    said = found.said
    queue = last_part(said["jobQueue"])
    yield _title(f"Job {said['jobName']}", f" ({said['jobId']}) in {queue}: {said['status']}")
    ask = ask_of_job(said)
    facts = [("asks", asks_text(ask)), ("why", why_job_waits(dict(said)) or "it runs; nothing is waited for")]
    task = (said.get("container") or {}).get("taskArn")
    if task:
        facts.append(("task", f"{short(task)}; berth explain {short(task)} says more"))
    facts += [
        ("after", f"job {need['jobId']} has succeeded") for need in said.get("dependsOn") or () if "jobId" in need
    ]
    yield _facts(facts)
    if said["status"] in (*ENDED, "RUNNING", "STARTING"):
        return
    queues = batch.describe_job_queues(jobQueues=[queue])["jobQueues"]
    names = [
        last_part(order["computeEnvironment"])
        for one in queues
        for order in sorted(one["computeEnvironmentOrder"], key=lambda order: order["order"])
    ]
    by_name = {}
    if names:
        described = batch.describe_compute_environments(computeEnvironments=names)["computeEnvironments"]
        by_name = {one["computeEnvironmentName"]: one for one in described}
    for one in queues:
        if one["state"] != "ENABLED":
            yield f"Queue {queue} is {one['state']}: aws batch update-job-queue --job-queue {queue} --state ENABLED"
    for name in names:
        if name in by_name:
            yield from _environment(ecs, by_name[name], ask)


def _environment(ecs: Any, environment: Mapping[str, Any], ask: Ask) -> Iterator[RenderableType]:
    resources = environment.get("computeResources") or {}
    kind = resources.get("type") or environment["type"]
    name, most = environment["computeEnvironmentName"], resources.get("maxvCpus")
    bound = f", at most {most} vCPUs" if most is not None else ""
    yield ""
    yield f"Compute environment {name}: {kind}, {environment['state']}, {environment['status']}{bound}"
    if environment["state"] != "ENABLED":
        yield f"  It takes no jobs: aws batch update-compute-environment --compute-environment {name} --state ENABLED"
    elif most is not None and ask.cpu > most * 1024:
        yield f"  The job alone asks for more than its {most} vCPUs: raise maxvCpus, or ask for less"
    elif kind.startswith("FARGATE"):
        yield f"  Jobs run on {OWN}; what its vCPUs do not bound starts at once"
    else:
        yield from _room(ecs, last_part(environment["ecsClusterArn"]), ask, "One more job now")


def _room(ecs: Any, cluster: str, ask: Ask, title: str) -> Iterator[RenderableType]:
    """Whether the cluster's hosts would take one more, the nearest of them, and what to do."""
    answer = weigh(hosts_of(ecs, cluster, ask), ask)
    yield ""
    if answer.chosen is not None:
        fitting = sum(row.objection is None for row in answer.rows)
        yield f"{title}: fits, on {fitting} of {len(answer.hosts)} hosts; it would go to {short(answer.chosen)}."
    elif answer.refused is not None:
        yield f"{title}: no host takes it."
        reasons = [word(reason.text()) for reason in answer.refused.reasons] or [word(answer.refused.text())]
        yield Padding(Text("\n".join(reasons)), (0, 0, 0, 2))
        closest = answer.refused.closest()
        if closest is not None:
            yield Text(f"Closest is host {short(closest.host)}: {lacking(closest)}.")
    if answer.rows:
        yield _nearest(answer)
    steps = list(advise(answer, cluster))
    if steps:
        yield _facts([("next" if not number else "or", step) for number, step in enumerate(steps)])


def _nearest(answer: Answer) -> Table:
    table = plain_table(None, "host", "status", "CPU free", "MiB free", "tasks", "takes it")
    for row in answer.rows[:MOST_ROWS]:
        host = row.host
        table.add_row(
            short(host.id),
            host.status if host.connected else f"{host.status}, away",
            f"{host.free_cpu}/{host.registered_cpu}",
            f"{host.free_memory}/{host.registered_memory}",
            str(host.tasks),
            Text("yes" if row.objection is None else f"no: {lacking(row.objection)}"),
        )
    more = len(answer.hosts) - MOST_ROWS
    if more > 0:
        table.add_row(f"… {more} more")
    return table


def _definition(ecs: Any, arn: str) -> Mapping[str, Any]:
    definition: Mapping[str, Any] = ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
    return definition


def _ends(task: Mapping[str, Any]) -> Iterator[str]:
    for container in task.get("containers") or ():
        code = f"exit code {container['exitCode']}" if container.get("exitCode") is not None else "no exit code"
        reason = f", {word(container['reason'])}" if container.get("reason") else ""
        yield f"container {container['name']}: {code}{reason}"


def _facts(facts: Iterable[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, said in facts:
        table.add_row(name, Text(said))
    return table


def _title(name: str, rest: str) -> Text:
    # Texts, not markup: expressions and reasons may hold square brackets.
    return Text.assemble((name, "bold"), rest)
