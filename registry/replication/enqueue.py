"""What is to be sent: written with the push that asks for it, or for all that is there with a backfill."""

from collections.abc import Sequence
from datetime import datetime

from registry.replication.rules import Destination, destinations_of
from state.replications import (
    ReplicationBackfill,
    add_replications,
    forget_replications,
    get_replication_configuration,
    images_with_tags,
)
from state.store import Session

LOOP = "replications"
# Images of a backfill that are looked at together.
_PAGE = 1000


def enqueue_push(session: Session, repository: str, digest: str, tags: Sequence[str], *, now: datetime) -> None:
    """Send a pushed image wherever the rules of this moment want it; a later change of the rules sends nothing more."""
    configuration = get_replication_configuration(session)
    destinations = destinations_of(configuration.rules, repository) if configuration is not None else []
    if not destinations:
        return
    names: Sequence[str | None] = list(tags) or [None]
    forget_replications(session, repository, digest, names)
    rows = [_row(repository, digest, name, to, None) for to in destinations for name in names]
    add_replications(session, rows, now=now)
    session.wake(LOOP)


def enqueue_backfill(session: Session, backfill: ReplicationBackfill, *, now: datetime) -> int:
    """Send every image that the rules would send to the backfill's destination; say how many, tag by tag."""
    configuration = get_replication_configuration(session)
    rules = configuration.rules if configuration is not None else []
    to = Destination(region=backfill.region, account=backfill.account)
    wanted: dict[str, bool] = {}
    total, after = 0, None
    while page := images_with_tags(session, after=after, limit=_PAGE):
        after = (page[-1][0], page[-1][1])
        for repository, _, _ in page:
            if repository not in wanted:
                wanted[repository] = to in destinations_of(rules, repository)
        rows = [_row(*each, to, backfill.id) for each in page if wanted[each[0]]]
        add_replications(session, rows, now=now)
        total += len(rows)
    return total


def _row(repository: str, digest: str, tag: str | None, to: Destination, backfill: str | None) -> dict[str, str | None]:
    return {
        "repository": repository,
        "digest": digest,
        "tag": tag,
        "region": to.region,
        "account": to.account,
        "backfill": backfill,
    }
