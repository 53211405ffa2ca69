"""Buffers of bodies: shared by all uploads, and never kept by a client that is silent."""

import base64
import socket
from http.client import HTTPResponse
from pathlib import Path

import pytest

from orchestrator.cli.bounded_http import BoundedHttp
from registry.http import bodies
from tests.support.registry import RegistryClient, running_registry, sha256

SIZE = 6_000_000


def begin(oci: RegistryClient, data: bytes, sent: int) -> socket.socket:
    """An upload of which ``sent`` bytes are on their way."""
    path = oci.call("POST", "/v2/web/blobs/uploads/").headers["Location"]
    host, _, port = oci.address.partition(":")
    connection = socket.create_connection((host, int(port)), timeout=30)
    credentials = base64.b64encode(f"AWS:{oci.password}".encode()).decode()
    head = f"PUT {path}?digest={sha256(data)} HTTP/1.1\r\nHost: registry\r\nAuthorization: Basic {credentials}\r\n"
    connection.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data[:sent])
    return connection


@pytest.mark.parametrize("sent", [0, 1, 5_000_000])
def test_with_one_buffer_silent_clients_keep_nobody_from_uploading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: int
) -> None:
    monkeypatch.setattr(bodies, "BUFFERS", 1)
    with running_registry(tmp_path, http=BoundedHttp) as oci:
        oci.make_repository("web")
        layers = [bytes([number]) * SIZE for number in range(4)]
        silent = [(begin(oci, data, sent), data) for data in layers]
        quick = b"quick" * 1_000_000
        digest = oci.push_blob("web", quick)
        assert oci.call("GET", f"/v2/web/blobs/{digest}").content == quick
        for connection, data in silent:
            with connection:
                connection.sendall(data[sent:])
                answer = HTTPResponse(connection)
                answer.begin()
                assert answer.status == 201
            assert oci.call("GET", f"/v2/web/blobs/{sha256(data)}").content == data
