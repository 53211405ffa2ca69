"""``berth agent official``: what the official ECS agent needs to know to join, a key of its own included."""

import argparse
from typing import Any

from orchestrator.cli.opening import opened
from orchestrator.cli.output import Place, add_command, settings_of


def add_parser(verbs: Any) -> None:
    """Add the verb beneath ``berth agent``."""
    official = add_command(
        verbs,
        "official",
        run,
        help="make a key for a host of the official ECS agent, and print its configuration",
        description="Print lines for the official ECS agent's environment (ecs.config) that let it join a cluster. "
        "The key in them is good for one host: the one that registers with it first. Unused, it ends after an hour.",
    )
    official.add_argument("--cluster", metavar="NAME", default="default", help="cluster to join (default: default)")


def run(arguments: argparse.Namespace) -> int:
    from orchestrator.agents.joining import make_host_key
    from state.store import Session

    settings = settings_of(arguments)
    place = Place(data=settings.data)
    endpoint = place.read_card()["endpoint"] if place.card.exists() else settings.api_endpoint
    with opened(settings) as parts:

        def write(session: Session) -> tuple[str, str]:
            return make_host_key(session, parts.secrets, account=parts.settings.account, now=parts.clock.now())

        key_id, secret = parts.store.transact(write)
        region = parts.settings.region
    lines = {
        "ECS_BACKEND_HOST": endpoint,
        # Whatever else it asks AWS for, such as secrets, where its SDK heeds this.
        "AWS_ENDPOINT_URL": endpoint,
        "ECS_CLUSTER": arguments.cluster,
        "AWS_DEFAULT_REGION": region,
        "AWS_ACCESS_KEY_ID": key_id,
        "AWS_SECRET_ACCESS_KEY": secret,
        "ECS_AVAILABLE_LOGGING_DRIVERS": '["json-file","awslogs","none"]',
    }
    for name, value in lines.items():
        print(f"{name}={value}")
    return 0
