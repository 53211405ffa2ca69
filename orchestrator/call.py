"""The call: what a handler receives besides the request. It writes intent through ``session`` and nothing else."""

from dataclasses import dataclass, field
from datetime import datetime

from kit.aws.sigv4 import Caller
from kit.ids import Arns
from kit.secrets import SecretBox
from kit.settings import Settings
from scheduler.fleets import Fleets
from state.store import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One authenticated, authorised, decoded and validated call, inside one transaction.

    The transaction commits after the handler returns and rolls back when it raises; it may be run again after a
    conflict, so a handler keeps nothing of its own.
    """

    session: Session
    caller: Caller
    now: datetime
    request_id: str
    # For choices left to chance (strategy ``random``): the same seed, the same choice.
    seed: int
    arns: Arns
    settings: Settings
    secrets: SecretBox
    # Where the request came from, for policies that ask.
    source_ip: str | None = None
    secure: bool = False
    # The path it was sent to: ``/`` for most.
    path: str = "/"
    # What placement remembers of the hosts.
    fleets: Fleets = field(default_factory=Fleets)
