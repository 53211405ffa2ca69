"""``berth agent``: join one more host to a cluster."""

import argparse
import json
import os
import sys
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from kit.aws.joining import read_token
from kit.folders import private_folder
from kit.processes import find_processes, python_module
from kit.settings import agent_environment
from orchestrator.cli.agent_keys import add_parsers
from orchestrator.cli.output import CommandFailed, Place, add_data, settings_of
from orchestrator.cli.trust import is_engine_here, trust_registry
from scheduler.provisioners.local import network_of

# Options of the agent itself, handed on as they are.
FORWARDED = {
    "cpu": ("UNITS", "CPU units (1/1024 vCPU) to offer (default: the machine's)"),
    "memory": ("MIB", "memory to offer (default: the machine's)"),
    "reserved-ports": ("PORTS", "host ports never to be used, with commas"),
    "awsvpc-cidr": ("CIDR", "addresses for awsvpc tasks"),
    "image-pull-behavior": ("HOW", "when to pull an image that is here already: as ECS_IMAGE_PULL_BEHAVIOR"),
    "image-cleanup": ("ON|OFF", "whether to remove unused images that agents pulled here (default: on)"),
    "image-cleanup-interval": ("TIME", "between looks for old images (default: 30m)"),
    "image-minimum-age": ("TIME", "how old an image to remove must be (default: 1h)"),
    "image-cleanup-count": ("N", "images removed at a look, at most (default: 5)"),
    "image-disk-percent": ("N", "disk use above which unused images go at once (default: 85)"),
}


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "agent",
        help="join this machine's Docker Engine to a cluster",
        description="Run a host agent in the foreground. On the machine of 'berth up', --data names that Berth; "
        "elsewhere AWS_ENDPOINT_URL says which Berth to join, and BERTH_JOIN_TOKEN (from 'berth agent token') or an "
        "access key in the environment lets it. Once it has joined it has a key of its own.",
    )
    add_parsers(parser.add_subparsers(dest="verb", metavar="VERB", required=False))
    add_data(parser)
    parser.add_argument("--cluster", metavar="NAME", help="cluster to join")
    parser.add_argument("--docker-host", metavar="URL", help="Docker Engine to use (default: the local one)")
    parser.add_argument(
        "--attribute",
        action="append",
        default=[],
        metavar="K=V",
        help="attribute of the container instance; repeatable",
    )
    parser.add_argument(
        "--gpu", action="append", default=[], metavar="ID", help="GPU to offer, or none; repeatable (default: found)"
    )
    parser.add_argument(
        "--resource", action="append", default=[], metavar="NAME=N", help="N of a resource to offer; repeatable"
    )
    for option, (metavar, text) in FORWARDED.items():
        parser.add_argument(f"--{option}", metavar=metavar, help=text)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if not arguments.cluster:
        raise CommandFailed("which cluster is the host to join? Name it with --cluster NAME")
    settings = settings_of(arguments)
    place = Place(data=settings.data)
    key: dict[str, str] = {}
    if place.card.exists():
        card = place.read_card()
        endpoint, registry = card["endpoint"], card["registry"]
        try:
            key = json.loads(place.agent_key.read_text())
        except OSError as error:
            raise CommandFailed(f"cannot read the agents' key in {place.agent_key}: {error.strerror}") from error
        home = free_home(place.data / "agents", arguments.cluster)
    else:
        endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
        joined = (settings.data / "host-key.json").exists()
        if not endpoint or not (joined or os.environ.get("BERTH_JOIN_TOKEN") or os.environ.get("AWS_ACCESS_KEY_ID")):
            raise CommandFailed(
                f"no Berth lives in {settings.data}; name its data directory with --data, or set AWS_ENDPOINT_URL of "
                "the Berth to join, and BERTH_JOIN_TOKEN to what 'berth agent token' says there"
            )
        home, registry = settings.data, ""
    private_folder(home)
    bundle = key.get("AWS_CA_BUNDLE") or os.environ.get("AWS_CA_BUNDLE", "")
    if bundle and is_engine_here(arguments.docker_host or settings.docker_host):
        trust_registry(registry or _ask_registry(endpoint, settings.region), Path(bundle))
    command = [*python_module("agent"), "--data", str(home), "--endpoint", endpoint]
    command += ["--cluster", arguments.cluster]
    if place.card.exists():
        # Hosts on one engine share its network for awsvpc tasks with the local agent.
        command += ["--awsvpc-network", network_of(settings.data)]
    if arguments.docker_host or settings.docker_host:
        command += ["--docker-host", arguments.docker_host or settings.docker_host]
    for option in ("attribute", "gpu", "resource"):
        for value in getattr(arguments, option):
            command += [f"--{option}", value]
    for option in FORWARDED:
        value = getattr(arguments, option.replace("-", "_"))
        if value is not None:
            command += [f"--{option}", value]
    os.execve(sys.executable, command, agent_environment(os.environ, key))  # noqa: S606


def _ask_registry(endpoint: str, region: str) -> str:
    """The ``host:port`` of the Berth's registry; raises CommandFailed."""
    try:
        key: tuple[str, ...] = ()
        if os.environ.get("BERTH_JOIN_TOKEN"):
            key = read_token(os.environ["BERTH_JOIN_TOKEN"])
        client = Session().create_client(
            "ecr",
            region_name=region,
            endpoint_url=endpoint,
            aws_access_key_id=key[0] if key else None,
            aws_secret_access_key=key[1] if key else None,
        )
        found = client.get_authorization_token()["authorizationData"][0]["proxyEndpoint"]
    except (BotoCoreError, ClientError, OSError, ValueError) as error:
        raise CommandFailed(f"cannot ask {endpoint} for its registry: {error}") from error
    return str(urlsplit(found).netloc)


def free_home(parent: Path, cluster: str) -> Path:
    """The first folder ``1``, ``2``, … that no agent lives in and that none of another cluster has left.

    So a host that comes back to its cluster is itself again.
    """
    homes = (parent / str(number) for number in count(1))
    return next(home for home in homes if not find_processes(["--data", str(home)]) and _fits(home, cluster))


def _fits(home: Path, cluster: str) -> bool:
    try:
        kept = json.loads((home / "agent.json").read_text())
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False
    return isinstance(kept, dict) and kept.get("cluster") == cluster
