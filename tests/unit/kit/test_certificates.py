"""Certificates: kept while they are good, renewed in time, and trusted by whoever trusts the authority."""

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kit.certificates import RENEWED_BEFORE, SERVER_LASTS, Certificates, ensure_certificates

NOW = datetime.now(UTC).replace(microsecond=0)


def greet(files: Certificates, name: str, authority: Path) -> bytes:
    """What a server with the certificate says to a client that calls it by ``name`` and trusts ``authority``."""
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(files.server, files.key)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        raw, _ = listener.accept()
        try:
            with serving.wrap_socket(raw, server_side=True) as one:
                one.sendall(b"hello")
        except (ssl.SSLError, OSError):
            raw.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        trusting = ssl.create_default_context(cafile=authority)
        with (
            socket.create_connection(listener.getsockname(), timeout=10) as raw,
            trusting.wrap_socket(raw, server_hostname=name) as one,
        ):
            return one.recv(10)
    finally:
        thread.join(timeout=10)
        listener.close()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", "berth.example"])
def test_a_client_that_trusts_the_authority_trusts_the_server_by_every_name(tmp_path: Path, name: str) -> None:
    files = ensure_certificates(tmp_path / "tls", ["localhost", "127.0.0.1", "::1", "berth.example"], now=NOW)
    assert greet(files, name, files.authority) == b"hello"


def test_another_name_and_another_authority_are_refused(tmp_path: Path) -> None:
    files = ensure_certificates(tmp_path / "tls", ["localhost"], now=NOW)
    other = ensure_certificates(tmp_path / "other", ["localhost"], now=NOW)
    with pytest.raises(ssl.SSLCertVerificationError):
        greet(files, "elsewhere.example", files.authority)
    with pytest.raises(ssl.SSLCertVerificationError):
        greet(files, "localhost", other.authority)


def test_what_is_good_is_kept(tmp_path: Path) -> None:
    files = ensure_certificates(tmp_path / "tls", ["localhost"], now=NOW)
    before = [path.read_bytes() for path in (files.authority, files.server, files.key)]
    ensure_certificates(tmp_path / "tls", ["localhost"], now=NOW + timedelta(days=300))
    assert [path.read_bytes() for path in (files.authority, files.server, files.key)] == before


def test_a_certificate_that_ends_soon_is_renewed_under_the_same_authority(tmp_path: Path) -> None:
    files = ensure_certificates(tmp_path / "tls", ["localhost"], now=NOW - SERVER_LASTS + RENEWED_BEFORE / 2)
    authority, server = files.authority.read_bytes(), files.server.read_bytes()
    ensure_certificates(tmp_path / "tls", ["localhost"], now=NOW)
    assert files.authority.read_bytes() == authority
    assert files.server.read_bytes() != server
    assert greet(files, "localhost", files.authority) == b"hello"


def test_a_new_name_is_added_and_the_old_ones_stay(tmp_path: Path) -> None:
    ensure_certificates(tmp_path / "tls", ["localhost"], now=NOW)
    files = ensure_certificates(tmp_path / "tls", ["berth.example"], now=NOW)
    for name in ("localhost", "berth.example"):
        assert greet(files, name, files.authority) == b"hello"


@pytest.mark.parametrize("broken", ["ca.pem", "ca.key", "server.pem", "server.key"])
@pytest.mark.parametrize("damage", ["gone", "nonsense"])
def test_a_half_written_pair_is_made_again(tmp_path: Path, broken: str, damage: str) -> None:
    files = ensure_certificates(tmp_path / "tls", ["localhost"], now=NOW)
    path = tmp_path / "tls" / broken
    path.unlink() if damage == "gone" else path.write_text("nonsense")
    files = ensure_certificates(tmp_path / "tls", ["localhost"], now=NOW)
    assert greet(files, "localhost", files.authority) == b"hello"


def test_only_the_owner_reads_the_keys(tmp_path: Path) -> None:
    ensure_certificates(tmp_path / "tls", ["localhost"], now=NOW)
    assert (tmp_path / "tls").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "tls").iterdir()} == {0o600}
