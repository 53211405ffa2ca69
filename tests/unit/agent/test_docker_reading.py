"""What the Docker Engine says of a container, and what may be made of it."""

from typing import Any

import pytest

from agent.runtime.docker_reading import maybe_out_of_memory


def seen(*, code: int = 137, killed: bool = False, memory: int = 64, status: str = "exited") -> dict[str, Any]:
    return {"State": {"Status": status, "ExitCode": code, "OOMKilled": killed}, "HostConfig": {"Memory": memory}}


def test_a_limited_container_that_was_killed_without_a_word_is_looked_at_again() -> None:
    assert maybe_out_of_memory(seen())


@pytest.mark.parametrize("known", [{"code": 1}, {"killed": True}, {"memory": 0}, {"status": "running"}])
def test_what_is_known_already_is_not(known: dict[str, Any]) -> None:
    assert not maybe_out_of_memory(seen(**known))
