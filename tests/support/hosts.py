"""A host of its own on this machine: a network namespace, a Docker Engine and an agent in it, on a cable to a switch.

It can lose its power (everything in it ends without a word), its agent, its engine or its cable, in both directions or
in one, and get them back. Its engine and agent start by ``nsenter``, since ``ip netns exec`` hides the cgroup mounts.
"""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.berth import BERTH, clean_environment, processes_of, until
from tests.support.engine import Engine, OwnEngine, unmount_below

CGROUPS = Path("/sys/fs/cgroup")


class HostEngine(OwnEngine):
    """The engine of a host, in the namespace that the host has made."""

    @property
    def name(self) -> str:
        return self.directory.parent.name + "-" + self.directory.name

    def lose_power(self) -> None:
        """Know that everything of it was killed, and that nothing is left in ``/run``."""
        if self._process is not None:
            self._process.wait()
            self._process = None
        unmount_below(self.directory)
        shutil.rmtree(self.directory / "exec", ignore_errors=True)
        (self.directory / "docker.pid").unlink(missing_ok=True)


@dataclass(slots=True, kw_only=True)
class Host:
    """Made by a site. ``switch`` is the namespace that its cable leads to, ``port`` the cable's end there."""

    number: int
    directory: Path
    address: str
    switch: str
    endpoint: str
    # More options of its agent.
    options: tuple[str, ...] = ()
    engine: Engine = field(init=False)
    dockerd: HostEngine = field(init=False)
    _agents: "dict[str, subprocess.Popen[bytes]]" = field(default_factory=dict)
    _rules: list[tuple[str, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dockerd = HostEngine(
            directory=self.directory,
            number=0,
            options=(
                f"--bip=172.30.{self.number}.1/24",
                f"--default-address-pool=base=172.31.{self.number}.0/24,size=28",
                "--insecure-registry=198.19.0.0/16",
                "--exec-opt=native.cgroupdriver=cgroupfs",
                f"--cgroup-parent=/{self.name}",
            ),
        )

    @property
    def name(self) -> str:
        """Of its network namespace, its cgroup, and its engine's rooms."""
        return self.directory.parent.name + "-" + self.directory.name

    @property
    def port(self) -> str:
        return f"host{self.number}"

    @property
    def instance(self) -> str:
        """The ARN of its container instance."""
        return self.instance_in("default")

    def instance_in(self, cluster: str) -> str:
        """The ARN by which its agent of that cluster is registered; raises FileNotFoundError before the first time."""
        return str(json.loads((self._home(cluster) / "agent.json").read_text())["container_instance"])

    def enter(self, *command: str | Path) -> list[str | Path]:
        """The command that runs ``command`` as a process of this host."""
        return ["nsenter", f"--net=/run/netns/{self.name}", "--", *command]

    def run(self, *command: str) -> str:
        """Run a command in its network, and answer what it said."""
        return subprocess.run(self.enter(*command), check=True, capture_output=True, text=True).stdout

    def switch_on(self) -> None:
        """Start its engine and its agent, which has joined before."""
        self.start_engine()
        self.start_agent()

    def start_engine(self) -> None:
        self.engine = self.dockerd.start()

    def start_agent(self, token: str = "", *, cluster: str = "default") -> None:
        """Start the agent, as whoever looks after services on a machine would; one for each cluster that it joins."""
        environment = clean_environment(self.directory, self.dockerd.host) | {"AWS_ENDPOINT_URL": self.endpoint}
        command = self.enter("setpriv", "--pdeathsig=KILL", *BERTH, "agent", "--cluster", cluster)
        command += ["--data", self._home(cluster), "--docker-host", self.dockerd.host, *self.options]
        with (self.directory / "agent.log").open("ab") as log:
            self._agents[cluster] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment | ({"BERTH_JOIN_TOKEN": token} if token else {}),
            )

    def join_anew(self, token: str) -> None:
        """Start an agent whose key was revoked with another token, as a person would."""
        (self._home("default") / "host-key.json").unlink(missing_ok=True)
        self.start_agent(token)

    def kill_agent(self) -> None:
        """SIGKILL, and nobody starts it again."""
        self._agents["default"].kill()
        self._agents.pop("default").wait()

    def agent_ended(self) -> int | None:
        """The exit code of its agent; None while it runs."""
        return self._agents["default"].poll()

    def cut(self) -> None:
        """Pull its cable. Neither end is told."""
        ip("-n", self.switch, "link", "set", self.port, "down")

    def cut_incoming(self) -> None:
        """Nothing reaches it any more, and all that it says is heard."""
        self._rule("raw", "PREROUTING", "-i", "eth0", "-j", "DROP")

    def cut_outgoing(self) -> None:
        """It hears everything, and nobody hears it."""
        self._rule("mangle", "POSTROUTING", "-o", "eth0", "-j", "DROP")

    def lose(self, share: float) -> None:
        """Lose this share of the packets, at random, in either direction."""
        chance = ("-m", "statistic", "--mode", "random", "--probability", str(share), "-j", "DROP")
        self._rule("raw", "PREROUTING", "-i", "eth0", *chance)
        self._rule("mangle", "POSTROUTING", "-o", "eth0", *chance)

    def delay(self, milliseconds: int) -> str:
        """Make what it says arrive late; answers by what.

        Kernels without netem have a narrow cable instead, on which packets queue for up to as long.
        """
        qdisc = ("-n", self.name, "qdisc", "replace", "dev", "eth0", "root")
        done = subprocess.run(
            ["tc", *qdisc, "netem", "delay", f"{milliseconds}ms", f"{milliseconds // 3}ms"],
            check=False,
            capture_output=True,
        )
        if done.returncode == 0:
            return "netem"
        narrow = ("tbf", "rate", "256kbit", "burst", "4kb", "latency", f"{milliseconds}ms")
        subprocess.run(["tc", *qdisc, *narrow], check=True, capture_output=True)
        return "tbf"

    def mend(self) -> None:
        """Put the cable back, as good as new."""
        while self._rules:
            table, *rule = self._rules.pop()
            self.run("iptables", "--wait", "-t", table, "-D", *rule)
        subprocess.run(["tc", "-n", self.name, "qdisc", "del", "dev", "eth0", "root"], check=False, capture_output=True)
        ip("-n", self.switch, "link", "set", self.port, "up")

    def lose_power(self) -> None:
        """Nothing more is heard of it, and everything in it ends at once: agent, engine and containers."""
        self.cut()
        kill_all(self.name, self.directory)
        while self._agents:
            self._agents.popitem()[1].wait()
        self.dockerd.lose_power()

    def containers_of(self, label: str) -> list[Any]:
        """Its containers with a label, stopped ones too."""
        return self.engine.containers(label)

    def log_end(self, lines: int = 15) -> str:
        """The last lines of its agent's log."""
        log = self.directory / "agent.log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""

    def close(self) -> None:
        """End everything in it. Its site removes the rest."""
        self.lose_power()
        self.dockerd.close_clients()

    def _home(self, cluster: str) -> Path:
        return self.directory / ("agent" if cluster == "default" else f"agent-{cluster}")

    def _rule(self, table: str, *rule: str) -> None:
        self.run("iptables", "--wait", "-t", table, "-I", *rule)
        self._rules.append((table, *rule))


def kill_all(name: str, directory: Path) -> None:
    """SIGKILL whatever lives in the namespace or cgroup of that name, or names the directory in its command line."""

    def strike() -> bool:
        pids = _pids_of(name, directory)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not pids

    until(f"nothing lives in {name}", strike, seconds=30, every=0.02)


def clear(names: Iterable[str], directory: Path) -> None:
    """Remove what hosts of these names have left behind, alive or dead, and the directory of them all."""
    names = tuple(names)
    for name in names:
        kill_all(name, directory)
        ip("netns", "del", name, check=False)
        for cgroup in _cgroups_of(name):
            for path in sorted((cgroup, *(path for path in cgroup.rglob("*") if path.is_dir())), reverse=True):
                with suppress(OSError):
                    path.rmdir()
    unmount_below(directory)
    shutil.rmtree(directory, ignore_errors=True)


def ip(*words: str, check: bool = True) -> str:
    """Run ``ip`` and answer what it said."""
    return subprocess.run(["ip", *words], check=check, capture_output=True, text=True).stdout


def _pids_of(name: str, directory: Path) -> set[int]:
    found = {int(pid) for pid in ip("netns", "pids", name, check=False).split()}
    for cgroup in _cgroups_of(name):
        for path in (cgroup, *cgroup.rglob("*")):
            if path.name == "cgroup.procs":
                with suppress(OSError):
                    found |= {int(pid) for pid in path.read_text().split()}
    for line in processes_of(directory):
        # Another site's directory may begin with the same words.
        if f"{directory}/" in line and (match := re.match(r"process (\d+):", line)):
            found.add(int(match[1]))
    return found


def _cgroups_of(name: str) -> Sequence[Path]:
    """The cgroup of that name in every hierarchy, in either version of the kernel's cgroups."""
    return [path for path in (CGROUPS / name, *(top / name for top in CGROUPS.iterdir())) if path.is_dir()]
