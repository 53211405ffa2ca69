"""``berth registry credentials``: user names and passwords for the upstreams of pull-through caches, kept sealed."""

import argparse
import os
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from kit.ids import Arns
from kit.settings import Settings
from orchestrator.cli.opening import opened
from orchestrator.cli.output import CommandFailed, add_command, settings_of

_VARIABLE = "BERTH_UPSTREAM_PASSWORD"


def add_parser(commands: Any) -> None:
    """Add ``credentials`` beneath ``berth registry``."""
    parser = commands.add_parser(
        "credentials",
        help="credentials for the upstreams of pull-through caches",
        description="Keep user names and passwords for other registries, sealed with the master key. Pull-through "
        "cache rules name them by the ARN that is printed (credentialArn).",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    put = add_command(
        verbs,
        "set",
        run_set,
        help="keep credentials, in place of those of the same name",
        description=f"The password, or access token, is read from {_VARIABLE}, or else from standard input.",
    )
    put.add_argument("name", help="what to call them here")
    put.add_argument("--username", required=True, help="user name at the upstream")
    add_command(verbs, "list", run_list, help="list their ARNs; no secrets are shown")
    remove = add_command(verbs, "remove", run_remove, help="forget credentials that no rule names")
    remove.add_argument("name", help="what they are called here")


def run_set(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    arn = _arn(arguments.name, settings)
    password = os.environ.get(_VARIABLE) or sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise CommandFailed(f"the password is missing: give it in {_VARIABLE} or on standard input")
    from registry.credentials import keep_login
    from registry.upstream import Login

    login = Login(username=arguments.username, password=password)
    with opened(settings) as parts:
        now = parts.clock.now()
        try:
            parts.store.transact(lambda session: keep_login(session, parts.secrets, arn, login, now=now))
        except ValueError as error:
            raise CommandFailed(str(error)) from error
    print(arn)
    return 0


def run_list(arguments: argparse.Namespace) -> int:
    from state.pull_through_rules import list_rules
    from state.upstream_credentials import list_credentials

    def look(session: Any) -> list[tuple[str, str, str]]:
        used: dict[str | None, list[str]] = {}
        for rule in list_rules(session):
            used.setdefault(rule.credential_arn, []).append(rule.prefix)
        return [
            (each.arn, f"{each.updated_at:%Y-%m-%d %H:%M:%S}", ", ".join(used.get(each.arn, ())))
            for each in list_credentials(session)
        ]

    with opened(settings_of(arguments)) as parts:
        rows = parts.store.read(look)
    table = Table("ARN", "SET", "RULES", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console(soft_wrap=True).print(table if rows else "No credentials. Keep some with: berth registry credentials set")
    return 0


def run_remove(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    arn = _arn(arguments.name, settings)
    from state.pull_through_rules import any_rule_uses
    from state.upstream_credentials import get_credential

    def forget(session: Any) -> tuple[bool, str | None]:
        kept, prefix = get_credential(session, arn), any_rule_uses(session, arn)
        if kept is not None and prefix is None:
            session.delete(kept)
        return kept is not None, prefix

    with opened(settings) as parts:
        known, prefix = parts.store.transact(forget)
    if not known:
        raise CommandFailed(f"there are no credentials {arn}")
    if prefix is not None:
        raise CommandFailed(f"the pull-through cache rule {prefix!r} uses them; give it others first")
    print(f"{arn}: forgotten")
    return 0


def _arn(name: str, settings: Settings) -> str:
    from registry.credentials import credential_arn

    try:
        return credential_arn(Arns(settings.account, settings.region), name)
    except ValueError as error:
        raise CommandFailed(f"{name!r}: {error}") from error
