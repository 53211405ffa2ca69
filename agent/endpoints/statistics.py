"""Containers' statistics in Docker's own form, made once for all who ask within a second.

Nothing is made while nobody asks. The sample before makes ``precpu_stats`` and ``network_rate_stats``, so whoever asks
regularly can compute shares; the first answer has neither, as the first of Docker's own stream.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from agent.runtime import Runtime, RuntimeTrouble
from kit.clock import Clock

FRESH = timedelta(seconds=1)
# A sample before that is older than this says little of now.
USEFUL = timedelta(minutes=5)
MOST_KEPT = 256
TRAFFIC = ("networks", "network_rate_stats")


@dataclass(frozen=True, slots=True)
class _Sample:
    at: datetime
    document: Mapping[str, Any]


class Statistics:
    """Remembers the last two samples of each container that somebody asks for. Safe on any thread."""

    def __init__(self, *, runtime: Runtime, clock: Clock) -> None:
        self._runtime = runtime
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[str, _Sample] = {}

    def of(self, runtime_id: str) -> Mapping[str, Any] | None:
        """The container's newest sample; None when the engine has none."""
        now = self._clock.now()
        with self._lock:
            before = self._kept.get(runtime_id)
        if before is not None and now < before.at + FRESH:
            return before.document
        try:
            raw = self._runtime.statistics(runtime_id)
        except RuntimeTrouble:
            return None
        document = combine(raw, before.document if before and now - before.at < USEFUL else None, now, before)
        with self._lock:
            if len(self._kept) >= MOST_KEPT and runtime_id not in self._kept:
                self._kept = {name: kept for name, kept in self._kept.items() if now - kept.at < USEFUL}
                if len(self._kept) >= MOST_KEPT:
                    self._kept.clear()
            self._kept[runtime_id] = _Sample(now, document)
        return document


def combine(
    raw: Mapping[str, Any], before: Mapping[str, Any] | None, now: datetime, sample: _Sample | None
) -> Mapping[str, Any]:
    """A sample with what only the one before it can tell."""
    if before is None or sample is None:
        return dict(raw)
    seconds = (now - sample.at).total_seconds()
    combined = {**raw, "preread": before.get("read", ""), "precpu_stats": before.get("cpu_stats") or {}}
    if "networks" in raw and seconds > 0:
        combined["network_rate_stats"] = {
            f"{way}_bytes_per_sec": max(0, _bytes(raw, way) - _bytes(before, way)) / seconds for way in ("rx", "tx")
        }
    return combined


def share_of_traffic(owner: Mapping[str, Any], sharers: int) -> dict[str, Any]:
    """What of a namespace's traffic is told of each container in it; nothing where nothing is known."""
    networks = {
        name: {what: number // sharers for what, number in numbers.items()}
        for name, numbers in (owner.get("networks") or {}).items()
    }
    rates = {way: rate / sharers for way, rate in (owner.get("network_rate_stats") or {}).items()}
    return {name: shares for name, shares in zip(TRAFFIC, (networks, rates), strict=True) if shares}


def _bytes(document: Mapping[str, Any], way: str) -> int:
    return sum(int(network.get(f"{way}_bytes", 0)) for network in (document.get("networks") or {}).values())
