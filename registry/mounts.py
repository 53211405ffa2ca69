"""Mounting: showing a blob in one more repository without sending it, to those alone who may read it somewhere.

An account can choose to have none of it (``BLOB_MOUNTING``): then every repository's blobs are sent.
"""

from collections.abc import Sequence
from datetime import datetime

from kit.ids import Arns
from registry.policies import PULL_LAYER, Asker, may
from state.registry_account import get_registry_account
from state.store import Session

# How many of the repositories that hold a blob are asked about: beyond them the blob is uploaded, which is no harm.
MOST_ASKED = 100


def may_read(session: Session, asker: Asker, repositories: Sequence[str], *, arns: Arns, now: datetime) -> bool:
    """Whether the asker may read layers of at least one of the repositories that hold a blob, and mount them."""
    return (
        bool(repositories)
        and get_registry_account(session).blob_mounting == "ENABLED"
        and any(may(session, asker, PULL_LAYER, each, arns=arns, now=now) for each in repositories)
    )
