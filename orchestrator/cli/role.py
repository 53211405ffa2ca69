"""``berth role``: what tasks may ask of Berth with the credentials of their role."""

import argparse
import re
from typing import Any

from rich.console import Console
from rich.table import Table

from orchestrator.cli.opening import opened
from orchestrator.cli.output import CommandFailed, add_command, settings_of

_NAME = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
_ACTION = re.compile(r"[A-Za-z0-9*?-]{1,64}:[A-Za-z0-9*?]{1,128}|\*", re.ASCII)


def add_parser(commands: Any) -> None:
    """Add ``role`` to the command."""
    parser = commands.add_parser(
        "role",
        help="what the containers of tasks may ask of Berth",
        description="Say what a role may do: the taskRoleArn or executionRoleArn of a task definition, by the last part"
        " of its name. A role of which nothing was said may read everything but the values of secrets, write logs and"
        " protect its task; as an execution role it may pull images, write logs and read secrets and parameters."
        " Whatever is said, an execution role reads only those that its task's definition names.",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    put = add_command(verbs, "put", run_put, help="say what a role may do, in place of what was said before")
    put.add_argument("name", help="the role's name, the last part of its ARN")
    put.add_argument(
        "--allow",
        nargs="+",
        action="extend",
        required=True,
        metavar="ACTION",
        help="an action such as ecs:RunTask or logs:*; repeatable",
    )
    add_command(verbs, "list", run_list, help="list what was said")
    remove = add_command(verbs, "remove", run_remove, help="let a role do what every role may")
    remove.add_argument("name")


def run_put(arguments: argparse.Namespace) -> int:
    from state.role_sessions import APPLICATION, EXECUTION, grant_role_sessions
    from state.roles import put_role
    from state.store import Session

    name, actions = arguments.name, tuple(dict.fromkeys(arguments.allow))
    if not _NAME.fullmatch(name):
        raise CommandFailed(f"{name!r} is not the name of a role: give the last part of its ARN")
    for action in actions:
        if not _ACTION.fullmatch(action):
            raise CommandFailed(f"{action!r} is not an action such as ecs:RunTask or logs:*")

    with opened(settings_of(arguments)) as parts:
        now = parts.clock.now()

        def write(session: Session) -> None:
            put_role(session, name, actions, now=now)
            grant_role_sessions(session, name, dict.fromkeys((APPLICATION, EXECUTION), actions))

        parts.store.transact(write)
    print(f"Role {name}: {', '.join(actions)}")
    return 0


def run_list(arguments: argparse.Namespace) -> int:
    from state.roles import list_roles

    with opened(settings_of(arguments)) as parts:
        rows = parts.store.read(
            lambda session: [(role.name, role.actions, role.put_at) for role in list_roles(session)]
        )
    table = Table("ROLE", "MAY", "SINCE", box=None, pad_edge=False)
    for name, actions, put_at in rows:
        table.add_row(name, " ".join(actions), f"{put_at:%Y-%m-%d}")
    Console().print(table if rows else "No roles: each may do what every role may. Say more with: berth role put NAME")
    return 0


def run_remove(arguments: argparse.Namespace) -> int:
    from orchestrator.role_actions import DEFAULTS
    from state.role_sessions import grant_role_sessions
    from state.roles import delete_role
    from state.store import Session

    def write(session: Session) -> bool:
        grant_role_sessions(session, arguments.name, DEFAULTS)
        return delete_role(session, arguments.name)

    with opened(settings_of(arguments)) as parts:
        if not parts.store.transact(write):
            raise CommandFailed(f"nothing was said of a role {arguments.name}")
    print(f"Role {arguments.name}: what every role may")
    return 0
