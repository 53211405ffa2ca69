"""What commands share: where Berth lives, how to reach it, and how failures are told."""

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.processes import is_locked
from kit.settings import Settings, read_settings

DATA_HELP = "Berth's data directory (default: $BERTH_DATA, else ~/.berth)"


class CommandFailed(Exception):
    """The command cannot be done; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The files of one data directory."""

    data: Path

    @property
    def lock(self) -> Path:
        return self.data / "berth.lock"

    @property
    def card(self) -> Path:
        """What a running Berth says of itself: pid, endpoint, registry."""
        return self.data / "berth.json"

    @property
    def agent_key(self) -> Path:
        """The environment of agents: a key that may do an agent's work and nothing else."""
        return self.data / "agent-credentials"

    @property
    def agent(self) -> Path:
        return self.data / "agent"

    @property
    def capacities(self) -> Path:
        return self.data / "capacities"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def down(self) -> str:
        """What is said of a Berth that has been up and is not any more."""
        return f"Berth in {self.data} is down; start it with: berth up --data {self.data}"

    def is_up(self) -> bool:
        return is_locked(self.lock)

    def read_card(self) -> dict[str, Any]:
        """Raises CommandFailed when no Berth has ever been up here."""
        try:
            card: dict[str, Any] = json.loads(self.card.read_text())
        except (FileNotFoundError, ValueError):
            raise CommandFailed(f"no Berth is up in {self.data}; start one with: berth up --data {self.data}") from None
        return card


def add_data(parser: argparse.ArgumentParser) -> None:
    # Absent where it is not given, so that a subcommand does not undo what was given before it.
    parser.add_argument("--data", type=Path, metavar="DIR", default=argparse.SUPPRESS, help=DATA_HELP)


def add_command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int], **texts: str
) -> argparse.ArgumentParser:
    """A command of its own beneath ``commands``, which knows ``--data``; ``texts`` are its ``help`` and the like."""
    parser: argparse.ArgumentParser = commands.add_parser(name, **texts)
    add_data(parser)
    parser.set_defaults(run=run)
    return parser


def settings_of(arguments: argparse.Namespace, **given: Any) -> Settings:
    """The settings of this command: its flags, else the environment, else the defaults."""
    return read_settings(os.environ, data=getattr(arguments, "data", None), **given)


def root_key(settings: Settings) -> tuple[str, str]:
    """The root access key, from the settings or from the data directory."""
    if settings.root_access_key_id:
        return settings.root_access_key_id, settings.root_secret_access_key
    path = settings.data / "root-credentials"
    try:
        kept = json.loads(path.read_text())
    except (FileNotFoundError, PermissionError) as error:
        raise CommandFailed(f"cannot read the root key in {path}: {error.strerror}") from error
    return kept["AccessKeyId"], kept["SecretAccessKey"]
