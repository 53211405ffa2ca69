"""``berth registry keys``: the public keys that images' signatures are verified with."""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from orchestrator.cli.opening import opened
from orchestrator.cli.output import CommandFailed, add_command, settings_of


def add_parser(commands: Any) -> None:
    """Add ``keys`` beneath ``berth registry``."""
    parser = commands.add_parser(
        "keys",
        help="public keys that images' signatures are verified with",
        description="Name the public keys of signing profiles (a profile's name or ARN), as cosign makes them.",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    add = add_command(verbs, "add", run_add, help="trust a key for a profile, besides those it has")
    add.add_argument("profile", help="the signing profile's name, or its ARN")
    add.add_argument("file", type=Path, help="the public key, in PEM (cosign.pub)")
    add_command(verbs, "list", run_list, help="list them")
    remove = add_command(verbs, "remove", run_remove, help="trust a profile's keys no longer")
    remove.add_argument("profile")
    remove.add_argument("--fingerprint", metavar="HEX", help="only this key")


def run_add(arguments: argparse.Namespace) -> int:
    from registry.signing import BadKey, fingerprint, read_public_key
    from state.signing_keys import put_signing_key

    try:
        pem = arguments.file.read_text()
        key = read_public_key(pem)
    except (BadKey, UnicodeDecodeError) as error:
        raise CommandFailed(f"{arguments.file}: {error}") from error
    with opened(settings_of(arguments)) as parts:
        now = parts.clock.now()
        parts.store.transact(
            lambda session: put_signing_key(session, arguments.profile, fingerprint(key), pem, now=now)
        )
    print(f"Profile {arguments.profile}: {fingerprint(key)}")
    return 0


def run_list(arguments: argparse.Namespace) -> int:
    from state.signing_keys import list_signing_keys

    with opened(settings_of(arguments)) as parts:
        rows = parts.store.read(
            lambda session: [(key.profile, key.fingerprint, key.added_at) for key in list_signing_keys(session)]
        )
    table = Table("PROFILE", "FINGERPRINT", "ADDED", box=None, pad_edge=False)
    for profile, mark, added_at in rows:
        table.add_row(profile, mark, f"{added_at:%Y-%m-%d}")
    Console().print(table if rows else "No keys. Give one with: berth registry keys add PROFILE FILE")
    return 0


def run_remove(arguments: argparse.Namespace) -> int:
    from state.signing_keys import delete_signing_keys

    with opened(settings_of(arguments)) as parts:
        gone = parts.store.transact(
            lambda session: delete_signing_keys(session, arguments.profile, arguments.fingerprint)
        )
    if not gone:
        raise CommandFailed(f"no such key is known for the profile {arguments.profile}")
    print(f"Profile {arguments.profile}: {gone} key{'s' if gone > 1 else ''} forgotten")
    return 0
