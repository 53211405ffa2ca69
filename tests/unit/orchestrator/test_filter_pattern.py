"""Filter patterns: what they match, and that no pattern and no message can break the search."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.aws.errors import InvalidParameterException
from orchestrator.api.logs.filter_pattern import parse_pattern

DOCUMENT = json.dumps(
    {
        "level": "error",
        "status": 404,
        "ratio": 0.5,
        "user": {"id": 7, "first name": "Ada"},
        "tags": ["web-1", "db"],
        "ok": True,
        "bad": False,
        "none": None,
        "text": "12",
        "items": [{"n": 1}, {"n": 2}],
    }
)


@pytest.mark.parametrize(
    ("pattern", "message", "matches"),
    [
        ("", "anything", True),
        ("  ", "anything", True),
        ("ERROR", "[ERROR 400] BAD REQUEST", True),
        ("ERROR", "error", False),
        ("ERROR REQUEST", "[ERROR 400] BAD REQUEST", True),
        ("ERROR absent", "[ERROR 400] BAD REQUEST", False),
        ('"BAD REQUEST"', "[ERROR 400] BAD REQUEST", True),
        ('"REQUEST BAD"', "[ERROR 400] BAD REQUEST", False),
        (r'"a \"b\" c"', 'x a "b" c x', True),
        ("?ERROR ?WARN", "a WARN b", True),
        ("?ERROR ?WARN", "a INFO b", False),
        ('?"not found" ?WARN', "it was not found", True),
        ("ERROR -EXITING", "ERROR 1", True),
        ("ERROR -EXITING", "ERROR EXITING", False),
        ('-"GET /health"', "GET /health 200", False),
        ("-x", "abc", True),
    ],
)
def test_terms(pattern: str, message: str, matches: bool) -> None:
    assert parse_pattern(pattern)(message) is matches


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ('{ $.level = "error" }', True),
        ("{ $.level = error }", True),
        ('{ $.level = "err*" }', True),
        ('{ $.level = "*rr*r" }', True),
        ('{ $.level = "*x*" }', False),
        ('{ $.level != "error" }', False),
        ('{ $.level != "warn" }', True),
        ('{ $.absent != "warn" }', False),
        ("{ $.status = 404 }", True),
        ("{ $.status = 4.04e2 }", True),
        ("{ $.status != 404 }", False),
        ("{ $.status >= 400 && $.status < 500 }", True),
        ("{ $.status > 404 || $.ratio <= 0.5 }", True),
        ("{ $.ratio > 0.5 }", False),
        ("{ $.text = 12 }", False),
        ('{ $.text = "12" }', True),
        ("{ $.ok > 0 }", False),
        ("{ $.user.id = 7 }", True),
        ('{ $.user["first name"] = "Ada" }', True),
        ('{ $.tags[1] = "db" }', True),
        ('{ $.tags[9] = "db" }', False),
        ('{ $.tags[*] = "web*" }', True),
        ("{ $.items[*].n = 2 }", True),
        ("{ $.ok IS TRUE }", True),
        ("{ $.bad is false }", True),
        ("{ $.none IS NULL }", True),
        ("{ $.absent IS NULL }", False),
        ("{ $.absent NOT EXISTS }", True),
        ("{ $.none NOT EXISTS }", False),
        ("{ $.none EXISTS }", True),
        ("{ ($.user.id = 7 || $.user.id = 8) && ($.level = warn || $.ok IS TRUE) }", True),
        ("{ $.user.id = 8 && $.user.id = 8 || $.ok IS TRUE }", True),
        ("{$.user.id=7&&$.ok IS TRUE}", True),
    ],
)
def test_json(pattern: str, matches: bool) -> None:
    assert parse_pattern(pattern)(DOCUMENT) is matches


@pytest.mark.parametrize("message", ["", "plain", '"level"', "12", "{", "[" * 100_000, '{"level": ' + "9" * 5000 + "}"])
def test_a_message_that_is_no_json_object_never_matches_json(message: str) -> None:
    assert parse_pattern("{ $.level NOT EXISTS || $.level != 1 }")(message) is False


@pytest.mark.parametrize(
    "pattern",
    [
        "{",
        "{}",
        "{ $ = 1 }",
        "{ $.a }",
        "{ $.a = }",
        "{ $.a = 1",
        "{ $.a = 1 } x",
        "{ $.a IS MAYBE }",
        "{ $.a NOT }",
        "{ $.a > x }",
        "{ a = 1 }",
        "{ $.a = (1) }",
        "{ $.a = %x% }",
        "{ $.a && }",
        "{ " + "(" * 400 + "$.a = 1" + ")" * 400 + " }",
        '"open',
        'a"b"c',
        "%regex%",
        "[a, b]",
    ],
)
def test_a_pattern_that_cannot_be_read_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidParameterException):
        parse_pattern(pattern)


@given(st.text(alphabet='{}()$.[]*"\\=!<>&|?-% abIS1NUL', max_size=60), st.text(max_size=40))
def test_any_pattern_is_read_or_refused_and_then_matches_or_not(pattern: str, message: str) -> None:
    try:
        matches = parse_pattern(pattern)
    except InvalidParameterException:
        return
    assert matches(message) in (True, False)
    assert matches(DOCUMENT) in (True, False)
