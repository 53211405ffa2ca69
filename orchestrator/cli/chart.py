"""Charts of usage over time: a line of blocks for a table's cell, and a picture in SVG."""

from collections.abc import Sequence
from datetime import datetime
from html import escape

BLOCKS = "▁▂▃▄▅▆▇█"
WIDTH, HEIGHT, MARGIN = 800, 240, 46
COLOURS = ("#2563eb", "#dc2626")

# An instant and a value, None where nothing is known.
Point = tuple[datetime, float | None]


def spark(values: Sequence[float | None], *, most: float | None = None) -> str:
    """The values as blocks; ``most`` is what fills a block, the greatest value where it is not given."""
    top = most or max((value for value in values if value is not None), default=0) or 1
    return "".join(
        " " if value is None else BLOCKS[min(len(BLOCKS) - 1, int(value / top * len(BLOCKS)))] for value in values
    )


def draw(title: str, panels: Sequence[tuple[str, str, Sequence[Point]]]) -> str:
    """One panel beneath the other, each with its name, its unit and its points, on one axis of time."""
    height = len(panels) * HEIGHT + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{MARGIN}" y="22" font-size="15" font-weight="bold">{escape(title)}</text>',
    ]
    for number, (name, unit, points) in enumerate(panels):
        parts += _panel(name, unit, points, MARGIN + number * HEIGHT, COLOURS[number % len(COLOURS)])
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(name: str, unit: str, points: Sequence[Point], top: float, colour: str) -> list[str]:
    left, right, bottom = MARGIN + 24, WIDTH - 16, top + HEIGHT - 44
    known = [value for _, value in points if value is not None]
    most = max(known, default=0) or 1
    times = [at.timestamp() for at, _ in points]
    first, length = (times[0], (times[-1] - times[0]) or 1) if times else (0, 1)
    parts = [f'<text x="{MARGIN}" y="{top + 2:.0f}">{escape(name)} ({escape(unit)})</text>']
    for share in (0, 0.5, 1):
        y = bottom - share * (bottom - top - 12)
        parts.append(f'<line x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{share * most:.3g}</text>')
    for line in _lines(points):
        path = " ".join(
            f"{left + (at.timestamp() - first) / length * (right - left):.1f},"
            f"{bottom - value / most * (bottom - top - 12):.1f}"
            for at, value in line
        )
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    if points:
        parts.append(f'<text x="{left}" y="{bottom + 18}">{points[0][0]:%m-%d %H:%M}</text>')
        parts.append(f'<text x="{right}" y="{bottom + 18}" text-anchor="end">{points[-1][0]:%m-%d %H:%M} UTC</text>')
    return parts


def _lines(points: Sequence[Point]) -> list[list[tuple[datetime, float]]]:
    """The points without holes, as lines of their own."""
    lines: list[list[tuple[datetime, float]]] = [[]]
    for at, value in points:
        if value is None:
            lines.append([])
        else:
            lines[-1].append((at, value))
    return [line for line in lines if line]
