"""Stars in patterns: what they match, held against regular expressions, and that many of them stay quick."""

import itertools
import re

import pytest

from kit.wildcards import matches_pattern


@pytest.mark.parametrize("pattern", ["".join(each) for each in itertools.product("a*b", repeat=4)])
def test_a_pattern_matches_as_its_regular_expression_does(pattern: str) -> None:
    wanted = re.compile(".*".join(map(re.escape, pattern.split("*"))))
    for size in range(6):
        for letters in itertools.product("ab", repeat=size):
            text = "".join(letters)
            assert matches_pattern(pattern, text) is bool(wanted.fullmatch(text)), text


@pytest.mark.parametrize("pattern", ["[ab]", "a?", ".", "a.c", "!a"])
def test_nothing_but_the_star_is_special(pattern: str) -> None:
    assert matches_pattern(pattern, pattern)
    assert not any(matches_pattern(pattern, text) for text in ("a", "b", "ab", "abc"))


def test_many_stars_end() -> None:
    # A regular expression that tries every way would not, before the sun does.
    assert not matches_pattern("*a" * 100 + "*b", "a" * 5000)
