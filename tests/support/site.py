"""Several hosts on one machine: a switch in a namespace of its own, hosts on cables to it, and a Berth that they join.

A site has a number, and everything of it is named after that: namespaces, cgroups, directories, addresses. Whoever
holds the number's lock owns all of that. The lock ends with its process, so what a killed run has left is swept away by
the next one.
"""

import base64
import os
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kit.processes import AlreadyLocked, FolderLock
from tests.support.berth import RunningBerth, free_port, running_berth, until
from tests.support.engine import Engine
from tests.support.hosts import Host, clear, ip
from tests.support.images import make_busybox_image

MOST_SITES = 16
MOST_HOSTS = 8


@dataclass(slots=True, kw_only=True)
class Site:
    """A Berth and its hosts, all in cluster ``default``; the local agent's host is drained, so that tasks go to them.

    The addresses are from 198.19.0.0/16, which is set aside for testing. The switch is no part of this machine's own
    network: no rule of this machine's firewall forbids its traffic, and none has to be changed.
    """

    number: int
    berth: RunningBerth = field(init=False)
    image: str = field(init=False)
    hosts: list[Host] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Of the switch's namespace, and of the site's directory."""
        return f"berth-site-{self.number}"

    @property
    def directory(self) -> Path:
        return Path(tempfile.gettempdir()) / self.name

    @property
    def address(self) -> str:
        """Where its hosts reach this machine."""
        return f"198.19.{self.number}.1"

    @property
    def ecs(self) -> Any:
        return self.berth.client("ecs")

    def add_hosts(self, *options: Sequence[str]) -> None:
        """Start a host with each of these options of its agent, and wait until all have joined."""
        added = [self._plug(len(self.hosts) + number, more) for number, more in enumerate(options, start=1)]
        for host in added:
            host.dockerd.begin()
        self.hosts += added
        for host in added:
            host.engine = host.dockerd.await_answer()
            host.start_agent(self.token())
        self.connected(*added)

    def token(self) -> str:
        return self.berth.berth("agent", "token").strip()

    def is_connected(self, host: Host, cluster: str = "default") -> bool:
        """What ECS says of the host's agent."""
        with suppress(FileNotFoundError):
            asked = host.instance_in(cluster)
            if asked:
                found = self.ecs.describe_container_instances(cluster=cluster, containerInstances=[asked])
                return any(instance["agentConnected"] for instance in found["containerInstances"])
        return False

    def connected(self, *hosts: Host, cluster: str = "default") -> None:
        """Wait until the hosts' agents are connected."""
        for host in hosts or self.hosts:
            until(f"host {host.number} is connected", lambda host=host: self.is_connected(host, cluster), seconds=120)

    def host_of(self, task: dict[str, Any]) -> Host:
        """The host that a described task is on."""
        return next(host for host in self.hosts if host.instance == task["containerInstanceArn"])

    def push_image(self) -> None:
        """Put a busybox into Berth's registry, by way of the first host's engine."""
        engine = self.hosts[0].engine
        ecr = self.berth.client("ecr")
        ecr.create_repository(repositoryName="hosts/busybox")
        token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        user, _, password = base64.b64decode(token).decode().partition(":")
        image, name = make_busybox_image(engine, "berth-test/busybox:hosts"), f"{self.berth.registry}/hosts/busybox"
        engine.client.api.tag(image, name, "1")
        login = {"username": user, "password": password}
        for line in engine.client.api.push(name, "1", auth_config=login, stream=True, decode=True):
            assert "error" not in line, line
        self.image = f"{name}:1"

    def log_end(self) -> str:
        """The last words of the control plane and of every host's agent."""
        return "\n".join([self.berth.log_end(), *(f"host {host.number}:\n{host.log_end()}" for host in self.hosts)])

    def _plug(self, number: int, options: Sequence[str]) -> Host:
        """Make a host's namespace, with a cable from it to the switch."""
        if number > MOST_HOSTS:
            raise ValueError(f"a site has {MOST_HOSTS} hosts at most")
        directory = self.directory / str(number)
        directory.mkdir()
        host = Host(
            number=number,
            directory=directory,
            address=f"198.19.{self.number}.{10 + number}",
            switch=self.name,
            endpoint=self.berth.environment["AWS_ENDPOINT_URL"],
            options=tuple(options),
        )
        ip("netns", "add", host.name)
        ip("-n", host.name, "link", "add", "eth0", "type", "veth", "peer", "name", host.port, "netns", self.name)
        ip("-n", self.name, "link", "set", host.port, "master", "switch", "up")
        ip("-n", host.name, "addr", "add", f"{host.address}/24", "dev", "eth0")
        for link in ("lo", "eth0"):
            ip("-n", host.name, "link", "set", link, "up")
        ip("-n", host.name, "route", "add", "default", "via", self.address)
        # An engine that has to turn forwarding on forbids whatever it does not allow itself, as on any new machine.
        host.run("sysctl", "--quiet", "--write", "net.ipv4.ip_forward=0")
        return host

    def build(self) -> None:
        """Make the switch, with a cable from it to this machine."""
        self.directory.mkdir(mode=0o711)
        ip("netns", "add", self.name)
        ip("-n", self.name, "link", "add", "switch", "type", "bridge")
        ip("link", "add", self.name, "type", "veth", "peer", "name", "here", "netns", self.name)
        ip("-n", self.name, "link", "set", "here", "master", "switch", "up")
        ip("-n", self.name, "link", "set", "switch", "up")
        ip("addr", "add", f"{self.address}/24", "dev", self.name)
        ip("link", "set", self.name, "up")

    def clear(self) -> None:
        """End everything that is named after the number, whoever has left it."""
        for host in self.hosts:
            host.close()
        clear([*(f"{self.name}-{number}" for number in range(1, MOST_HOSTS + 1)), self.name], self.directory)
        ip("link", "del", self.name, check=False)


def cidr(number: int) -> str:
    """The addresses of a host's awsvpc tasks."""
    return f"10.240.{number}.0/24"


@contextmanager
def running_site(engine: Engine, *, hosts: int = 2, **settings: str) -> Iterator[Site]:
    """A site with hosts that have joined and an image that they can pull; nothing is left of it at the end.

    ``settings`` are BERTH_* variables by their names in small letters.
    """
    if os.geteuid() != 0:
        pytest.fail("hosts of their own need root; run the tests as root", pytrace=False)
    number, lock = _take_number()
    site = Site(number=number)
    try:
        site.clear()
        site.build()
        port, registry_port = free_port(), free_port()
        with running_berth(
            engine, directory=site.directory, ports=(port, registry_port), host=site.address, **settings
        ) as berth:
            site.berth = berth
            (local,) = site.ecs.list_container_instances()["containerInstanceArns"]
            site.ecs.update_container_instances_state(containerInstances=[local], status="DRAINING")
            site.add_hosts(*([f"--awsvpc-cidr={cidr(number)}"] for number in range(1, hosts + 1)))
            site.push_image()
            yield site
    finally:
        site.clear()
        lock.release()


def _take_number() -> tuple[int, FolderLock]:
    """A number of one's own; what dead owners of others have left is swept away on the way."""
    taken: tuple[int, FolderLock] | None = None
    for number in range(MOST_SITES):
        left = Site(number=number).directory.exists()
        if taken is None or left:
            with suppress(AlreadyLocked):
                lock = FolderLock(Path(tempfile.gettempdir()) / f"berth-site-{number}.lock")
                if left:
                    Site(number=number).clear()
                if taken is None:
                    taken = number, lock
                else:
                    lock.release()
    if taken is None:
        raise RuntimeError(f"{MOST_SITES} sites run already")
    return taken


def told_of(site: Site, task: str) -> list[str]:
    """Why the task moved, and what else was told of it, in order."""
    with closing(sqlite3.connect(f"file:{site.berth.data / 'berth.db'}?mode=ro", uri=True)) as store:
        name = f"task/{'/'.join(task.rpartition(':')[2].split('/')[1:])}"
        return [str(row[0]) for row in store.execute("select because from events where entity = ? order by id", [name])]
