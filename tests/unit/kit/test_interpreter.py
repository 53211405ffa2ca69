"""The interpreter is shared out in short turns."""

import sys
from collections.abc import Iterator

import pytest

from kit.interpreter import share_interpreter


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    length = sys.getswitchinterval()
    yield
    sys.setswitchinterval(length)


def test_a_thread_that_computes_makes_way_sooner_than_python_has_it() -> None:
    sys.setswitchinterval(0.005)
    share_interpreter()
    assert sys.getswitchinterval() < 0.002
