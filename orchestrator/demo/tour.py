"""The steps of the tour. Each uses Berth as anybody would, checks what it claims, and answers what it saw."""

import socket
from collections.abc import Callable

from orchestrator.demo.batch_steps import run_batch
from orchestrator.demo.image_steps import push_image
from orchestrator.demo.screen import Say
from orchestrator.demo.service_steps import run_service
from orchestrator.demo.stage import Stage
from orchestrator.demo.task_steps import run_on_fargate, run_on_schedule
from orchestrator.demo.waiting import StepFailed, until

__all__ = ["STEPS", "StepFailed"]


def start_berth(stage: Stage, say: Say) -> str:
    """One process on SQLite, on free ports, with an agent on the local engine."""
    stage.berth("up", "--detach", "--port", str(_free_port()), "--registry-port", str(_free_port()))
    stage.connect()
    ecs = stage.client("ecs")
    say.now("waiting for the local agent to join")

    def joined() -> int:
        hosts = ecs.list_container_instances()["containerInstanceArns"]
        described = ecs.describe_container_instances(containerInstances=hosts)["containerInstances"] if hosts else []
        return sum(host["agentConnected"] for host in described)

    hosts = until("the local agent joins", joined)
    return f"API {stage.endpoint}, registry {stage.registry}, {hosts} host in cluster default"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


STEPS: tuple[tuple[str, Callable[[Stage, Say], str]], ...] = (
    ("Start Berth", start_berth),
    ("Build, push, delete an image", push_image),
    ("Run and heal a service", run_service),
    ("Run a Fargate task", run_on_fargate),
    ("Run Batch jobs", run_batch),
    ("Fire a schedule", run_on_schedule),
)
