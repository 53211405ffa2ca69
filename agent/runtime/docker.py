"""The Docker driver: the runtime family on a real Docker Engine, through the docker SDK's low-level client.

One client, shared by all threads, with a connection for each; requests are the engine's own, so that a create
and a start cost what they cost the bare SDK.
"""

import math
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import docker
from docker import errors
from docker.types import IPAMConfig, IPAMPool

from agent.runtime import (
    Cancelled,
    ContainerState,
    Details,
    EngineInfo,
    ImageMissing,
    ImageState,
    NameTaken,
    NotFound,
    Refused,
    RegistryLogin,
    Sink,
    Usage,
    docker_images,
)
from agent.runtime.cgroup_files import CgroupFiles
from agent.runtime.cgroup_statistics import statistics_of
from agent.runtime.cgroup_usage import usage_of
from agent.runtime.docker_client import DockerClient
from agent.runtime.docker_errors import translated
from agent.runtime.docker_events import EventStream
from agent.runtime.docker_exec import EXECUTED, DockerExec, hang_up_left
from agent.runtime.docker_images import telling_damage
from agent.runtime.docker_logs import DockerLog
from agent.runtime.docker_reading import container_details, container_state, epoch_text, usage
from kit.clock import Clock

CONNECTIONS = 64
LOCAL = "http+docker://"
TIMEOUT_S = 120
NETWORK_LABEL = {"berth.network": "awsvpc"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network of the engine: its id and the IPv4 addresses it gives."""

    id: str
    cidr: str


class DockerRuntime:
    """A Docker Engine; ``host`` is its URL, and empty means what the docker CLI would use."""

    def __init__(self, *, clock: Clock, host: str = "") -> None:
        self._clock = clock
        self._host = host
        self._lock = threading.Lock()
        self._api: Any = None
        self._files = CgroupFiles(self.details)

    def info(self) -> EngineInfo:
        with translated():
            seen = self._client().info()
        return EngineInfo(
            version=seen.get("ServerVersion", ""),
            architecture=seen.get("Architecture", ""),
            cpus=int(seen.get("NCPU", 1)),
            memory_mib=int(seen.get("MemTotal", 0)) // (1024 * 1024),
            cgroup_driver=str(seen.get("CgroupDriver", "")),
            local=self._is_local(),
            root=str(seen.get("DockerRootDir", "")),
        )

    def create(self, name: str, body: Mapping[str, Any]) -> str:
        try:
            with telling_damage(), translated():
                created = self._client().create_container_from_config(dict(body), name)
        except Refused as error:
            if isinstance(error.__cause__, errors.APIError) and error.__cause__.status_code == 409:
                raise NameTaken(str(error)) from error
            raise
        except NotFound as error:
            # Docker 20.10 says "No such image" and later ones "No such image: …"; both with 404 on create.
            if "image" in str(error).lower() and not isinstance(error, ImageMissing):
                raise ImageMissing(str(error)) from error
            raise
        return str(created["Id"])

    def start(self, container: str) -> None:
        with telling_damage(), translated():
            self._client().start(container)

    def stop(self, container: str, grace: timedelta) -> None:
        with translated():
            self._client().stop(container, timeout=math.ceil(grace.total_seconds()))

    def kill(self, container: str) -> None:
        try:
            with translated():
                self._client().kill(container)
        except Refused as error:
            if "is not running" not in str(error):
                raise

    def remove(self, container: str) -> None:
        self._files.forget(container)
        with suppress(NotFound):
            try:
                with translated():
                    self._client().remove_container(container, v=True, force=True)
            except Refused as error:
                if "already in progress" not in str(error):
                    raise

    def put(self, container: str, directory: str, tar: bytes) -> None:
        with translated():
            self._client().put_archive(container, directory, tar)

    def inspect(self, container: str) -> ContainerState:
        with translated():
            return container_state(self._client().inspect_container(container))

    def list(self, labels: Mapping[str, str]) -> tuple[ContainerState, ...]:
        wanted = [f"{name}={value}" for name, value in labels.items()]
        with translated():
            listed = self._client().containers(all=True, filters={"label": wanted})
        found = []
        for entry in listed:
            with suppress(NotFound):
                found.append(self.inspect(entry["Id"]))
        return tuple(found)

    def written(self, labels: Mapping[str, str]) -> int:
        wanted = [f"{name}={value}" for name, value in labels.items()]
        with translated():
            listed = self._client().containers(all=True, size=True, filters={"label": wanted})
        return sum(int(entry.get("SizeRw") or 0) for entry in listed)

    def pull(self, image: str, login: RegistryLogin | None, cancelled: Cancelled) -> str | None:
        return docker_images.pull(self._client(), image, login, cancelled)

    def has_image(self, image: str) -> bool:
        try:
            with translated():
                self._client().inspect_image(image)
        except NotFound:
            return False
        return True

    def image(self, name: str) -> ImageState:
        return docker_images.find_image(self._client(), name)

    def images_in_use(self) -> frozenset[str]:
        return docker_images.images_in_use(self._client())

    def remove_image(self, name: str) -> None:
        with suppress(NotFound), translated():
            self._client().remove_image(name)

    def import_image(self, image: str, tar: bytes, changes: tuple[str, ...]) -> None:
        repository, _, tag = image.rpartition(":")
        with translated():
            self._client().import_image_from_data(tar, repository=repository, tag=tag, changes=list(changes))

    def events(self, labels: Mapping[str, str], sink: Sink) -> EventStream:
        return EventStream(client=self._client, labels=labels, sink=sink, clock=self._clock)

    def logs(self, container: str, *, since: str, follow: bool, tty: bool) -> DockerLog:
        params: dict[str, Any] = {"stdout": 1, "stderr": 1, "timestamps": 1, "follow": int(follow)}
        if since:
            params["since"] = epoch_text(since)
        client = self._client()
        url = f"{client.base_url}/v{client.api_version}/containers/{container}/logs"
        with translated():
            response = client.get(url, params=params, stream=True, timeout=None)
            client._raise_for_status(response)
        return DockerLog(response, tty=tty)

    def execute(self, container: str, command: Sequence[str]) -> DockerExec:
        api = self._client()
        with translated():
            made = api.exec_create(container, list(command), stdin=True, tty=True, environment=[EXECUTED])
        return DockerExec(api, made["Id"], container=container, local=api.base_url.startswith("http+docker://"))

    def end_executed(self, container: str) -> None:
        if self._is_local():
            hang_up_left(self._client(), container)

    def stats(self, container: str) -> Usage:
        """From the kernel where its files can be seen, since the engine takes a second for each container."""
        if self._is_local() and (used := self._files.read(container, usage_of)):
            return used
        with translated():
            return usage(self._client().stats(container, stream=False, one_shot=True))

    def statistics(self, container: str) -> Mapping[str, Any]:
        """Likewise."""
        if self._is_local():
            now = self._clock.now()
            sample = self._files.read(container, lambda place: statistics_of(place, container, now))
            if sample:
                return sample
        with translated():
            seen: Mapping[str, Any] = self._client().stats(container, stream=False, one_shot=True)
        return seen

    def details(self, container: str) -> Details:
        with translated():
            return container_details(self._client().inspect_container(container))

    def network(self, name: str, cidr: str) -> str:
        found = self._networks(name)
        if found:
            return found[0].cidr
        try:
            with translated():
                made = self._client().create_network(
                    name,
                    driver="bridge",
                    check_duplicate=True,
                    labels=NETWORK_LABEL,
                    ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=cidr)]),
                )
        except Refused:
            # Another agent on this engine may have been quicker.
            found = self._networks(name)
            if not found:
                raise
            return found[0].cidr
        # The engine lets two agents that ask at once make two networks of one name: the elder stays.
        elder = next(iter(self._networks(name)), None)
        if elder is None or elder.id == made["Id"]:
            return cidr
        with translated():
            self._client().remove_network(made["Id"])
        return elder.cidr

    def remove_network(self, name: str) -> bool:
        removed = True
        for network in self._networks(name):
            try:
                with translated():
                    self._client().remove_network(network.id)
            except NotFound:
                pass
            except Refused:
                removed = False
        return removed

    def create_volume(self, name: str, driver: str, options: Mapping[str, str], labels: Mapping[str, str]) -> None:
        with translated():
            self._client().create_volume(
                name, driver=driver, driver_opts=dict(options) or None, labels=dict(labels) or None
            )

    def has_volume(self, name: str) -> bool:
        try:
            with translated():
                self._client().inspect_volume(name)
        except NotFound:
            return False
        return True

    def volume_path(self, name: str) -> str:
        with translated():
            return str(self._client().inspect_volume(name)["Mountpoint"])

    def remove_volume(self, name: str) -> None:
        with suppress(NotFound), translated():
            self._client().remove_volume(name)

    def close(self) -> None:
        with self._lock:
            api, self._api = self._api, None
        if api is not None:
            api.close()

    def _is_local(self) -> bool:
        return str(self._client().base_url).startswith(LOCAL)

    def _networks(self, name: str) -> tuple[Network, ...]:
        """Every network of exactly this name, the eldest first."""
        with translated():
            found = [network for network in self._client().networks(names=[name]) if network.get("Name") == name]
        return tuple(
            Network(id=str(network["Id"]), cidr=str(pool["Subnet"]))
            for network in sorted(found, key=lambda network: (str(network.get("Created")), str(network["Id"])))
            for pool in (network.get("IPAM") or {}).get("Config") or ()
            if "." in pool.get("Subnet", "")
        )

    def _client(self) -> Any:
        """The client, made when first asked for: the engine's version has to be known, so it has to be up."""
        with self._lock:
            if self._api is None:
                with translated():
                    kwargs = docker.utils.kwargs_from_env()
                    if self._host:
                        kwargs["base_url"] = self._host
                    self._api = DockerClient(version="auto", timeout=TIMEOUT_S, max_pool_size=CONNECTIONS, **kwargs)
            return self._api
