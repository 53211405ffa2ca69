"""``python -m docs.generate``: write the pages that are made from code. A test fails when they differ from it.

``docs/coverage.md`` lists every operation of every service, ``docs/lifecycles.md`` draws every lifecycle table,
``docs/settings.md`` every setting, and ``docs/task-definitions.md`` every member of a task definition.
"""

import dataclasses
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import state.tables  # noqa: F401  (imports every entity, and so every lifecycle)
from kit.fargate import USUAL_STORAGE
from kit.lifecycle import Lifecycle
from kit.settings import ABOUT, Settings
from orchestrator.api.ecs.container_logging import FIRELENS, OPTIONS
from orchestrator.api.ecs.fargate_rules import LOG_DRIVERS
from orchestrator.api.ecs.task_definition_members import CARRIED_OUT, KEPT, REFUSED, Refusal
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
DOERS = {"api": "the API", "placement": "placement", "agent": "the agent", "both": "placement and the agent"}
MADE = "<!-- Made by `make docs` from the code; edit the code instead. -->\n"


def pages() -> Mapping[str, str]:
    """Every made page's text by its file name."""
    return {
        "coverage.md": coverage(),
        "lifecycles.md": lifecycles(),
        "settings.md": settings(),
        "task-definitions.md": task_definitions(),
    }


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


def task_definitions() -> str:
    """Every member of RegisterTaskDefinition: who carries it out, or why it is kept or refused."""
    lines = [
        MADE,
        "# Task definitions",
        "",
        "`RegisterTaskDefinition` takes what ECS takes. Nothing is passed over in silence: a member is carried out, by "
        "placement, by the agent on the container or by the API itself; or it is kept and echoed, for the reason "
        "given; or registration is refused with an error that names it. The agent is told in the words of the agent "
        "protocol, so that the official agent carries out the same.",
    ]
    for path in sorted({*CARRIED_OUT, *KEPT, *REFUSED}):
        rows = {member: f"carried out by {DOERS[who]}" for member, who in CARRIED_OUT.get(path, {}).items()}
        rows |= {member: f"kept: {why}" for member, why in KEPT.get(path, {}).items()}
        rows |= {member: _refusal(refusal) for member, refusal in REFUSED.get(path, {}).items()}
        lines += ["", f"## {f'`{path}`' if path else 'The task definition'}", "", "| member | what Berth does |"]
        lines += ["| --- | --- |", *(f"| `{member}` | {rows[member]} |" for member in sorted(rows))]
    lines += [
        "",
        "## Values",
        "",
        "Of values that a member may have, Berth refuses: `requiresCompatibilities` `MANAGED_INSTANCES`; "
        "`runtimePlatform.operatingSystemFamily` other than `LINUX`; resource requirements of type `NeuronDevice`, "
        "and `ALL` GPUs of a host; `versionConsistency` `enabled` unless the image is named by its digest; and what "
        "ECS itself refuses on Fargate.",
        "",
        "`environmentFiles`, and a FireLens configuration in S3, need `BERTH_TASK_S3_ENDPOINT`; a file system of "
        "`efsVolumeConfiguration` must be named in `BERTH_FILE_SYSTEMS` ([settings](settings.md)) and is mounted by "
        "NFS 4.1 as a volume of the engine's `local` driver, on every host alike.",
        "",
        "Secrets, logins of registries and files of S3 are fetched at each launch. What is refused, or not there, ends "
        "the task at once; what can't be had just now is asked for again for three minutes, and then ends it too: "
        "`stopCode` `TaskFailedToStart`, and a `stoppedReason` in ECS's words, `ResourceInitializationError: unable to "
        "pull secrets or registry auth: …` or `… unable to download env files: …`.",
        "",
        f"`ephemeralStorage` is Fargate's: a task that has written more than its {USUAL_STORAGE} GiB, or what it asks "
        "for, is stopped, and its `stoppedReason` begins with `OutOfStorageError`. AWS lets such a task find its disk "
        "full instead. The agent looks twice a minute, and less often where looking takes long, so a fast writer goes "
        "over by what it writes meanwhile. What counts is what containers have written to their own layers, as the "
        "engine tells it (a file with holes is as long as it looks), and to the task's own volumes, where the agent "
        "may look into the engine's directory (as root); images, logs, tmpfs and file systems elsewhere do not. "
        "Storage is not reserved: placement does not ask how full a disk is. On the EC2 launch type an override of it "
        "is refused, and so is a task definition for EC2 alone; one for both is bounded on Fargate only.",
        "",
        "## Log drivers",
        "",
        "A driver takes the options below and no others, given as `options` or as `secretOptions`. On Fargate only "
        f"{_names(list(LOG_DRIVERS))} are taken.",
        "",
        "| driver | options |",
        "| --- | --- |",
        *(f"| `{driver}` | {_names(sorted(options))} |" for driver, options in sorted(OPTIONS.items())),
        f"| `{FIRELENS}` | those of the output that the task's log router is to write to |",
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    for name, text in pages().items():
        (HERE / name).write_text(text)
        print(f"docs/{name}")
    return 0


def _refusal(refusal: Refusal) -> str:
    harmless = "" if refusal.harmless is None else f" (`{json.dumps(refusal.harmless)}` asks for nothing, and is taken)"
    return f"refused: {refusal.why}{harmless}"


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
