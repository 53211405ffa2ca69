"""What an agent is told when it starts: one frozen object, read once from the command line and the environment."""

import argparse
import json
import os
import re
import ssl
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv4Network
from pathlib import Path
from urllib.parse import urlsplit

from agent.awsvpc import DEFAULT_CIDR
from agent.gpus import is_gpu_id
from agent.images import PullBehavior
from agent.images.cleaner import CleanUp
from agent.keys import Keys
from kit.aws.joining import read_token

STANDARD = ("CPU", "MEMORY", "PORTS", "PORTS_UDP", "GPU")
DEFAULT_NETWORK = "berth-awsvpc"
DEFAULT_RESERVED = "22,2375,2376,51678,51679,51680"


class BadSettings(Exception):
    """The agent can't start like this; the text says what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """One agent. ``cpu`` (1/1024 vCPU) and ``memory`` (MiB) are 0 where the machine's own are meant, ``gpus`` None."""

    endpoint: str
    cluster: str
    data: Path
    region: str
    keys: Keys | None
    docker_host: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    cpu: int = 0
    memory: int = 0
    gpus: tuple[str, ...] | None = None
    resources: Mapping[str, int] = field(default_factory=dict)
    capacity: str = ""
    cgroup_parent: str = ""
    pull_behavior: PullBehavior = PullBehavior.DEFAULT
    clean_up: CleanUp | None = None
    image_records: Path | None = None
    awsvpc_cidr: str = DEFAULT_CIDR
    awsvpc_network: str = DEFAULT_NETWORK
    reserved_ports: tuple[int, ...] = ()
    registry: str = ""
    ca_bundle: str = ""
    s3_endpoint: str = ""
    s3_keys: Keys | None = None
    verbose: bool = False


def build_parser(parser: argparse.ArgumentParser | None = None) -> argparse.ArgumentParser:
    """The agent's options, on a parser of its own or on a given one."""
    parser = parser or argparse.ArgumentParser(
        prog="python -m agent",
        description="Join this host to a Berth cluster and run its tasks on the local container engine.",
        epilog="What the agent joins with comes from BERTH_JOIN_TOKEN, or from AWS_ACCESS_KEY_ID,"
        " AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or from credentials.json (mode 0600) in the data directory;"
        " once joined it has a key of its own there. AWS_DEFAULT_REGION is the region, AWS_CA_BUNDLE"
        " names a file of certificates to trust. Environment files come from AWS_ENDPOINT_URL_S3, with the task's"
        " execution role or with BERTH_AGENT_S3_KEY_ID and BERTH_AGENT_S3_SECRET_KEY.",
    )
    add = parser.add_argument
    add("--endpoint", default=os.environ.get("AWS_ENDPOINT_URL"), help="URL of the Berth API")
    add("--cluster", default="default", help="the cluster to join (default: default)")
    add("--data", type=Path, required=True, help="the agent's own directory: identity, tasks, cursors")
    add("--docker-host", default="", help="the container engine's URL (default: as the docker CLI)")
    add("--attribute", action="append", default=[], metavar="NAME=VALUE", help="a custom attribute; repeatable")
    add("--cpu", type=int, default=0, help="CPU units (1/1024 vCPU) to offer (default: the machine's)")
    add("--memory", type=int, default=0, help="MiB to offer (default: the machine's)")
    add("--gpu", action="append", default=[], metavar="ID", help="a GPU to offer, or none; repeatable (default: found)")
    add("--resource", action="append", default=[], metavar="NAME=N", help="N of a resource to offer; repeatable")
    add("--capacity", default="", metavar="ID", help="the piece of capacity this agent serves")
    add("--cgroup-parent", default="", metavar="PATH", help="bound all containers together in this cgroup")
    add(
        "--image-pull-behavior",
        choices=[behavior.value for behavior in PullBehavior],
        default=PullBehavior.DEFAULT.value,
        help="when to pull an image that is here already (default: default, as the ECS agent)",
    )
    add("--image-cleanup", default="on", choices=("on", "off"), help="remove unused images that agents pulled here")
    add("--image-cleanup-interval", default="30m", metavar="TIME", help="between looks for old images (default: 30m)")
    add("--image-minimum-age", default="1h", metavar="TIME", help="how old an image to remove must be (default: 1h)")
    add("--image-cleanup-count", default="5", metavar="N", help="images removed at a look, at most (default: 5)")
    add("--image-disk-percent", default="85", metavar="N", help="disk use above which unused images go at once")
    add("--image-records", type=Path, metavar="FILE", help="what agents of this engine pulled (default: in --data)")
    add("--awsvpc-cidr", default=DEFAULT_CIDR, help=f"addresses for awsvpc tasks (default: {DEFAULT_CIDR})")
    add("--awsvpc-network", default=DEFAULT_NETWORK, metavar="NAME", help="the engine's network for awsvpc tasks")
    add("--reserved-ports", default=DEFAULT_RESERVED, help="host ports never to be used, with commas")
    add("--registry", default="", metavar="HOST:PORT", help="this Berth's registry (default: ask ECR)")
    add("--evict", action="store_true", help="remove what an ended agent of this data directory left running, and exit")
    add("--verbose", action="store_true", help="log more")
    return parser


def read_settings(options: argparse.Namespace, environment: Mapping[str, str]) -> AgentSettings:
    """Check everything that was said. Raises BadSettings."""
    if not _is_endpoint(options.endpoint or ""):
        raise BadSettings("AWS_ENDPOINT_URL: expected the URL of the Berth API, such as http://127.0.0.1:7070")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,255}", options.cluster):
        raise BadSettings(f"--cluster: {options.cluster!r} is not the name of a cluster")
    if options.cpu < 0 or options.memory < 0:
        raise BadSettings("--cpu and --memory: expected numbers of 0 or more")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", options.awsvpc_network):
        raise BadSettings(f"--awsvpc-network: {options.awsvpc_network!r} is not a name for a network")
    kept = _kept_credentials(options.data)
    keys = _keys(environment, kept)
    if keys is None and not (options.data / "host-key.json").exists():
        raise BadSettings("no credentials: set BERTH_JOIN_TOKEN, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    return AgentSettings(
        endpoint=options.endpoint,
        cluster=options.cluster,
        data=options.data,
        region=environment.get("AWS_DEFAULT_REGION")
        or environment.get("AWS_REGION")
        or kept.get("region", "us-east-1"),
        keys=keys,
        docker_host=options.docker_host,
        attributes=_attributes(options.attribute),
        cpu=options.cpu,
        memory=options.memory,
        gpus=_gpus(options.gpu),
        resources=_resources(options.resource),
        capacity=options.capacity,
        cgroup_parent=options.cgroup_parent,
        pull_behavior=PullBehavior(options.image_pull_behavior),
        clean_up=_clean_up(options),
        image_records=options.image_records,
        awsvpc_cidr=_cidr(options.awsvpc_cidr),
        awsvpc_network=options.awsvpc_network,
        reserved_ports=_ports(options.reserved_ports),
        registry=options.registry,
        ca_bundle=_ca_bundle(environment.get("AWS_CA_BUNDLE", "")),
        s3_endpoint=environment.get("AWS_ENDPOINT_URL_S3", ""),
        s3_keys=_s3_keys(environment),
        verbose=options.verbose,
    )


def _is_endpoint(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _ca_bundle(path: str) -> str:
    if not path:
        return ""
    try:
        ssl.create_default_context(cafile=path)
        return path
    except OSError as error:
        raise BadSettings(f"AWS_CA_BUNDLE: {path} holds no certificates: {error.strerror or error}") from error


def _clean_up(options: argparse.Namespace) -> CleanUp | None:
    """None where images stay: when told so, and where copies are preferred, as with the ECS agent."""
    rules = CleanUp(
        interval=_duration("--image-cleanup-interval", options.image_cleanup_interval, least=timedelta(minutes=1)),
        minimum_age=_duration("--image-minimum-age", options.image_minimum_age),
        most=_number("--image-cleanup-count", options.image_cleanup_count, 1, 1_000_000),
        disk_percent=_number("--image-disk-percent", options.image_disk_percent, 1, 100),
    )
    keeps = options.image_cleanup == "off" or options.image_pull_behavior == PullBehavior.PREFER_CACHED
    return None if keeps else rules


def _duration(option: str, text: str, *, least: timedelta = timedelta(0)) -> timedelta:
    """A length of time as ECS's agent writes it: ``1h30m``, ``45m``, ``90s``."""
    found = re.fullmatch(r"(?=.)(?:(\d{1,5})h)?(?:(\d{1,6})m)?(?:(\d{1,8})s)?", text)
    if not found:
        raise BadSettings(f"{option}: {text!r} is no length of time such as 30m or 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    length = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if length < least:
        raise BadSettings(f"{option}: must be {least.total_seconds():.0f}s or more")
    return length


def _number(option: str, text: str, least: int, most: int) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise BadSettings(f"{option}: expected a whole number from {least} to {most}")
    return int(text)


def _keys(environment: Mapping[str, str], kept: Mapping[str, str]) -> Keys | None:
    """What the agent may join with: a join token before all else."""
    if environment.get("BERTH_JOIN_TOKEN"):
        try:
            key_id, secret = read_token(environment["BERTH_JOIN_TOKEN"])
        except ValueError as error:
            raise BadSettings(f"BERTH_JOIN_TOKEN: {error}") from error
        return Keys(access_key=key_id, secret_key=secret)
    keys = Keys(
        access_key=environment.get("AWS_ACCESS_KEY_ID") or kept.get("access_key_id", ""),
        secret_key=environment.get("AWS_SECRET_ACCESS_KEY") or kept.get("secret_access_key", ""),
        session_token=environment.get("AWS_SESSION_TOKEN") or kept.get("session_token", ""),
    )
    return keys if keys.access_key and keys.secret_key else None


def _s3_keys(environment: Mapping[str, str]) -> Keys | None:
    """Keys of a store that does not know this Berth's roles; without them the execution role's are used."""
    access_key, secret_key = (environment.get(f"BERTH_AGENT_S3_{name}", "") for name in ("KEY_ID", "SECRET_KEY"))
    if not access_key and not secret_key:
        return None
    if not access_key or not secret_key:
        raise BadSettings("BERTH_AGENT_S3_KEY_ID and BERTH_AGENT_S3_SECRET_KEY go together")
    return Keys(access_key=access_key, secret_key=secret_key)


def _kept_credentials(data: Path) -> Mapping[str, str]:
    path = data / "credentials.json"
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise BadSettings(f"{path} can be read by others: chmod 600 {path}")
        kept = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise BadSettings(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise BadSettings(f"{path}: not JSON: {error}") from error
    if not isinstance(kept, dict):
        raise BadSettings(f"{path}: expected an object")
    return {str(name): str(value) for name, value in kept.items()}


def _attributes(given: Sequence[str]) -> dict[str, str]:
    attributes = {}
    for entry in given:
        name, _, value = entry.partition("=")
        if not re.fullmatch(r"[A-Za-z0-9_./\\-]{1,128}", name):
            raise BadSettings(f"--attribute: {entry!r} is not NAME=VALUE")
        attributes[name] = value
    return attributes


def _gpus(given: Sequence[str]) -> tuple[str, ...] | None:
    if given == ["none"]:
        return ()
    for gpu in given:
        if not is_gpu_id(gpu):
            raise BadSettings(f"--gpu: {gpu!r} is not the id of a GPU")
    return tuple(dict.fromkeys(given)) or None


def _resources(given: Sequence[str]) -> dict[str, int]:
    resources = {}
    for entry in given:
        name, _, amount = entry.partition("=")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_./:-]{0,254}", name) or not re.fullmatch(r"[0-9]{1,18}", amount):
            raise BadSettings(f"--resource: {entry!r} is not NAME=N with a whole number N")
        if name in STANDARD:
            raise BadSettings(f"--resource: {name} has an option of its own")
        if name in resources:
            raise BadSettings(f"--resource: {name} is given twice")
        resources[name] = int(amount)
    return resources


def _cidr(text: str) -> str:
    try:
        return str(IPv4Network(text))
    except ValueError as error:
        raise BadSettings(f"--awsvpc-cidr: {error}") from error


def _ports(text: str) -> tuple[int, ...]:
    try:
        ports = tuple(int(port) for port in text.split(",") if port.strip())
    except ValueError as error:
        raise BadSettings("--reserved-ports: expected numbers with commas between") from error
    if not all(0 < port <= 65535 for port in ports):
        raise BadSettings("--reserved-ports: expected numbers from 1 to 65535")
    return ports
