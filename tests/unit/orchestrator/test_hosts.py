"""The agents' folders of a data directory: all of them, the one that takes the shared network away last."""

from pathlib import Path

from agent.settings import build_parser
from kit.settings import Settings
from orchestrator.cli.hosts import agent_command, homes
from orchestrator.cli.output import Place


def test_every_agent_has_a_home_and_the_local_one_is_cleared_last(tmp_path: Path) -> None:
    place = Place(data=tmp_path)
    made = [place.capacities / "a", place.capacities / "b", tmp_path / "agents" / "1", place.agent]
    for home in reversed(made):
        home.mkdir(parents=True)
    (place.capacities / "note").touch()
    assert homes(place) == made


def test_a_directory_without_agents_has_no_homes(tmp_path: Path) -> None:
    assert homes(Place(data=tmp_path)) == []


def test_the_local_agent_offers_what_the_settings_name(tmp_path: Path) -> None:
    words = agent_command(tmp_path, Settings(data=tmp_path, gpus="GPU-1, GPU-0,", resources="licence=3,seat=1"))
    read = build_parser().parse_args([*words[words.index("--data") :], "--endpoint", "http://127.0.0.1:7070"])
    assert read.gpu == ["GPU-1", "GPU-0"]
    assert read.resource == ["licence=3", "seat=1"]
    plain = agent_command(tmp_path, Settings(data=tmp_path))
    assert not {"--gpu", "--resource"} & {*plain}
