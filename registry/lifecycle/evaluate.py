"""Evaluating a policy: a pure function from images and rules to what becomes of each image.

All rules look at all images before anything happens. An image that meets a rule's tagging requirements is that
rule's, and no rule of a lower priority takes it; but it still counts where a lower rule counts images. So an image
is taken by one rule or by none. Source: Amazon ECR user guide, "Lifecycle policy evaluation rules".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from registry.lifecycle.policy import ARCHIVE, COUNT, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One image as the evaluator sees it."""

    digest: str
    tags: tuple[str, ...]
    storage_class: str
    pushed_at: datetime
    pulled_at: datetime | None = None
    archived_at: datetime | None = None
    activated_at: datetime | None = None
    # Part of a list of images that is here, or about an image that is here: it goes when that has gone.
    bound: bool = False
    # A running or waiting task, service or job refers to it.
    in_use: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What becomes of one image: EXPIRE or TRANSITION; with ``kept``, what would have, were it not in use."""

    image: Seen
    action: str
    priority: int
    kept: bool = False


def evaluate(rules: Sequence[Rule], images: Sequence[Seen], *, now: datetime) -> list[Fate]:
    """The fates of those images that have one, the oldest first. ``rules`` are sorted by priority."""
    ordered = sorted(images, key=lambda image: (image.pushed_at, image.digest))
    fated: list[Fate] = []
    owned: set[str] = set()
    for rule in rules:
        mine = [image for image in ordered if image.storage_class == rule.storage_class and rule.covers(image.tags)]
        fated += [
            Fate(image=image, action=rule.action, priority=rule.priority, kept=image.in_use)
            for image in _due(rule, mine, now)
            if image.digest not in owned and not image.bound
        ]
        owned.update(image.digest for image in mine)
    return sorted(fated, key=lambda fate: (fate.image.pushed_at, fate.image.digest))


def _due(rule: Rule, mine: Sequence[Seen], now: datetime) -> Sequence[Seen]:
    """Those that the rule's count finds among the images that meet its requirements, the oldest first."""
    if rule.count_type == COUNT:
        return mine[: max(0, len(mine) - rule.count)]
    # A count of days that leads before all time finds nothing.
    days = min(rule.count, (now - datetime.min.replace(tzinfo=now.tzinfo)).days)
    return [image for image in mine if _since(rule, image) <= now - timedelta(days=days)]


def _since(rule: Rule, image: Seen) -> datetime:
    """The instant from which the rule counts days."""
    if rule.count_type == "sinceImagePushed":
        return image.pushed_at
    if rule.count_type == "sinceImageTransitioned":
        return image.archived_at or image.pushed_at
    # Never pulled: since it came; back from the archive and not pulled yet: since it is back.
    return max(image.pulled_at or image.pushed_at, image.activated_at or image.pushed_at)


def storage_class_of(status: str) -> str:
    """The storage class of an image's status."""
    return ARCHIVE if status == "ARCHIVED" else "STANDARD"
