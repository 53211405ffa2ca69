"""The ``aws`` command with ECS and Logs: tasks, their waiters and logs; a service through its life."""

import json
from pathlib import Path

from tests.e2e.clients.conftest import Aws, logs_to
from tests.support.berth import RunningBerth
from tests.support.faults import ENDS_WHEN_TOLD


def register(aws: Aws, family: str, image: str, *command: str) -> str:
    """Register a task definition of one container that logs; answers its ARN."""
    container = {
        "name": "main",
        "image": image,
        "memory": 32,
        "command": [*command],
        **ENDS_WHEN_TOLD,
        "logConfiguration": logs_to("/aws-cli"),
    }
    answer = aws(
        "ecs", "register-task-definition", "--family", family, "--container-definitions", json.dumps([container])
    )
    definition = answer["taskDefinition"]
    assert (definition["family"], definition["revision"], definition["status"]) == (family, 1, "ACTIVE")
    arn: str = definition["taskDefinitionArn"]
    return arn


def test_caller_identity_is_the_root_of_this_account(aws: Aws, berth: RunningBerth) -> None:
    assert aws("sts", "get-caller-identity")["Arn"] == f"arn:aws:iam::{berth.account}:root"


def test_a_task_runs_to_its_end_and_its_log_is_read(aws: Aws, image: str) -> None:
    register(aws, "cli-once", image, "sh", "-c", "echo hello $WHOM; exit 3")
    override = {"containerOverrides": [{"name": "main", "environment": [{"name": "WHOM", "value": "world"}]}]}
    run = ("ecs", "run-task", "--task-definition", "cli-once", "--launch-type", "EC2", "--started-by", "cli")
    started = aws(*run, "--overrides", json.dumps(override))
    assert started["failures"] == []
    arn = started["tasks"][0]["taskArn"]
    assert aws("ecs", "wait", "tasks-stopped", "--tasks", arn) is None
    [task] = aws("ecs", "describe-tasks", "--tasks", arn)["tasks"]
    assert (task["lastStatus"], task["stopCode"]) == ("STOPPED", "EssentialContainerExited")
    assert (task["containers"][0]["exitCode"], task["startedBy"]) == (3, "cli")
    stream = f"e2e/main/{arn.rsplit('/', 1)[-1]}"
    events = aws("logs", "get-log-events", "--log-group-name", "/aws-cli", "--log-stream-name", stream)["events"]
    assert [event["message"] for event in events] == ["hello world"]
    found = aws("logs", "filter-log-events", "--log-group-name", "/aws-cli", "--filter-pattern", "hello")["events"]
    assert [event["logStreamName"] for event in found] == [stream]


def test_a_task_is_waited_for_while_it_starts_and_stopped(aws: Aws, image: str) -> None:
    register(aws, "cli-long", image, "sleep", "300")
    arn = aws("ecs", "run-task", "--task-definition", "cli-long", "--launch-type", "EC2")["tasks"][0]["taskArn"]
    assert aws("ecs", "wait", "tasks-running", "--tasks", arn) is None
    assert aws("ecs", "list-tasks", "--family", "cli-long")["taskArns"] == [arn]
    stopped = aws("ecs", "stop-task", "--task", arn, "--reason", "enough")["task"]
    assert (stopped["desiredStatus"], stopped["stoppedReason"]) == ("STOPPED", "enough")
    assert aws("ecs", "wait", "tasks-stopped", "--tasks", arn) is None


def test_a_service_is_created_updated_and_deleted(aws: Aws, image: str) -> None:
    first = register(aws, "cli-service", image, "sleep", "300")
    name = ("--service", "cli")
    create = ("ecs", "create-service", "--service-name", "cli", "--task-definition", "cli-service")
    service = aws(*create, "--desired-count", "1", "--launch-type", "EC2")["service"]
    assert (service["status"], service["taskDefinition"]) == ("ACTIVE", first)
    assert aws("ecs", "wait", "services-stable", "--services", "cli") is None
    before = aws("ecs", "list-tasks", "--service-name", "cli")["taskArns"]
    updated = aws("ecs", "update-service", *name, "--desired-count", "2", "--force-new-deployment")["service"]
    assert (updated["desiredCount"], len(updated["deployments"])) == (2, 2)
    assert aws("ecs", "wait", "services-stable", "--services", "cli") is None
    [service] = aws("ecs", "describe-services", "--services", "cli")["services"]
    assert (service["runningCount"], [one["rolloutState"] for one in service["deployments"]]) == (2, ["COMPLETED"])
    after = aws("ecs", "list-tasks", "--service-name", "cli")["taskArns"]
    assert (len(after), set(before) & set(after)) == (2, set())
    assert aws("ecs", "delete-service", *name, "--force")["service"]["status"] == "DRAINING"
    assert aws("ecs", "wait", "services-inactive", "--services", "cli") is None


def test_pages_and_queries_are_the_clients_own(aws: Aws, berth: RunningBerth) -> None:
    for number in range(3):
        aws("ecs", "create-cluster", "--cluster-name", f"page-{number}")
    first = aws("ecs", "list-clusters", "--page-size", "1", "--max-items", "2")
    rest = aws("ecs", "list-clusters", "--page-size", "1", "--starting-token", first["NextToken"])
    names = [arn.rsplit("/", 1)[-1] for arn in first["clusterArns"] + rest["clusterArns"]]
    assert {"page-0", "page-1", "page-2", "default"} <= set(names)
    assert len(first["clusterArns"]) == 2
    assert len(names) == len(set(names))
    assert aws("ecs", "describe-clusters", "--query", "clusters[0].status") == "ACTIVE"


def test_what_is_refused_ends_the_command_with_awss_code(berth: RunningBerth, clients: Path) -> None:
    refused = berth.attempt(clients / "aws", "ecs", "list-tasks", "--cluster", "nowhere")
    assert refused.returncode == 255
    assert "(ClusterNotFoundException) when calling the ListTasks operation: Cluster not found." in refused.stderr
