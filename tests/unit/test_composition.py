"""docker-compose.yml: its secrets are all made by .ci/secrets, and its agent has none but its own key."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()


def test_every_secret_it_needs_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "env"
    subprocess.run([ROOT / ".ci/secrets", file], check=True, capture_output=True)
    made = dict(line.split("=", 1) for line in file.read_text().splitlines())

    assert set(re.findall(r"\$\{(\w+):\?", COMPOSE)) == made.keys()
    assert all(len(value) >= 20 for value in made.values())
    assert len(set(made.values())) == len(made)
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_agent_has_no_secret_but_its_own_key() -> None:
    (agent,) = re.findall(r"^  agent:\n((?:    .*\n)+)", COMPOSE, re.MULTILINE)
    assert set(re.findall(r"\$\{(\w+):\?", agent)) == {"BERTH_AGENT_ACCESS_KEY_ID", "BERTH_AGENT_SECRET_ACCESS_KEY"}
    assert "*settings" not in agent


def test_no_port_is_open_to_the_network_unless_asked_for() -> None:
    ports = re.findall(r"ports: \[(.*)\]", COMPOSE)
    assert len(ports) == 2
    assert all(port.startswith('"${BERTH_BIND:-127.0.0.1}:') for port in ports)
