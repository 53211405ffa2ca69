"""``berth registry osv``, on a data directory of its own."""

import json
from pathlib import Path

import pytest

from kit.settings import Settings
from orchestrator.app import build_parts
from orchestrator.cli import main
from registry.images import Push, put_image
from registry.manifests import read_manifest
from registry.scanning.rules import BASIC
from registry.uploads import Uploads
from state.repositories import Repository
from state.scans import ask_for_scan, list_findings
from tests.support.registry import OCI_MANIFEST, image_of, sha256
from tests.support.scanning import advisory, osv_zip, scan_all, scans_loop
from tests.unit.registry.scanning.archives import DEBIAN, dpkg, layer


def found(data: Path) -> list[str]:
    """Scan what waits, and answer what the image has."""
    parts = build_parts(Settings(data=data))
    try:
        scan_all(scans_loop(parts.store, parts.clock, parts.storage, data=data), parts.clock)
        digest = sha256(json.dumps(image_of(LAYER)).encode())
        return [row.name for row in parts.store.read(lambda session: list_findings(session, "web", digest))]
    finally:
        parts.store.close()


LAYER = layer({"etc/os-release": DEBIAN, "var/lib/dpkg/status": dpkg("bash=5")})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with one image in it that waits to be scanned."""
    data = tmp_path / "data"
    data.mkdir()
    parts = build_parts(Settings(data=data))
    now = parts.clock.now()
    parts.store.transact(lambda session: session.add(Repository(name="web", created_at=now)))
    uploads = Uploads(parts.store, parts.storage, clock=parts.clock, account=parts.settings.account)
    for blob in (b"{}", LAYER):
        incoming = uploads.write("web", uploads.begin("web"))
        incoming.write(blob)
        incoming.finish(sha256(blob))
        incoming.close()
    body = json.dumps(image_of(LAYER)).encode()
    push = Push(digest=sha256(body), body=body, manifest=read_manifest(body, OCI_MANIFEST), tags=["v1"])
    account = parts.settings.account
    parts.store.transact(lambda session: put_image(session, "web", push, account=account, now=now))
    parts.store.transact(lambda session: ask_for_scan(session, "web", push.digest, BASIC, now=now))
    parts.store.close()
    return data


def test_advisories_are_imported_listed_and_removed(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--data", str(data)]
    assert found(data) == []
    assert main(["registry", "osv", "list", *given]) == 0
    assert "berth registry osv import" in capsys.readouterr().out
    first = osv_zip(tmp_path / "first.zip", [advisory("CVE-2026-1", "bash", fixed="6")])
    assert main(["registry", "osv", "import", str(first), *given]) == 0
    assert "1 advisories about 1 packages" in capsys.readouterr().out
    assert found(data) == ["CVE-2026-1"]

    folder = tmp_path / "advisories"
    folder.mkdir()
    (folder / "one.json").write_text(json.dumps(advisory("CVE-2026-9", "bash", fixed="6")))
    (folder / "two.json").write_text("nonsense")
    assert main(["registry", "osv", "import", str(folder), *given]) == 0
    assert "two.json" in capsys.readouterr().out
    assert found(data) == ["CVE-2026-1"], "a scan that ended is repeated where that is asked for"
    assert main(["registry", "osv", "import", str(folder), "--rescan", *given]) == 0
    assert found(data) == ["CVE-2026-9"]
    capsys.readouterr()
    assert main(["registry", "osv", "list", *given]) == 0
    assert "2026-05-01" in capsys.readouterr().out

    assert main(["registry", "osv", "import", str(tmp_path / "none.zip"), *given]) == 1
    assert "none.zip" in capsys.readouterr().err
    assert main(["registry", "osv", "import", str(first), "--name", "../x", *given]) == 1
    assert main(["registry", "osv", "remove", "osv", *given]) == 0
    assert main(["registry", "osv", "remove", "osv", *given]) == 1
    assert "no advisories are in use" in capsys.readouterr().err
