"""Access to the cache: who may have images imported from an upstream, and when a tag is to be asked about again."""

from datetime import datetime

from kit.ids import Arns
from registry.policies import CREATE, IMPORT, Asker, refusal
from state.cached_tags import get_cached_tag
from state.images import Image
from state.repositories import get_repository
from state.store import Session


def import_refusal(session: Session, asker: Asker, name: str, *, arns: Arns, now: datetime) -> str | None:
    """Why who asks may not have images imported into the repository, and the repository made for it; None: they may."""
    needed = (IMPORT,) if get_repository(session, name) is not None else (IMPORT, CREATE)
    refusals = (refusal(session, asker, action, name, arns=arns, now=now) for action in needed)
    return next((each for each in refusals if each is not None), None)


def is_due(session: Session, image: Image, reference: str, *, now: datetime) -> bool:
    """Whether the upstream is to be asked again about a tag that the cache brought and nobody has pushed since."""
    if ":" in reference:
        return False
    row = get_cached_tag(session, image.repository, reference)
    return row is not None and row.digest == image.digest and row.due_at <= now
