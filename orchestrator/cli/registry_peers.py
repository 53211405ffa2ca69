"""``berth registry peers``: the other Berths that images can be replicated to."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from kit.settings import Settings
from orchestrator.cli.opening import opened
from orchestrator.cli.output import CommandFailed, add_command, settings_of

_VARIABLE = "BERTH_PEER_SECRET_ACCESS_KEY"


def add_parser(commands: Any) -> None:
    """Add ``peers`` beneath ``berth registry``."""
    parser = commands.add_parser(
        "peers",
        help="the other Berths that images can be replicated to",
        description="Name the Berths that ECR's replication rules may send images to, by region and account.",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    add = add_command(
        verbs,
        "add",
        run_add,
        help="name a Berth, or change how it is reached",
        description=f"The key's secret is read from {_VARIABLE}, or else from standard input. The key needs "
        "ecr:GetAuthorizationToken and ecr:ReplicateImage over there.",
    )
    add.add_argument("region", help="region that the rules call it by")
    add.add_argument("endpoint", help="URL of its API, such as https://berth.example:7070")
    add.add_argument("--account", metavar="ID", help="its account (default: this Berth's)")
    add.add_argument("--access-key-id", required=True, metavar="ID", help="access key for it")
    add.add_argument("--ca-file", type=Path, metavar="FILE", help="certificates to trust in place of the machine's")
    add_command(verbs, "list", run_list, help="list them")
    remove = add_command(verbs, "remove", run_remove, help="forget one; nothing is sent there any more")
    remove.add_argument("region")
    remove.add_argument("--account", metavar="ID", help="its account (default: this Berth's)")


def run_add(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    url = urlsplit(arguments.endpoint)
    if url.scheme not in ("http", "https") or not url.hostname or url.username is not None:
        raise CommandFailed(f"{arguments.endpoint!r} is not the URL of an API, such as https://berth.example:7070")
    account = _account(arguments, settings)
    if (arguments.region, account) == (settings.region, settings.account):
        raise CommandFailed("that is this Berth itself; another region or account tells the other one")
    authority = arguments.ca_file.read_text() if arguments.ca_file is not None else None
    if authority is not None and "BEGIN CERTIFICATE" not in authority:
        raise CommandFailed(f"{arguments.ca_file} holds no certificate in PEM")
    secret = os.environ.get(_VARIABLE) or sys.stdin.readline().strip()
    if not secret:
        raise CommandFailed(f"the secret access key is missing: give it in {_VARIABLE} or on standard input")
    from state.replications import ReplicationPeer

    with opened(settings) as parts:
        peer = {
            "region": arguments.region,
            "account": account,
            "endpoint": arguments.endpoint,
            "access_key_id": arguments.access_key_id,
            "secret": parts.secrets.encrypt(secret),
            "authority": authority,
            "added_at": parts.clock.now(),
        }

        def keep(session: Any) -> None:
            session.merge(ReplicationPeer(**peer))

        parts.store.transact(keep)
    print(f"Region {arguments.region}, account {account}: {arguments.endpoint}")
    return 0


def run_list(arguments: argparse.Namespace) -> int:
    from state.replications import list_peers

    with opened(settings_of(arguments)) as parts:
        rows = parts.store.read(
            lambda session: [
                (peer.region, peer.account, peer.endpoint, peer.access_key_id, "own" if peer.authority else "machine's")
                for peer in list_peers(session)
            ]
        )
    table = Table("REGION", "ACCOUNT", "ENDPOINT", "ACCESS KEY", "TRUST", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console().print(table if rows else "No peers. Name one with: berth registry peers add REGION ENDPOINT")
    return 0


def run_remove(arguments: argparse.Namespace) -> int:
    from state.replications import get_peer

    settings = settings_of(arguments)
    account = _account(arguments, settings)

    def forget(session: Any) -> bool:
        peer = get_peer(session, arguments.region, account)
        if peer is not None:
            session.delete(peer)
        return peer is not None

    with opened(settings) as parts:
        known = parts.store.transact(forget)
    if not known:
        raise CommandFailed(f"no peer is known for region {arguments.region} and account {account}")
    print(f"Region {arguments.region}, account {account}: forgotten")
    return 0


def _account(arguments: argparse.Namespace, settings: Settings) -> str:
    account = arguments.account or settings.account
    if not (account.isdigit() and len(account) == 12):
        raise CommandFailed(f"--account must be twelve digits, not {account!r}")
    return str(account)
