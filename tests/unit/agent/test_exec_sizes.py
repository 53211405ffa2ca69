"""The sizes that a session's client tells of its terminal: whatever it sends, the command gets sizes or nothing."""

import json

import pytest

from agent.exec.sessions import LARGEST_SIDE, _resize
from agent.runtime.simulated_streams import Echo


def told(text: str) -> tuple[int, int]:
    terminal = Echo(b"")
    _resize(terminal, text)
    return terminal.size


def test_a_size_is_handed_on() -> None:
    assert told('{"cols": 80, "rows": 24}') == (80, 24)
    assert told(json.dumps({"cols": LARGEST_SIDE, "rows": 1})) == (LARGEST_SIDE, 1)


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "7", "null", '{"cols": 80}', '{"cols": "80", "rows": "24"}', '{"cols": 1e999, "rows": 1}'),
        *('{"cols": NaN, "rows": 1}', '{"cols": 0, "rows": 1}', '{"cols": 80, "rows": -24}', "[" * 100_000),
        json.dumps({"cols": LARGEST_SIDE + 1, "rows": 1}),
    ],
)
def test_what_is_no_size_changes_nothing(text: str) -> None:
    assert told(text) == (0, 0)
