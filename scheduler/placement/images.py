"""Images that hosts have: told from outside, by a name that asks carry; no host is refused for want of one.

What is told is a guess: an image may be gone again, or be on other hosts too. So it settles ties and nothing else.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from scheduler.placement.arrays import Mask

MOST_IMAGES = 256


class Images:
    """Masks of hosts by the image's name; those told longest ago are let go."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._masks: dict[str, Mask] = {}

    def tell(self, image: str, slots: Iterable[int]) -> None:
        """The hosts in these slots have the image, and as far as is known no others."""
        mask = np.zeros(self._size, dtype=np.bool_)
        mask[list(slots)] = True
        self._masks.pop(image, None)
        if not mask.any():
            return
        if len(self._masks) >= MOST_IMAGES:
            del self._masks[next(iter(self._masks))]
        self._masks[image] = mask

    def on(self, image: str) -> Mask | None:
        """Who has the image; None when nobody is known to."""
        return self._masks.get(image) if image else None

    def emptied(self, slot: int) -> None:
        """The slot's host is gone."""
        for mask in self._masks.values():
            mask[slot] = False

    def grow(self, size: int) -> None:
        """Make room for more slots."""
        more = np.zeros(size - self._size, dtype=np.bool_)
        self._masks = {image: np.concatenate((mask, more)) for image, mask in self._masks.items()}
        self._size = size


def slots_of(hosts: Iterable[str], slots: Mapping[str, int]) -> Iterable[int]:
    """The slots of those hosts that are known."""
    return (slots[host] for host in hosts if host in slots)
