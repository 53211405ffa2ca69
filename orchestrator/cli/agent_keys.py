"""``berth agent token|official|keys|revoke``: who may join, which hosts have, and taking one of them out."""

import argparse
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console

from kit.aws.joining import write_token
from orchestrator.cli import official_agent
from orchestrator.cli.asking import SHORT, plain_table, short, short_cluster
from orchestrator.cli.exposure import is_loopback
from orchestrator.cli.opening import opened
from orchestrator.cli.output import CommandFailed, Place, add_command, settings_of

LONGEST_HOURS = 7 * 24


def add_parsers(verbs: Any) -> None:
    """Add the verbs beneath ``berth agent``."""
    token = add_command(
        verbs,
        "token",
        run_token,
        help="make a token with which one host can join, once",
        description="Print a join token. Whoever has it can join one host to a cluster, once, within its time.",
    )
    token.add_argument("--hours", type=int, default=1, metavar="N", help="how long it is good (default: 1)")
    official_agent.add_parser(verbs)
    add_command(verbs, "keys", run_keys, help="list the hosts that have a key")
    revoke = add_command(
        verbs,
        "revoke",
        run_revoke,
        help="end a host's key, and take the host out",
        description="End the key of a host's agent and deregister the host: its tasks count as ended, and services and "
        "jobs start theirs elsewhere. It can come back only with a new token. The part of a join token before the "
        "colon names the host that joined with it, or ends the token where none has.",
    )
    revoke.add_argument("host", help="the container instance (ARN, ID or its last digits), or the key's id")


def run_token(arguments: argparse.Namespace) -> int:
    from orchestrator.agents.joining import make_token

    if not 1 <= arguments.hours <= LONGEST_HOURS:
        raise CommandFailed(f"--hours: from 1 to {LONGEST_HOURS}")
    settings = settings_of(arguments)
    with opened(settings) as parts:
        life = timedelta(hours=arguments.hours)
        pair = parts.store.transact(
            lambda session: make_token(session, parts.secrets, parts.clock, account=parts.settings.account, life=life)
        )
    place = Place(data=settings.data)
    card = place.read_card() if place.card.exists() else {}
    endpoint = card.get("endpoint", settings.api_endpoint)
    print(write_token(*pair))
    hint = f"\nOn the host, within {arguments.hours} h (the token is good for one):\n"
    hint += f"  AWS_ENDPOINT_URL={endpoint} BERTH_JOIN_TOKEN=… berth agent --cluster default"
    if card.get("ca_bundle"):
        hint += f"\nand AWS_CA_BUNDLE=FILE, a copy of {card['ca_bundle']}"
    if is_loopback(urlsplit(endpoint).hostname or ""):
        hint += "\nOnly this machine reaches that address. For others, start Berth with BERTH_HOST and BERTH_ENDPOINT."
    Console(stderr=True, soft_wrap=True, highlight=False).print(hint)
    return 0


def run_keys(arguments: argparse.Namespace) -> int:
    from state.access_keys import list_host_keys
    from state.store import Session

    def read(session: Session) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = []
        for key, host in list_host_keys(session):
            told = (short(host.id), short_cluster(host.cluster), host.status) if host else ("-", "-", "not registered")
            rows.append((*told, key.id, f"{key.created_at:%Y-%m-%d %H:%M}"))
        return rows

    with opened(settings_of(arguments)) as parts:
        rows = parts.store.read(read)
    table = plain_table(None, "host", "cluster", "status", "key", "joined")
    # What is copied into another command is never cut.
    for column in (0, 3, 4):
        table.columns[column].no_wrap = True
    for row in rows:
        table.add_row(*row)
    Console().print(table if rows else "No host has a key of its own. Let one join with: berth agent token")
    return 0


def run_revoke(arguments: argparse.Namespace) -> int:
    from kit.ids import last_part
    from scheduler.leaving import take_out
    from state.access_keys import list_host_keys
    from state.clusters import lock_cluster
    from state.join_tokens import JoinToken, end_join_token
    from state.store import Session

    wanted = last_part(arguments.host)
    if not wanted:
        raise CommandFailed("which host? Name its container instance or its key; see: berth agent keys")

    with opened(settings_of(arguments)) as parts:

        def write(session: Session) -> str:
            pairs = list_host_keys(session)
            token = session.get(JoinToken, wanted)
            names = {wanted, token and token.host_key_id}
            ended = [pair for pair in pairs if names & {pair[0].id, pair[0].speaks_for}]
            # A screen shows hosts by the last digits of their ids.
            ended = ended or [
                pair for pair in pairs if len(wanted) >= SHORT and (pair[0].speaks_for or "").endswith(wanted)
            ]
            hosts = {host.id: host for _, host in ended if host is not None}
            if len(hosts) > 1:
                raise CommandFailed(f"{arguments.host} could be {', '.join(sorted(hosts))}: say which")
            for key, _ in ended:
                session.delete(key)
            # Keys before clusters, as whoever registers does.
            session.flush()
            for host in hosts.values():
                lock_cluster(session, host.cluster)
                take_out(session, host, now=parts.clock.now(), because="its key was revoked")
            if ended:
                return (
                    f"{', '.join(key.id for key, _ in ended)}: the host is out, and its agent is refused within seconds"
                )
            if end_join_token(session, wanted):
                return f"{wanted}: nobody can join with it any more"
            raise CommandFailed(f"no host has the key or the name {arguments.host!r}; see: berth agent keys")

        print(f"Revoked {parts.store.transact(write)}.")
    return 0
