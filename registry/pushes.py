"""After a push: what follows from an image or a tag having come, decided in the push's own transaction."""

from collections.abc import Sequence
from datetime import datetime

from registry.events import note_push
from registry.replication.enqueue import enqueue_push
from registry.scanning.rules import scan_pushed
from state.images import Image
from state.store import Session


def after_push(session: Session, image: Image, tags: Sequence[str], *, now: datetime, replicated: bool = False) -> None:
    """The image is new here, or ``tags`` were pointed to it. A push that changed nothing does not come here.

    ``replicated`` tells that another registry sent it, which ends the chain.
    """
    note_push(session, image.repository, image.digest, tags, now=now)
    scan_pushed(session, image, tags, now=now)
    if not replicated:
        enqueue_push(session, image.repository, image.digest, tags, now=now)
