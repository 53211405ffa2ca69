"""Mounting: showing a blob in one more repository without sending it, to those alone who may read it somewhere."""

from collections.abc import Sequence

from kit.aws.access import allows
from registry.access import Grant
from state.store import Session

READ = "ecr:GetDownloadUrlForLayer"
# How many of the repositories that hold a blob are asked about: beyond them the blob is uploaded, which is no harm.
MOST_ASKED = 100


def may_read(session: Session, grant: Grant, repositories: Sequence[str]) -> bool:
    """Whether the grant may read layers of at least one of the repositories that hold a blob."""
    return bool(repositories) and allows(grant.actions, READ)
