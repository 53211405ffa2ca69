"""Regular expressions of the query language: Java's meaning, and never more time than the value is long."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.placement.query_automaton import MOST_VALUE, compile_pattern
from scheduler.placement.query_regex import BadPattern


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("g2.*", ["g2", "g2.8xlarge"], ["t2.g2", "g"]),
        ("a|bc|", ["a", "bc", ""], ["b", "abc"]),
        (r"\d{2,3}", ["12", "123"], ["1", "1234", "1a"]),
        (r"\w+\s\W", ["ab_9 -"], ["ab"]),
        ("[^a-c]x", ["dx"], ["ax", "x"]),
        ("[a\\-z-]+", ["-za"], ["b"]),
        (r"\p{Upper}\P{Digit}?", ["A", "Ab"], ["A1", "a"]),
        (r"\Qa.b*\E+", ["a.b*", "a.b**"], ["axb", "a.ba.b*"]),
        ("(?i)Us-[e]ast", ["us-EAST", "US-east"], ["us-west"]),
        ("^a$|b$c|^$", ["a", ""], ["bc", "b"]),
        (r"\Aab\z", ["ab"], ["abc"]),
        ("(a{0}b){2}", ["bb"], ["b", "ab"]),
        (r"\x41\u0042", ["AB"], ["ab"]),
        ("a.c", ["abc"], ["a\nc"]),
        ("a*?b??", ["aab", ""], ["abb"]),
    ],
)
def test_the_whole_value_matches_or_not(pattern, matching, other) -> None:
    matches = compile_pattern(pattern)
    assert [value for value in matching if not matches(value)] == []
    assert [value for value in other if matches(value)] == []


@pytest.mark.parametrize(
    ("pattern", "position"),
    [
        ("*a", 0),
        ("a)", 1),
        ("a(b", 1),
        ("[a", 0),
        ("[]", 0),
        ("[b-a]", 1),
        ("[a[b]]", 2),
        ("[a&&b]", 2),
        ("a{", 1),
        ("a{3,2}", 1),
        ("a{999}", 1),
        ("a++", 2),
        ("(?=a)", 0),
        (r"(a)\1", 3),
        (r"\p{Greek}", 0),
        (r"\xZZ", 0),
        ("a\\", 1),
        ("(" * 30 + ")" * 30, 20),
        ("a" * 513, 512),
        ("((a{100}){100}){100}", 0),
        ("((((){100}){100}){100}){100}", 0),
    ],
)
def test_what_cannot_be_matched_in_linear_time_or_read_is_refused(pattern, position) -> None:
    with pytest.raises(BadPattern) as caught:
        compile_pattern(pattern)
    assert caught.value.position == position


def test_patterns_that_ruin_backtracking_are_answered() -> None:
    for pattern in ("(a+)+b", "(a|aa)*b", "(.*)*.*b", "(a?){50}a{50}b"):
        assert not compile_pattern(pattern)("a" * 200)
    assert compile_pattern("(a+)+")("a" * MOST_VALUE)
    assert not compile_pattern("(a+)+")("a" * (MOST_VALUE + 1))


units = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\d", r"\.", "^", "$", "1"])
patterns = st.recursive(
    units,
    lambda inner: (
        st.lists(inner, max_size=4).map("".join)
        | st.tuples(inner, inner).map("|".join)
        | st.tuples(inner.map("(?:{})".format), st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{2,}"])).map("".join)
    ),
    max_leaves=6,
)


@settings(max_examples=400)
@given(pattern=patterns, value=st.text(alphabet="ab1.", max_size=6))
def test_it_agrees_with_pythons_regular_expressions(pattern, value) -> None:
    assert compile_pattern(pattern)(value) == bool(re.fullmatch(pattern, value))
