"""A service of two replicas on shared hosts, visited over HTTP, and healed after one container is killed."""

import urllib.request
from typing import Any

from orchestrator.demo.image_steps import image_of
from orchestrator.demo.screen import Say
from orchestrator.demo.stage import Stage
from orchestrator.demo.waiting import expect, until

PAGE = 'mkdir -p /www && echo "Hello from $HOSTNAME" > /www/index.html && exec httpd -f -p 8080 -h /www'


def run_service(stage: Stage, say: Say) -> str:
    """Create it, fetch each replica's page, kill one container behind Berth's back, watch a new one take its place."""
    ecs = stage.client("ecs")
    ecs.register_task_definition(
        family="web",
        containerDefinitions=[
            {
                "name": "web",
                "image": image_of(stage),
                "memory": 64,
                "command": ["sh", "-c", PAGE],
                "portMappings": [{"containerPort": 8080, "hostPort": 0}],
                "healthCheck": {
                    "command": ["CMD-SHELL", "wget -q -O- http://127.0.0.1:8080/"],
                    "interval": 5,
                    "timeout": 2,
                    "retries": 2,
                },
            }
        ],
    )
    ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=2, launchType="EC2")
    say.now("waiting for two healthy replicas")
    first = until("two healthy replicas", lambda: _healthy(ecs))
    ports = [task["containers"][0]["networkBindings"][0]["hostPort"] for task in first.values()]
    pages = [_fetch(port) for port in ports]
    expect(len(set(pages)) == 2, "a page of its own from each replica")
    victim_arn, victim = next(iter(first.items()))
    say.now("killing one container behind Berth's back")
    stage.run(["docker", "kill", victim["containers"][0]["runtimeId"]])
    say.now("watching the service heal")

    def healed() -> dict[str, Any]:
        now = _healthy(ecs)
        return now if now and victim_arn not in now else {}

    second = until("a new replica in the dead one's place", healed)
    born = next(arn for arn in second if arn not in first)
    expect(len(second) == 2, "two replicas again")
    ecs.update_service(service="web", desiredCount=0)
    ecs.delete_service(service="web")
    until("the service is gone", lambda: not _running(ecs))
    seen = ", ".join(f"port {port}: “{page}”" for port, page in zip(ports, pages, strict=True))
    return f"{seen}; task {victim_arn[-8:]} killed, {born[-8:]} took its place"


def _running(ecs: Any) -> list[str]:
    arns: list[str] = ecs.list_tasks(family="web")["taskArns"]
    return arns


def _healthy(ecs: Any) -> dict[str, Any]:
    """The tasks by ARN, once exactly two run and are healthy."""
    arns = _running(ecs)
    tasks = ecs.describe_tasks(tasks=arns)["tasks"] if arns else []
    good = {t["taskArn"]: t for t in tasks if t["lastStatus"] == "RUNNING" and t["healthStatus"] == "HEALTHY"}
    return good if len(good) == 2 == len(tasks) else {}


def _fetch(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
        page: str = answer.read().decode().strip()
        return page
