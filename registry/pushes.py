"""After a push: what follows from an image or a tag having come, decided in the push's own transaction."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from registry.events import note_push
from state.images import Image


def after_push(session: Session, image: Image, tags: Sequence[str], *, now: datetime) -> None:
    """The image is new here, or ``tags`` were pointed to it. A push that changed nothing does not come here."""
    note_push(session, image.repository, image.digest, tags, now=now)
