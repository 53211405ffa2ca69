"""``python -m docs.generate``: write the pages that are made from code. A test fails when they differ from it.

``docs/coverage.md`` lists every operation of every service, ``docs/lifecycles.md`` draws every lifecycle table, and
``docs/settings.md`` every setting.
"""

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path

import state.tables  # noqa: F401  (imports every entity, and so every lifecycle)
from kit.lifecycle import Lifecycle
from kit.settings import ABOUT, Settings
from orchestrator.operations import SERVICES
from state.base import Moves

HERE = Path(__file__).parent
TITLES = {
    "ecs": "Amazon ECS",
    "ecr": "Amazon ECR",
    "batch": "AWS Batch",
    "logs": "CloudWatch Logs",
    "scheduler": "EventBridge Scheduler",
    "secretsmanager": "AWS Secrets Manager",
    "ssm": "AWS Systems Manager",
    "sts": "AWS STS",
}
MADE = "<!-- Made by `make docs` from the code; edit the code instead. -->\n"


def pages() -> Mapping[str, str]:
    """Every made page's text by its file name."""
    return {"coverage.md": coverage(), "lifecycles.md": lifecycles(), "settings.md": settings()}


def coverage() -> str:
    """Which operations are built and which are absent, per service."""
    lines = [
        MADE,
        "# Coverage of the AWS API",
        "",
        "Operations that are built work on real state, with their models' validation, errors, pages and idempotency.",
        "One that is absent answers `UnsupportedOperationException` and names itself; none pretends.",
        "",
        "| service | built | of |",
        "| --- | ---: | ---: |",
    ]
    lines += [
        f"| {TITLES[service.name]} | {len(service.handlers)} | {len(service.model.operation_names)} |"
        for service in SERVICES
    ]
    for service in SERVICES:
        lines += ["", f"## {TITLES[service.name]}", "", "Built: " + _names(sorted(service.handlers)) + "."]
        if service.absent():
            lines += ["", "Absent: " + _names(service.absent()) + "."]
    return "\n".join(lines) + "\n"


def lifecycles() -> str:
    """Every lifecycle as a diagram."""
    lines = [
        MADE,
        "# Lifecycles",
        "",
        "Every entity with a status moves only along these arrows, each move with its reason in the event log.",
    ]
    for lifecycle in sorted(_lifecycles(), key=lambda one: one.name):
        lines += ["", f"## {lifecycle.name}", "", "```mermaid", lifecycle.mermaid(), "```"]
    return "\n".join(lines) + "\n"


def settings() -> str:
    """Every setting, its default and what it does."""
    lines = [
        MADE,
        "# Settings",
        "",
        "Each is an environment variable of the processes of Berth; the command line's flags go before it.",
        "",
        "| variable | default | what it does |",
        "| --- | --- | --- |",
    ]
    for field in dataclasses.fields(Settings):
        default = f"`{field.default}`" if field.default != "" else ""
        lines.append(f"| `BERTH_{field.name.upper()}` | {default} | {ABOUT[field.name]} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    for name, text in pages().items():
        (HERE / name).write_text(text)
        print(f"docs/{name}")
    return 0


def _names(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _lifecycles() -> list[Lifecycle]:
    found: dict[str, Lifecycle] = {}
    pending = [Moves]
    while pending:
        kind = pending.pop()
        pending += kind.__subclasses__()
        lifecycle = kind.__dict__.get("lifecycle")
        if isinstance(lifecycle, Lifecycle):
            found[lifecycle.name] = lifecycle
    return list(found.values())


if __name__ == "__main__":
    sys.exit(main())
