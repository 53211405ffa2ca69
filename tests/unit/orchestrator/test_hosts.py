"""The agents' folders of a data directory: all of them, the one that takes the shared network away last."""

from pathlib import Path

from orchestrator.cli.hosts import homes
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
