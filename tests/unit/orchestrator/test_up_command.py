"""``berth up --detach``: up is what it started, and not whoever answers at its port."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from orchestrator.cli import main


class Healthy(BaseHTTPRequestHandler):
    """Another Berth, as far as its health is asked."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def taken_port() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Healthy)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_another_berth_at_the_port_is_not_taken_for_this_one(
    taken_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("BERTH_HOST", "BERTH_ENDPOINT", "BERTH_STORE_URL", "BERTH_TLS"):
        monkeypatch.delenv(name, raising=False)
    assert main(["up", "--detach", "--data", str(tmp_path / "data"), "--port", str(taken_port)]) == 1
    said = capsys.readouterr()
    assert f"the API cannot listen on 127.0.0.1:{taken_port}" in said.err
    assert "is up" not in said.out
