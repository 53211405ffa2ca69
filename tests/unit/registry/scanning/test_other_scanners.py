"""Other scanners are run as processes that may do anything: small executables stand in for Trivy and Grype."""

import json
import stat
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kit.settings import BadSetting
from registry.scanning.findings import Knowledge
from registry.scanning.scanners import SCANNERS, ScannerFailed, ask_scanner, scanner_of

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SBOM = b'{"bomFormat":"CycloneDX","components":[{"name":"bash"}]}'
TRIVY = {
    "Results": [
        {
            "Class": "os-pkgs",
            "Type": "debian",
            "Vulnerabilities": [
                {
                    "VulnerabilityID": "CVE-2029-1",
                    "PkgName": "bash",
                    "InstalledVersion": "5.2.15-2",
                    "FixedVersion": "5.2.15-3",
                    "Severity": "HIGH",
                    "Title": "bash: trouble",
                    "PrimaryURL": "https://advisories.example/CVE-2029-1",
                    "CVSS": {"nvd": {"V3Vector": "CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H", "V3Score": 7.8}},
                },
                {
                    "VulnerabilityID": "CVE-2029-2",
                    "PkgName": "bash",
                    "InstalledVersion": "5.2.15-2",
                    "Severity": "UNKNOWN",
                },
            ],
        },
        {"Class": "lang-pkgs", "Type": "python-pkg", "Vulnerabilities": None},
    ]
}
GRYPE = {
    "matches": [
        {
            "vulnerability": {
                "id": "GHSA-1",
                "severity": "Critical",
                "dataSource": "https://advisories.example/GHSA-1",
                "fix": {"versions": ["2.0"], "state": "fixed"},
                "cvss": [{"version": "2.0", "vector": "AV:N/AC:L/Au:N/C:C/I:C/A:C"}],
            },
            "artifact": {"name": "left-pad", "version": "1.3.0", "type": "npm"},
        }
    ]
}


def ask(folder: Path, name: str, script: str, **given: Any) -> Knowledge:
    """Put a program of that name on the PATH and ask it."""
    program = folder / name
    program.write_text(f"#!/bin/sh\n{textwrap.dedent(script)}\n")
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    environ = {"PATH": f"{folder}:/usr/bin:/bin", "AWS_SECRET_ACCESS_KEY": "secret", "TRIVY_CACHE_DIR": "/cache"}
    return ask_scanner(SCANNERS[name], SBOM, now=NOW, environ=environ, **given)


def answer(folder: Path, document: Any) -> str:
    (folder / "answer").write_text(json.dumps(document))
    return f"cat '{folder}/answer'"


def test_trivy_is_asked_about_the_bill_of_materials(tmp_path: Path) -> None:
    said = tmp_path / "said"
    script = f"""
        for last; do :; done
        {{ echo "$@"; cat "$last"; env; }} > '{said}'
        {answer(tmp_path, TRIVY)}"""
    known = ask(tmp_path, "trivy", script)
    assert [(each.name, each.severity, each.package, each.version, each.fixed) for each in known.findings] == [
        ("CVE-2029-1", "HIGH", "bash", "5.2.15-2", "5.2.15-3"),
        ("CVE-2029-2", "UNDEFINED", "bash", "5.2.15-2", None),
    ]
    assert known.findings[0].cvss == {
        "version": 3,
        "vector": "CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H",
        "score": 7.8,
    }
    assert (known.source, known.fresh_at, known.told) == ("trivy", NOW, True)
    told = said.read_text()
    assert told.startswith("sbom --quiet --format json")
    assert SBOM.decode() in told
    assert "TRIVY_CACHE_DIR=/cache" in told
    assert "secret" not in told


def test_grype_is_asked_the_same(tmp_path: Path) -> None:
    (found,) = ask(tmp_path, "grype", answer(tmp_path, GRYPE)).findings
    assert (found.name, found.severity, found.type, found.fixed) == ("GHSA-1", "CRITICAL", "npm", "2.0")
    assert found.cvss == {"version": 2, "vector": "AV:N/AC:L/Au:N/C:C/I:C/A:C", "score": 10.0}


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo no database >&2; exit 3", "ended with 3: no database"),
        ("echo '{'", "not understood"),
        ("echo '[]'", "not understood"),
        ("""echo '{"Results": [{"Vulnerabilities": [{"VulnerabilityID": 7}]}]}'""", "not understood"),
        ("kill -9 $$", "ended with -9"),
    ],
)
def test_a_scanner_that_fails_is_told(tmp_path: Path, script: str, why: str) -> None:
    with pytest.raises(ScannerFailed, match=why):
        ask(tmp_path, "trivy", script)


def test_a_scanner_that_does_not_end_is_ended_with_what_it_started(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    held: list[None] = []
    with pytest.raises(ScannerFailed, match="longer than 0 seconds"):
        ask(
            tmp_path,
            "grype",
            f"sleep 600 & echo $! > '{mark}'; wait",
            time_limit=0.2,
            alive=lambda: held.append(None),
        )
    assert held
    stat_file = Path(f"/proc/{mark.read_text().strip()}/stat")
    # Gone, or dead and not yet collected by whoever is its parent now.
    assert not stat_file.exists() or stat_file.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_claim_that_is_lost_ends_the_scanner(tmp_path: Path) -> None:
    def lost() -> None:
        raise RuntimeError("lost")

    with pytest.raises(RuntimeError, match="lost"):
        ask(tmp_path, "grype", "sleep 600", alive=lost)


def test_a_scanner_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScannerFailed, match="trivy is not on the PATH"):
        ask_scanner(SCANNERS["trivy"], SBOM, now=NOW, environ={"PATH": str(tmp_path)})
    with pytest.raises(BadSetting, match="'clair'"):
        scanner_of("clair")
    assert scanner_of("") is None
