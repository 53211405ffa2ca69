"""What answers where: every path of 169.254.170.2, found by the unguessable id in it.

Containers may ask only as often as the ECS agent lets them; what is given of credentials is logged, without secrets.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from agent.control.aws import ApiError, Calls, Unreachable
from agent.endpoints.ids import EndpointIds
from agent.endpoints.limits import Limits
from agent.endpoints.metadata import NOTHING, Machine, render_container, render_task
from agent.endpoints.protection import answer_protection
from agent.endpoints.server import Answer, Answering, Request
from agent.endpoints.statistics import TRAFFIC, Statistics, share_of_traffic
from agent.endpoints.views import Views
from agent.log import facts
from agent.tasks.model import Container, Phase, Task
from kit.clock import Clock

VERSIONS = {"v3": 3, "v4": 4}
PROTECTION = "task-protection/v1/state"

log = facts(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """Who asks: a container and its task."""

    task: Task
    container: Container


class Routes:
    """Answers requests; on the server's thread only, and what it hands over to others only reads."""

    def __init__(
        self,
        *,
        tasks: Callable[[], Iterable[Task]],
        ids: EndpointIds,
        views: Views,
        statistics: Statistics,
        machine: Callable[[], Machine],
        aws: Calls,
        clock: Clock,
    ) -> None:
        self._tasks = tasks
        self._ids = ids
        self._views = views
        self._statistics = statistics
        self._machine = machine
        self._aws = aws
        self._clock = clock
        self._limits = Limits()
        self._names: dict[str, tuple[str, str]] = {}
        self._numbered: frozenset[str] = frozenset()

    def answer(self, request: Request) -> Answering:
        """The answer, or what makes it."""
        parts = [part for part in request.path.split("/") if part]
        match parts:
            case ["v1" | "v2" as version, "credentials", *rest]:
                named = rest[:1] or parse_qs(request.query).get("id", [""])
                return self._credentials(request, version, named[0])
            case ["v3" | "v4" as version, name, *rest]:
                return self._metadata(request, version, name, "/".join(rest))
            case ["api", name, *rest] if "/".join(rest) == PROTECTION:
                return self._protection(request, name)
        return Answer(404, "not found")

    def _credentials(self, request: Request, version: str, credentials_id: str) -> Answer:
        prefix = f"Credentials{version.upper()}Request: "
        if request.method != "GET":
            return Answer(405, "Method Not Allowed")
        if not credentials_id:
            return _refused(400, "NoIdInRequest", f"{prefix}No Credential ID in the request")
        task = next((t for t in self._tasks() if t.spec.role is not None and t.spec.role.id == credentials_id), None)
        if not self._admits(task, request):
            return Answer(429, "Too Many Requests")
        if task is None or task.spec.role is None or task.status is Phase.STOPPED:
            log.warning(
                "credentials refused", source=request.source, user_agent=request.user_agent, because="unknown id"
            )
            return _refused(400, "InvalidIdInRequest", f"{prefix}Credentials not found")
        role = task.spec.role
        log.info(
            "credentials given",
            task=task.arn,
            role=role.arn,
            key=role.keys.access_key,
            source=request.source,
            user_agent=request.user_agent,
        )
        return Answer(
            200,
            {
                "RoleArn": role.arn,
                "AccessKeyId": role.keys.access_key,
                "SecretAccessKey": role.keys.secret_key,
                "Token": role.keys.session_token,
                "Expiration": role.expiration,
            },
        )

    def _metadata(self, request: Request, version: str, name: str, what: str) -> Answering:
        kinds: dict[str, tuple[str, Callable[[int, Found], Answer]]] = {
            "": ("container metadata", self._container),
            "task": ("task metadata", self._task),
            "taskWithTags": ("task metadata", self._task_with_tags),
            "stats": ("container stats", self._container_stats),
            "task/stats": ("task stats", self._task_stats),
        }
        if what not in kinds:
            return Answer(404, "not found")
        if request.method != "GET":
            return Answer(405, "Method Not Allowed")
        kind, make = kinds[what]
        found = self._find(name)
        if not self._admits(found.task if found else None, request):
            return Answer(429, "Too Many Requests")
        if found is None:
            return Answer(404, f"{version.upper()} {kind} handler: unable to find the container of this URL")
        return partial(make, VERSIONS[version], found)

    def _protection(self, request: Request, name: str) -> Answering:
        if request.method not in ("GET", "PUT"):
            return Answer(405, "Method Not Allowed")
        found = self._find(name)
        if not self._admits(found.task if found else None, request):
            return Answer(429, "Too Many Requests")
        if found is None:
            missing = {"Code": "ResourceNotFoundException", "Message": "Failed to find a task for the request"}
            return Answer(404, {"error": missing})
        return partial(answer_protection, request, found.task.spec, self._aws)

    # Answers that ask the engine or the control plane; on threads of their own.

    def _container(self, version: int, found: Found) -> Answer:
        seen = self._views.of([found.container]).get(found.container.runtime_id, NOTHING)
        return Answer(200, render_container(found.task, found.container, seen, version=version))

    def _task(self, version: int, found: Found, tags: Sequence[Mapping[str, str]] | None = None) -> Answer:
        seen = self._views.of(list(found.task.containers.values()))
        return Answer(200, render_task(found.task, seen, self._machine(), version=version, tags=tags))

    def _task_with_tags(self, version: int, found: Found) -> Answer:
        try:
            told = self._aws.call("ecs", "ListTagsForResource", {"resourceArn": found.task.arn})
        except (ApiError, Unreachable) as error:
            # As the ECS agent: what is known goes out, and what is missing says why.
            answer = self._task(version, found)
            code = error.code if isinstance(error, ApiError) else "Unreachable"
            failed = {"ErrorField": "TaskTags", "ErrorCode": code, "ErrorMessage": str(error)}
            return Answer(200, {**answer.document, "Errors": [{**failed, "ResourceARN": found.task.arn}]})
        return self._task(version, found, told.get("tags") or ())

    def _container_stats(self, version: int, found: Found) -> Answer:
        return Answer(200, self._stats(found.task, found.container))

    def _task_stats(self, version: int, found: Found) -> Answer:
        containers = [c for c in found.task.containers.values() if c.runtime_id]
        return Answer(200, {c.runtime_id: self._stats(found.task, c) for c in containers})

    def _stats(self, task: Task, container: Container) -> Mapping[str, Any] | None:
        if container.phase is not Phase.RUNNING:
            return None
        sample = self._statistics.of(container.runtime_id)
        if sample is None or task.spec.network_mode != "awsvpc":
            return sample
        # What moves in the namespace that they share is told once: each container's share of it.
        owner = next((self._statistics.of(c.runtime_id) for c in task.containers.values() if c.spec.internal), None)
        own = {name: value for name, value in sample.items() if name not in TRAFFIC}
        return own if container.spec.internal else {**own, **share_of_traffic(owner or {}, task.sharers)}

    def _admits(self, task: Task | None, request: Request) -> bool:
        return self._limits.admit(task.arn if task else request.source, self._clock.now())

    def _find(self, name: str) -> Found | None:
        tasks = {task.arn: task for task in self._tasks()}
        if tasks.keys() != self._numbered:
            self._number(tasks)
        arn, container = self._names.get(name, ("", ""))
        task = tasks.get(arn)
        if task is None or container not in task.containers:
            return None
        return Found(task, task.containers[container])

    def _number(self, tasks: Mapping[str, Task]) -> None:
        """Know the ids of the tasks there are, and no others."""
        self._names = {name: of for name, of in self._names.items() if of[0] in tasks}
        for arn in tasks.keys() - self._numbered:
            for container in tasks[arn].containers:
                self._names[self._ids.id_of(arn, container)] = (arn, container)
        self._numbered = frozenset(tasks)


def _refused(status: int, code: str, message: str) -> Answer:
    return Answer(status, {"code": code, "message": message, "HTTPErrorCode": status})
