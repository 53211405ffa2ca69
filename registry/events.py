"""Events: telling what happened to images, in the shape of EventBridge's ``ECR Image Action`` and ``ECR Image Scan``.

An event is written in the transaction of what it tells, so there is none of what did not happen.
Source: Amazon ECR user guide, "Amazon ECR events and EventBridge".
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from state.registry_events import append_registry_event

ACTION = "ECR Image Action"
SCAN = "ECR Image Scan"


def note_push(session: Session, repository: str, digest: str, tags: Sequence[str], *, now: datetime) -> None:
    """An image came, or tags of it: one event a tag, or one without."""
    for tag in tags or (None,):
        _note(session, ACTION, repository, digest, tag, {"action-type": "PUSH", "result": "SUCCESS"}, now)


def note_delete(session: Session, repository: str, digest: str, tag: str | None, *, now: datetime) -> None:
    """A tag was taken away or, without one, an image."""
    _note(session, ACTION, repository, digest, tag, {"action-type": "DELETE", "result": "SUCCESS"}, now)


def note_scan(
    session: Session,
    repository: str,
    digest: str,
    tags: Sequence[str],
    *,
    status: str,
    counts: Mapping[str, int],
    now: datetime,
) -> None:
    """A scan ended as ``status``, with that many findings of each severity."""
    detail = {
        "scan-status": status,
        "finding-severity-counts": dict(counts),
        "repository-name": repository,
        "image-digest": digest,
        "image-tags": list(tags),
    }
    append_registry_event(session, SCAN, repository, digest, detail, now=now)


def _note(
    session: Session,
    detail_type: str,
    repository: str,
    digest: str,
    tag: str | None,
    said: dict[str, Any],
    now: datetime,
) -> None:
    detail = {**said, "repository-name": repository, "image-digest": digest}
    if tag is not None:
        detail["image-tag"] = tag
    append_registry_event(session, detail_type, repository, digest, detail, now=now)
