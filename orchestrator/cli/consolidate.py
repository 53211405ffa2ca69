"""``berth consolidate``: which tasks of services to move so that hosts stand empty and can be let go.

It looks and says, and moves nothing: draining a host is what moves its tasks, and the commands for that are shown.
Everything is asked through the AWS API; the plan is ``scheduler.placement.consolidation``'s. Jobs and tasks that
nobody would start anew hold their hosts where they are.
"""

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console, RenderableType
from rich.text import Text

from orchestrator.cli.asking import chunks, connect, last_part, pages, plain_table, short, short_cluster
from orchestrator.cli.explain_world import host_of, one_more
from orchestrator.cli.output import CommandFailed, add_data
from scheduler.placement import Ask
from scheduler.placement.consolidation import Budget, Consolidation, Resident, plan_consolidation, spare_tasks

MOST_MOVES = 20
SERVICES_AT_ONCE = 10
NO_PLACE = "Their tasks do not fit on the others, may not go there, or are too many to move"


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "consolidate",
        help="say which hosts could be emptied by moving services' tasks",
        description="Say which tasks of services to move so that the most hosts stand empty, within the services' "
        "minimumHealthyPercent and maximumPercent. Nothing is moved. Exit code 1 when there is no such cluster or no "
        "Berth is up.",
    )
    add_data(parser)
    parser.add_argument("cluster", nargs="?", default="default", help="its name or ARN (default)")
    parser.add_argument("--moves", type=int, default=MOST_MOVES, help=f"tasks that may be moved ({MOST_MOVES})")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    card, client = connect(arguments)
    if arguments.moves < 1:
        raise CommandFailed("--moves is at least 1")
    console = Console(highlight=False)
    try:
        for part in consolidate(client("ecs"), arguments.cluster, arguments.moves):
            console.print(part)
    except (ClientError, BotoCoreError) as error:
        if isinstance(error, ClientError) and error.response["Error"]["Code"] == "ClusterNotFoundException":
            raise CommandFailed(f"there is no cluster {arguments.cluster}") from error
        raise CommandFailed(f"Berth on {card['endpoint']} does not answer as it should: {error}") from error
    return 0


def consolidate(ecs: Any, cluster: str, moves: int) -> Iterator[RenderableType]:
    """What to say, part after part."""
    services = _services(ecs, cluster)
    tasks = _tasks(ecs, cluster)
    definitions: dict[str, Mapping[str, Any]] = {}
    residents = []
    for task in tasks:
        arn = task["taskDefinitionArn"]
        if arn not in definitions:
            definitions[arn] = ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
        host = last_part(task["containerInstanceArn"])
        residents.append(Resident(ask=_ask(task, definitions[arn], services), host=host))
    groups: dict[str, Counter[str]] = defaultdict(Counter)
    for resident in residents:
        groups[resident.host][resident.ask.group] += 1
    hosts = [
        host_of(said, groups[last_part(said["containerInstanceArn"])])
        for chunk in chunks(list(pages(ecs, "list_container_instances", "containerInstanceArns", cluster=cluster)))
        for said in ecs.describe_container_instances(cluster=cluster, containerInstances=chunk)["containerInstances"]
    ]
    spare = _spare(services)
    plan = plan_consolidation(hosts, residents, Budget(moves=moves, spare=spare))
    in_use = sum(1 for host in hosts if host.tasks)
    where = short_cluster(last_part(cluster))
    if in_use < 2:
        yield Text(
            f"{'No' if not in_use else 'Only one'} host is in use in {where}: there is nothing to move together."
        )
    elif not plan.moves:
        yield Text(f"None of the {in_use} hosts in use in {where} can be emptied by up to {moves} moves.")
        yield Text(_why_none([resident.ask.group for resident in residents], services, spare))
    else:
        yield from _say(plan, {task["taskArn"]: task for task in tasks}, last_part(cluster), in_use)


def _why_none(groups: Sequence[str], services: Mapping[str, Any], spare: Mapping[str, int]) -> str:
    """What holds hosts that cannot be emptied, as far as their tasks tell."""
    alone = sum(group not in services for group in groups)
    bound = sum(group in services and not spare.get(group) for group in groups)
    held = [
        f"{alone} of their {len(groups)} tasks are of no service" if alone else "",
        f"{bound} {'' if alone else f'of their {len(groups)} tasks '}are of services that spare none now "
        "(daemons, rollouts, and what their percentages hold)"
        if bound
        else "",
    ]
    return f"{'; '.join(filter(None, held)) or NO_PLACE}."


def _say(
    plan: Consolidation, tasks: Mapping[str, Mapping[str, Any]], cluster: str, in_use: int
) -> Iterator[RenderableType]:
    of = f"of the {in_use} hosts in use in {short_cluster(cluster)}"
    count = len(plan.moves)
    yield Text(f"{count} move{'s' if count > 1 else ''} would empty {len(plan.emptied)} {of}.", style="bold")
    table = plain_table(None, "task", "of", "from", "to")
    for move in plan.moves:
        table.add_row(short(move.task), Text(tasks[move.task]["group"]), short(move.source), short(move.target))
    yield table
    yield Text("\nDrain a host, and its services start these tasks elsewhere, where their own strategies choose:")
    for host in plan.emptied:
        # Broken where the shell goes on reading, so that it can be copied from a narrow screen.
        yield Text("  aws ecs update-container-instances-state --status DRAINING \\")
        yield Text(f"    --cluster {cluster} \\")
        yield Text(f"    --container-instances {host}")


def _services(ecs: Any, cluster: str) -> dict[str, Mapping[str, Any]]:
    arns = list(pages(ecs, "list_services", "serviceArns", cluster=cluster))
    return {
        f"service:{said['serviceName']}": said
        for chunk in chunks(arns, SERVICES_AT_ONCE)
        for said in ecs.describe_services(cluster=cluster, services=chunk)["services"]
    }


def _tasks(ecs: Any, cluster: str) -> Sequence[Mapping[str, Any]]:
    """The tasks that hold room on a host."""
    arns = list(pages(ecs, "list_tasks", "taskArns", cluster=cluster))
    described = (task for chunk in chunks(arns) for task in ecs.describe_tasks(cluster=cluster, tasks=chunk)["tasks"])
    return [task for task in described if task.get("containerInstanceArn")]


def _ask(task: Mapping[str, Any], definition: Mapping[str, Any], services: Mapping[str, Mapping[str, Any]]) -> Ask:
    service = services.get(task.get("group") or "", {})
    ask = one_more(
        definition,
        task.get("overrides"),
        group=task.get("group") or "",
        constraints=service.get("placementConstraints") or (),
        strategy=service.get("placementStrategy") or (),
    )
    return replace(ask, id=task["taskArn"])


def _spare(services: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """How many tasks of each service may be moved at once: none of a DAEMON's, nor while a deployment is rolled out."""
    return {
        group: spare_tasks(said["runningCount"], said["desiredCount"], *_percents(said))
        for group, said in services.items()
        if said.get("schedulingStrategy", "REPLICA") == "REPLICA" and len(said["deployments"]) == 1
    }


def _percents(service: Mapping[str, Any]) -> tuple[int, int]:
    said = service.get("deploymentConfiguration") or {}
    least, most = said.get("minimumHealthyPercent"), said.get("maximumPercent")
    return 100 if least is None else int(least), 200 if most is None else int(most)
