"""Layers made in memory: tar archives with what package managers keep."""

import gzip
import io
import sqlite3
import struct
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

DEBIAN = b'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n'
ALPINE = b'NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.19.1\nPRETTY_NAME="Alpine Linux v3.19"\n'
ROCKY = b'NAME="Rocky Linux"\nID="rocky"\nVERSION_ID="9.3"\nPRETTY_NAME="Rocky Linux 9.3"\n'


def layer(files: Mapping[str, bytes], *, compress: bool = True) -> bytes:
    """A layer with these files, in this order; a name that ends in a slash is a folder's."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, body in files.items():
            info = tarfile.TarInfo(name.rstrip("/"))
            info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return gzip.compress(out.getvalue(), mtime=0) if compress else out.getvalue()


def members(*infos: tarfile.TarInfo, form: int = tarfile.PAX_FORMAT) -> bytes:
    """An archive of entries without bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for info in infos:
            archive.addfile(info)
    return out.getvalue()


def dpkg(*packages: str, state: str = "install ok installed") -> bytes:
    """A status file of packages given as ``name=version`` or ``name=version<source``."""
    stanzas = []
    for package in packages:
        said, _, source = package.partition("<")
        name, _, version = said.partition("=")
        lines = [f"Package: {name}", f"Status: {state}", "Architecture: amd64", f"Version: {version}"]
        lines += [f"Source: {source}"] if source else []
        stanzas.append("\n".join([*lines, "Description: a package", " Version: 0 is not this one's", ""]))
    return "\n".join(stanzas).encode()


def apk(*packages: str) -> bytes:
    """An installed database of packages given as ``name=version`` or ``name=version<origin``."""
    stanzas = []
    for package in packages:
        said, _, origin = package.partition("<")
        name, _, version = said.partition("=")
        lines = ["C:Q1abc", f"P:{name}", f"V:{version}", "A:x86_64", "L:MIT", f"o:{origin or name}", "F:usr", "R:file"]
        stanzas.append("\n".join([*lines, ""]))
    return "\n".join(stanzas).encode()


def rpm_header(name: str, version: str, release: str, *, epoch: int | None = None, source: str = "") -> bytes:
    """One header as rpm keeps it."""
    texts = [(1000, name), (1001, version), (1002, release), (1014, "MIT"), (1022, "x86_64"), (1044, source)]
    index, data = b"", b""
    for tag, text in texts:
        index += struct.pack(">IIII", tag, 6, len(data), 1)
        data += text.encode() + b"\0"
    if epoch is not None:
        data += b"\0" * (-len(data) % 4)
        index += struct.pack(">IIII", 1003, 4, len(data), 1)
        data += struct.pack(">I", epoch)
    return struct.pack(">II", len(index) // 16, len(data)) + index + data


def rpmdb(*headers: bytes, schema: str | None = None) -> bytes:
    """A database of these headers."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rpmdb.sqlite"
        connection = sqlite3.connect(path)
        connection.execute(schema or "CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)")
        if schema is None:
            connection.executemany("INSERT INTO Packages (blob) VALUES (?)", [(header,) for header in headers])
        connection.commit()
        connection.close()
        return path.read_bytes()
