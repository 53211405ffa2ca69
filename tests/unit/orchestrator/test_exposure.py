"""Whoever opens Berth to a network is told what that means; whoever does not is left in peace."""

import pytest

from kit.settings import Settings
from orchestrator.cli.exposure import warn_if_exposed


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "berth.example"])
def test_listening_for_others_is_warned_of(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    warn_if_exposed(Settings(host=host))
    said = capsys.readouterr()
    assert f"BERTH_HOST={host} is open to the network, and what is served is plain HTTP" in said.err
    assert said.out == ""


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_listening_on_this_machine_is_not(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    warn_if_exposed(Settings(host=host))
    assert capsys.readouterr().err == ""
