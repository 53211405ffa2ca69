"""Scanning for tests: advisories as OSV has them, and a registry whose scans are stepped by hand."""

import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kit.clock import Clock
from kit.settings import Settings
from registry.loops.scans import ScansLoop
from registry.scanning.importing import Imported, import_osv
from registry.storage import Storage
from state.store import Store

CRITICAL = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
MEDIUM = "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N"


def advisory(
    id: str, package: str, *, fixed: str | None, ecosystem: str = "Debian:12", vector: str = CRITICAL, **members: Any
) -> dict[str, Any]:
    """An advisory about every version of a package before ``fixed``."""
    events = [{"introduced": "0"}, *([{"fixed": fixed}] if fixed else [])]
    affected = {"package": {"ecosystem": ecosystem, "name": package}}
    return {
        "id": id,
        "modified": "2026-05-01T10:00:00Z",
        "published": "2026-04-01T10:00:00Z",
        "summary": f"{package} does what it should not",
        "references": [{"type": "ADVISORY", "url": f"https://advisories.test/{id}"}],
        "severity": [{"type": "CVSS_V3", "score": vector}],
        "affected": [{**affected, "ranges": [{"type": "ECOSYSTEM", "events": events}]}],
        **members,
    }


def osv_zip(path: Path, advisories: Iterable[Mapping[str, Any]]) -> Path:
    """A file as osv.dev gives them out."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for each in advisories:
            archive.writestr(f"{each['id']}.json", json.dumps(each))
    return path


def import_advisories(
    store: Store, clock: Clock, folder: Path, *advisories: Mapping[str, Any], name: str = "osv"
) -> Imported:
    """Import these in the place of what was imported under the name before."""
    return import_osv(store, clock, [osv_zip(folder / f"{name}.zip", advisories)], name=name)


def scans_loop(store: Store, clock: Clock, storage: Storage, **given: Any) -> ScansLoop:
    """The loop as a process that has just come up has it; ``given`` beside settings are its own arguments."""
    own = {key: given.pop(key) for key in ("limits", "ask") if key in given}
    return ScansLoop(store, clock, storage=storage, settings=Settings(**given), **own)


def scan_all(loop: ScansLoop, clock: Clock) -> None:
    """Step until nothing is due now."""
    for _ in range(100):
        due = loop.step()
        if due is None or due > clock.now():
            return
    raise AssertionError("there is always more to scan")
