"""Java patterns in Python: the same language, and none that a hostile value can keep busy."""

import pytest

from kit.aws.model import load_model
from kit.aws.patterns import LONGEST_MATCHED, compile_pattern, matches

SERVICES = ("ecs", "ecr", "logs", "batch", "scheduler", "sts", "application-autoscaling", "iam", "events")


def patterns() -> list[tuple[str, int]]:
    found: dict[str, int] = {}
    for name in SERVICES:
        model = load_model(name)
        for shape_name in model.shape_names:
            traits = model.shape_for(shape_name).metadata
            if "pattern" in traits:
                longest = min(traits.get("max", LONGEST_MATCHED), LONGEST_MATCHED)
                found[traits["pattern"]] = max(longest, found.get(traits["pattern"], 0))
    return sorted(found.items())


@pytest.mark.parametrize(("pattern", "longest"), patterns())
def test_no_pattern_backtracks_without_bounds(pattern: str, longest: int) -> None:
    # An exponential pattern would keep this test busy for longer than the universe has been.
    compiled = compile_pattern(pattern)
    for unit in ("a", "-", "_", "/", ".", "a.", "a-", "a/", " ", ":", "arn:aws:", "0", "[0]", "a[1]", "%20", "é", "\n"):
        size = min(longest, 3000)
        for end in ("!", "\0", ""):
            matches(compiled, (unit * size)[: size - 1] + end)
            matches(compiled, "$." + (unit * size)[: size - 3] + end)


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (r"[\w-_]*", ["a-_b", ""], ["a b", "é"]),
        (r"[0-9a-zA-Z-_.]+", ["a-_.9"], ["a,b", "", "a\n"]),
        (r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)", ["Grüße 7", "日本 x_", ""], ["a#b", "a\n"]),
        (r"\p{Print}+", ["abc ~"], ["é", "\x01"]),
        (r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\r\n\t]*", ["a\t😀"], ["\x00"]),
        (r"[\u0009\u000A\u000D\u0020-\u007E\u0085\u00A0-\uD7FF\uE000-\uFFFD\u10000-\u10FFFF]+", ["😀"], ["\x00"]),
        (r"^[a-z0-9*](?:[._\-/a-z0-9*]?[a-z0-9*]+)*$", ["a", "*a.b/c", "a-b"], ["a..b", "-a", "a-", ""]),
        (
            r"(?!((^[ ]+.*)|(.*([\u0000-\u001f]|[\u007f-\u009f]|[:/|])+.*)|(.*[ ]+$))).+",
            ["a", "a b"],
            [" a", "a ", "a:b", "a/b", "a\nb", "", "a\u0085b"],
        ),
        (r"\d{12}", ["123456789012"], ["١٢٣٤٥٦٧٨٩٠١٢"]),
        (r"[^/]+", ["a b"], ["a/b"]),
    ],
)
def test_values_match_as_they_do_in_java(pattern: str, good: list[str], bad: list[str]) -> None:
    compiled = compile_pattern(pattern)
    assert [value for value in good if not matches(compiled, value)] == []
    assert [value for value in bad if matches(compiled, value)] == []


def test_a_value_beyond_the_bound_matches_nothing() -> None:
    assert not matches(compile_pattern(".*"), "a" * (LONGEST_MATCHED + 1))
