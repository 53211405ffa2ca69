"""A container's statistics in Docker's own form, made from the kernel's files in no time.

What the engine would tell besides, and nobody reads (its empty lists, the highest number of this and that), is left
out. Source: moby's ``api/types/container`` ``StatsResponse`` and ``daemon/stats``.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.runtime.cgroup_files import Place, content
from agent.runtime.cgroup_usage import cpu_ns_of, io_of, networks_of

NEVER = "0001-01-01T00:00:00Z"
# Of ``/proc/net/dev``: what of the eight received and the eight sent numbers Docker tells.
NETWORK = ("bytes", "packets", "errors", "dropped")
# Of a processor's line in ``/proc/stat``: user, nice, system, idle, iowait, irq, softirq.
SYSTEM_FIELDS = 7
SYSTEM = Path("/proc/stat")


def statistics_of(place: Place, container: str, now: datetime) -> Mapping[str, Any]:
    """Raises OSError, LookupError and ValueError where the files are not what they should be."""
    sample: dict[str, Any] = {
        "read": f"{now:%Y-%m-%dT%H:%M:%S.%f}000Z",
        "preread": NEVER,
        "id": container,
        "name": f"/{place.name}",
        "num_procs": 0,
        "storage_stats": {},
        "pids_stats": _pids(place),
        "cpu_stats": _cpu(place),
        "precpu_stats": {"cpu_usage": {"total_usage": 0}},
        "memory_stats": _memory(place),
        "blkio_stats": {f"{kind}_recursive": _io(place, kind) for kind in ("io_service_bytes", "io_serviced")},
    }
    if networks := networks_of(place):
        sample["networks"] = {
            name: {
                f"{way}_{what}": numbers[first + offset]
                for way, first in (("rx", 0), ("tx", 8))
                for offset, what in enumerate(NETWORK)
            }
            for name, numbers in networks.items()
        }
    return sample


def _cpu(place: Place) -> dict[str, Any]:
    throttling = _fields(place.content("cpu", "cpu.stat"))
    usage: dict[str, Any] = {"total_usage": cpu_ns_of(place)}
    if place.unified:
        usage |= {"usage_in_kernelmode": throttling.get("system_usec", 0) * 1000}
        usage |= {"usage_in_usermode": throttling.get("user_usec", 0) * 1000}
        throttled_ns = throttling.get("throttled_usec", 0) * 1000
    else:
        ticks = _fields(place.content("cpuacct", "cpuacct.stat"))
        usage |= {"usage_in_kernelmode": _ns(ticks.get("system", 0)), "usage_in_usermode": _ns(ticks.get("user", 0))}
        usage["percpu_usage"] = [int(one) for one in place.content("cpuacct", "cpuacct.usage_percpu").split()]
        throttled_ns = throttling.get("throttled_time", 0)
    whole = content(SYSTEM).split(b"\n", 1)[0].split()[1 : 1 + SYSTEM_FIELDS]
    return {
        "cpu_usage": usage,
        "system_cpu_usage": _ns(sum(int(ticks) for ticks in whole)),
        "online_cpus": os.sysconf("SC_NPROCESSORS_ONLN"),
        "throttling_data": {
            "periods": throttling.get("nr_periods", 0),
            "throttled_periods": throttling.get("nr_throttled", 0),
            "throttled_time": throttled_ns,
        },
    }


def _memory(place: Place) -> dict[str, Any]:
    in_use, limit = ("current", "max") if place.unified else ("usage_in_bytes", "limit_in_bytes")
    told = place.content("memory", f"memory.{limit}").strip()
    there_is = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    memory: dict[str, Any] = {
        "usage": int(place.content("memory", f"memory.{in_use}")),
        "stats": _fields(place.content("memory", "memory.stat")),
        "limit": there_is if told == b"max" else min(int(told), there_is),
    }
    if not place.unified:
        memory["max_usage"] = int(place.content("memory", "memory.max_usage_in_bytes"))
    return memory


def _pids(place: Place) -> dict[str, int]:
    # Not every machine counts them.
    with suppress(OSError, LookupError):
        return {"current": int(place.content("pids", "pids.current"))}
    return {}


def _io(place: Place, kind: str) -> list[dict[str, Any]]:
    found = []
    for device, op, value in io_of(place, kind):
        major, _, minor = device.partition(":")
        found.append({"major": int(major), "minor": int(minor), "op": op, "value": value})
    return found


def _fields(text: bytes) -> dict[str, int]:
    return {name.decode(): int(value) for name, value in (line.split() for line in text.splitlines())}


def _ns(ticks: int) -> int:
    """The kernel's ticks in nanoseconds."""
    return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
