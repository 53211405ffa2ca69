"""FireLens: what a log router and the containers that log through it are given beyond their payload.

The router finds its configuration where its image looks for one, and makes its socket in a volume of the task's;
the engine's log driver finds the socket there. Options that are secrets are variables of the router's.
"""

import io
import re
import tarfile
from collections.abc import Mapping, Sequence
from typing import Protocol

from agent.control.aws import Unreachable
from agent.firelens_config import PORT, BadOptions, Output, RouterConfig, render_config
from agent.runtime import NotFound, Refused, Runtime
from agent.s3 import S3, NoObject
from agent.secrets import execution_keys
from agent.tasks.injected import Injected
from agent.tasks.launch import PutOff, Unprepared
from agent.tasks.render import AGENT_LABEL, TASK_LABEL, container_name
from agent.tasks.routers import RouterSpec, RouterType, logs_by_router, router_of, router_options
from agent.tasks.secret_refs import SecretRef, Target
from agent.tasks.spec import ContainerSpec, TaskSpec

HOME = {RouterType.FLUENTD: "/fluentd/etc", RouterType.FLUENTBIT: "/fluent-bit/etc"}
CONFIG = {RouterType.FLUENTD: "fluent.conf", RouterType.FLUENTBIT: "fluent-bit.conf"}
EXTERNAL = "external.conf"
RUN = "/var/run"
# The kernel's longest path of a socket.
LONGEST_SOCKET = 107


class Values(Protocol):
    """Fetches secrets."""

    def fetch(self, task: TaskSpec, refs: Sequence[SecretRef]) -> dict[SecretRef, str]: ...


class Firelens:
    """Raises Unprepared, PutOff, Temporary."""

    def __init__(self, *, runtime: Runtime, secrets: Values, s3: S3, agent_id: str) -> None:
        self._runtime = runtime
        self._secrets = secrets
        self._s3 = s3
        self._agent_id = agent_id

    def for_router(self, task: TaskSpec, router: RouterSpec) -> Injected:
        """Its configuration, its socket's place, and the secret options of those that log through it."""
        logging = [container for container in task.containers if logs_by_router(container)]
        names = {
            (container.name, ref): f"{variable_of(ref.name)}_{index}"
            for index, container in enumerate(task.containers)
            for ref in container.secrets
            if container in logging and ref.target is Target.LOG_DRIVER
        }
        values = self._secrets.fetch(task, list(dict.fromkeys(ref for _, ref in names))) if names else {}
        files = {EXTERNAL: self._external(task, router)} if router.config_type == "s3" else {}
        include = f"{HOME[router.type]}/{EXTERNAL}" if files else router.config_value
        config = RouterConfig(
            type=router.type,
            listen={"bridge": "0.0.0.0", "awsvpc": "127.0.0.1"}.get(task.network_mode, ""),  # noqa: S104
            record=_record(task) if router.metadata else {},
            include=include,
            outputs=tuple(_output(task, router.type, container, names) for container in logging),
        )
        try:
            files[CONFIG[router.type]] = render_config(config).encode()
        except BadOptions as error:
            raise Unprepared(f"unable to generate firelens config file: {error}") from error
        self._make_volume(task)
        return Injected(
            environment={name: values[ref] for (_, ref), name in names.items()},
            binds=(f"{volume_of(task)}:{RUN}",),
            volumes=(HOME[router.type],),
            files={HOME[router.type]: packed(files)},
        )

    def for_logging(self, task: TaskSpec, container: ContainerSpec) -> Injected:
        """The engine's Fluentd driver in place of ``awsfirelens``, and where programs find the router."""
        self._make_volume(task)
        try:
            socket = f"{self._runtime.volume_path(volume_of(task))}/fluent.sock"
        except (Refused, NotFound) as error:
            raise Unprepared(f"firelens socket: {error}") from error
        if len(socket.encode()) > LONGEST_SOCKET:
            raise Unprepared(f"firelens socket: {socket} is too long for the path of a socket")
        options = {
            "fluentd-address": f"unix://{socket}",
            "fluentd-async": "true",
            "fluentd-sub-second-precision": "true",
            "tag": f"{container.name}-firelens-{task.id}",
        }
        if limit := router_options(container).get("log-driver-buffer-limit"):
            options["fluentd-buffer-limit"] = limit
        host = self._host(task)
        environment = {"FLUENT_HOST": host, "FLUENT_PORT": str(PORT)} if host else {}
        return Injected(environment=environment, log_driver="fluentd", log_options=options)

    def after(self, task: TaskSpec) -> None:
        """Remove the volume of a task that had a router. Raises RuntimeTrouble."""
        if router_of(task):
            self._runtime.remove_volume(volume_of(task))

    def _make_volume(self, task: TaskSpec) -> None:
        labels = {TASK_LABEL: task.arn, AGENT_LABEL: self._agent_id}
        try:
            self._runtime.create_volume(volume_of(task), "local", _driver_options(task), labels)
        except (Refused, NotFound) as error:
            raise Unprepared(f"firelens volume: {error}") from error

    def _external(self, task: TaskSpec, router: RouterSpec) -> bytes:
        try:
            return self._s3.get(router.config_value, None if self._s3.has_keys else execution_keys(task))
        except Unreachable as error:
            raise PutOff("unable to download firelens s3 config file", error) from error
        except NoObject as error:
            raise Unprepared(f"unable to download firelens s3 config file: {error}") from error

    def _host(self, task: TaskSpec) -> str:
        router = router_of(task)
        if task.network_mode == "awsvpc":
            return "127.0.0.1"
        if task.network_mode != "bridge" or router is None:
            return ""
        try:
            return self._runtime.inspect(container_name(task, router.name)).address
        except (Refused, NotFound):
            # It has ended already; then nothing listens at any address.
            return ""


def _driver_options(task: TaskSpec) -> dict[str, str]:
    """A plain volume is root's; a router that is somebody else gets one in memory where everyone may make a socket."""
    router = router_of(task)
    user = str(router.config.get("User") or "") if router else ""
    if user.split(":")[0] in ("", "0", "root"):
        return {}
    return {"type": "tmpfs", "device": "tmpfs", "o": "mode=1777,size=1m"}


def volume_of(task: TaskSpec) -> str:
    """The name of the volume that holds the router's socket."""
    return f"ecs-{task.id}-firelens"


def variable_of(option: str) -> str:
    """A variable's name for a log option."""
    return re.sub(r"[^A-Za-z0-9_]", "_", option)


def packed(files: Mapping[str, bytes]) -> bytes:
    """A tar of files that everyone in the container may read."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = 0o644
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _record(task: TaskSpec) -> dict[str, str]:
    return {
        "ecs_cluster": task.cluster.rsplit("/", 1)[-1],
        "ecs_task_arn": task.arn,
        "ecs_task_definition": f"{task.family}:{task.version}",
    }


def _output(
    task: TaskSpec, kind: RouterType, container: ContainerSpec, names: Mapping[tuple[str, SecretRef], str]
) -> Output:
    options = router_options(container)
    for ref in container.secrets:
        if name := names.get((container.name, ref)):
            options[ref.name] = f"\"#{{ENV['{name}']}}\"" if kind is RouterType.FLUENTD else f"${{{name}}}"
    return Output(container=container.name, tag=f"{container.name}-firelens", options=options)
