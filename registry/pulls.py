"""Pulls: when an image was pulled last, as lifecycle policies and people want to know."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from state.images import get_image
from state.pull_exclusions import get_pull_exclusion

# How exact "last pulled" is: a pull by many at once must not be a queue of writers.
NOTED_EVERY = timedelta(hours=1)


def note_pull(session: Session, repository: str, digest: str, *, principal_arn: str, now: datetime) -> None:
    """Record that the image was pulled, unless the principal's pulls are not to be recorded."""
    if get_pull_exclusion(session, principal_arn) is not None:
        return
    image = get_image(session, repository, digest)
    if image is not None and (image.pulled_at is None or image.pulled_at < now):
        image.pulled_at = now
