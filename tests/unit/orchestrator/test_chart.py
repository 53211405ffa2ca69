"""Charts: blocks in a line, and pictures that a browser can show whatever the numbers and names are."""

from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest

from orchestrator.cli.chart import Point, draw, spark

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
SVG = "{http://www.w3.org/2000/svg}"


def points(*values: float | None) -> list[Point]:
    return [(START + timedelta(minutes=minute), value) for minute, value in enumerate(values)]


def test_blocks_rise_with_the_values_and_holes_stay_empty() -> None:
    assert spark([0, 1, 2, 4, None, 8]) == "▁▂▃▅ █"
    assert spark([0, 0]) == "▁▁"
    assert spark([50, 150], most=100) == "▅█"
    assert spark([]) == ""


def test_a_picture_has_a_line_for_each_stretch_that_is_known() -> None:
    picture = ElementTree.fromstring(draw("a <b> & c", [("CPU", "units", points(1, 2, None, 4, 8)), ("M", "MiB", [])]))

    assert picture.findall(f"{SVG}text")[0].text == "a <b> & c"
    lines = picture.findall(f"{SVG}polyline")
    assert [len((line.get("points") or "").split()) for line in lines] == [2, 2]
    heights = [float(point.split(",")[1]) for line in lines for point in (line.get("points") or "").split()]
    assert heights == sorted(heights, reverse=True), "greater values are higher up"
    assert "12:00" in "".join(text.text or "" for text in picture.findall(f"{SVG}text"))


@pytest.mark.parametrize("values", [(), (None,), (0,), (5,), (0, 0, 0), (1e12, 1e-9)])
def test_any_numbers_make_a_picture(values: tuple[float | None, ...]) -> None:
    ElementTree.fromstring(draw("x", [("CPU", "units", points(*values))]))
