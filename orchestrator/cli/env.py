"""``berth env``: the shell lines that point AWS's tools at this Berth."""

import argparse
import shlex
from typing import Any

from orchestrator.cli.output import CommandFailed, Place, add_data, root_key, settings_of


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "env",
        help="print shell lines that point aws, boto3 and docker at this Berth",
        description='Print export lines for a shell: eval "$(berth env)". They hold the root secret: keep it so.',
    )
    add_data(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    place = Place(data=settings.data)
    card = place.read_card()
    if not place.is_up():
        raise CommandFailed(place.down)
    key_id, secret = root_key(settings)
    lines = {
        "AWS_ENDPOINT_URL": card["endpoint"],
        "AWS_ACCESS_KEY_ID": key_id,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": card["region"],
        "BERTH_REGISTRY": card["registry"],
    }
    if "ca_bundle" in card:
        lines["AWS_CA_BUNDLE"] = card["ca_bundle"]
    for name, value in lines.items():
        print(f"export {name}={shlex.quote(value)}")
    return 0
