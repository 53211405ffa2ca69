"""Other scanners: Trivy or Grype from the PATH, given an image's bill of materials and asked for JSON.

Each runs as a process of its own with an argument list, a bounded time, a bounded answer and no credentials of this
process. Their databases, and keeping those fresh, are theirs.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from kit.clock import monotonic
from kit.settings import BadSetting
from registry.scanning.findings import Finding, Knowledge, worst_first
from registry.scanning.limits import MIB
from registry.scanning.packages import APK, DEB, NPM, PYPI, RPM
from registry.scanning.severities import best_cvss, severity_of_word

TIME_LIMIT = 600.0
_LARGEST_ANSWER = 256 * MIB
_LOOK_EVERY = 1.0
# What their own configuration and caches, and the way to their databases, are told by.
_PASSED_ON = ("PATH", "HOME", "TMPDIR", "XDG_CACHE_HOME", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE")
_PASSED_ON_PREFIXES = ("TRIVY_", "GRYPE_", "http_proxy", "https_proxy", "no_proxy")
_TYPES = {"debian": DEB, "ubuntu": DEB, "alpine": APK, "wolfi": APK, "python-pkg": PYPI, "python": PYPI}
_TYPES |= {"node-pkg": NPM, "npm": NPM, "deb": DEB, "apk": APK, "rpm": RPM}


class ScannerFailed(Exception):
    """The other scanner did not answer as it should; the message says how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanner:
    """Another scanner: how it is asked about the file of a bill of materials, and how its answer is read."""

    name: str
    arguments: Callable[[Path], Sequence[str]]
    read: Callable[[Any], list[Finding]]


def read_trivy(answer: Any) -> list[Finding]:
    """The findings of ``trivy --format json``."""
    found = []
    for result in answer.get("Results") or []:
        for each in result.get("Vulnerabilities") or []:
            vectors = [
                score.get(key) for score in (each.get("CVSS") or {}).values() for key in ("V3Vector", "V2Vector")
            ]
            found.append(
                _finding(
                    name=each["VulnerabilityID"],
                    word=each.get("Severity"),
                    package=each["PkgName"],
                    version=each["InstalledVersion"],
                    type=_TYPES.get(result.get("Type") or "", RPM if result.get("Class") == "os-pkgs" else "other"),
                    fixed=each.get("FixedVersion"),
                    description=each.get("Description") or each.get("Title"),
                    uri=each.get("PrimaryURL"),
                    vectors=vectors,
                    references=each.get("References"),
                )
            )
    return found


def read_grype(answer: Any) -> list[Finding]:
    """The findings of ``grype --output json``."""
    found = []
    for match in answer.get("matches") or []:
        told, package = match["vulnerability"], match["artifact"]
        fixes = (told.get("fix") or {}).get("versions") or []
        found.append(
            _finding(
                name=told["id"],
                word=told.get("severity"),
                package=package["name"],
                version=package["version"],
                type=_TYPES.get(package.get("type") or "", "other"),
                fixed=fixes[0] if fixes else None,
                description=told.get("description"),
                uri=told.get("dataSource"),
                vectors=[each.get("vector") for each in told.get("cvss") or []],
                references=told.get("urls"),
            )
        )
    return found


SCANNERS: Mapping[str, Scanner] = {
    "trivy": Scanner(
        name="trivy",
        arguments=lambda sbom: ["sbom", "--quiet", "--format", "json", "--scanners", "vuln", str(sbom)],
        read=read_trivy,
    ),
    "grype": Scanner(
        name="grype",
        arguments=lambda sbom: ["--quiet", "--output", "json", f"sbom:{sbom}"],
        read=read_grype,
    ),
}


def scanner_of(name: str) -> Scanner | None:
    """The scanner of that name, none for an empty one; raises BadSetting."""
    if name and name not in SCANNERS:
        raise BadSetting(f"BERTH_REGISTRY_SCANNER must be {', '.join(SCANNERS)} or nothing, not {name!r}")
    return SCANNERS.get(name)


def ask_scanner(
    scanner: Scanner,
    sbom: bytes,
    *,
    now: datetime,
    alive: Callable[[], None] = lambda: None,
    environ: Mapping[str, str] | None = None,
    time_limit: float = TIME_LIMIT,
) -> Knowledge:
    """What the scanner knows of the bill of materials. ``alive`` is called while it runs. Raises ScannerFailed."""
    environ = os.environ if environ is None else environ
    program = shutil.which(scanner.name, path=environ.get("PATH"))
    if program is None:
        raise ScannerFailed(f"{scanner.name} is not on the PATH of the registry")
    with tempfile.TemporaryDirectory(prefix="berth-scan-") as folder:
        file = Path(folder) / "sbom.cdx.json"
        file.write_bytes(sbom)
        answer = _run([program, *scanner.arguments(file)], folder, _passed_on(environ), alive, time_limit)
    try:
        findings = scanner.read(json.loads(answer))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ScannerFailed(f"{scanner.name} answered with something that is not understood") from error
    return Knowledge(findings=worst_first(findings), source=scanner.name, fresh_at=now)


def _run(
    command: Sequence[str], folder: str, environ: Mapping[str, str], alive: Callable[[], None], time_limit: float
) -> bytes:
    name = Path(command[0]).name
    with (Path(folder) / "errors").open("w+b") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=folder,
            env=dict(environ),
            # A group of its own, so that whatever it starts ends with it.
            start_new_session=True,
        )
        assert process.stdout is not None
        answer = _Answer(process.stdout)
        try:
            until = monotonic() + time_limit
            while answer.reader.is_alive():
                answer.reader.join(_LOOK_EVERY)
                alive()
                if monotonic() > until:
                    raise ScannerFailed(f"{name} took longer than {time_limit:.0f} seconds")
                if answer.size > _LARGEST_ANSWER:
                    raise ScannerFailed(f"{name} answered with more than {_LARGEST_ANSWER} bytes")
            try:
                code = process.wait(max(1.0, until - monotonic()))
            except subprocess.TimeoutExpired:
                raise ScannerFailed(f"{name} took longer than {time_limit:.0f} seconds") from None
        finally:
            _end(process)
            answer.reader.join(_LOOK_EVERY)
            if not answer.reader.is_alive():
                process.stdout.close()
        if answer.size > _LARGEST_ANSWER:
            raise ScannerFailed(f"{name} answered with more than {_LARGEST_ANSWER} bytes")
        if code != 0:
            errors.seek(0)
            said = errors.read(2000).decode("utf-8", "replace").strip()
            raise ScannerFailed(f"{name} ended with {code}: {said[-500:]}")
    return b"".join(answer.pieces)


class _Answer:
    """What a process writes, read by a thread so that the process can be watched, too."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.pieces: list[bytes] = []
        self.size = 0
        self._stream = stream
        self.reader = threading.Thread(target=self._read, name="scanner", daemon=True)
        self.reader.start()

    def _read(self) -> None:
        while self.size <= _LARGEST_ANSWER and (piece := os.read(self._stream.fileno(), 65536)):
            self.pieces.append(piece)
            self.size += len(piece)


def _end(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _passed_on(environ: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value for name, value in environ.items() if name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES)
    }


def _finding(
    *,
    name: str,
    word: Any,
    package: str,
    version: str,
    type: str,
    fixed: Any,
    description: Any,
    uri: Any,
    vectors: Sequence[Any],
    references: Any,
) -> Finding:
    cvss = best_cvss(vectors)
    for given in (name, package, version):
        if not isinstance(given, str) or not given:
            raise TypeError(f"{given!r} is no name")
    return Finding(
        name=_clean(name, 128),
        severity=severity_of_word(word) or "UNDEFINED",
        package=_clean(package, 300),
        version=_clean(version, 300),
        type=type,
        fixed=_clean(fixed, 300) or None,
        description=_clean(description, 4000),
        uri=_clean(uri, 1000),
        cvss={"version": cvss.version, "vector": cvss.vector, "score": cvss.score} if cvss else None,
        advisory=_clean(name, 128),
        references=[_clean(each, 1000) for each in references if each][:20] if isinstance(references, list) else (),
    )


def _clean(text: Any, longest: int) -> str:
    """A text without what no database takes."""
    if not isinstance(text, str):
        return ""
    return text[:longest].replace("\0", "").encode("utf-8", "replace").decode()
