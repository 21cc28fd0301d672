"""Draw the panels of a dashboard where its grid has them: lines, states over time, numbers."""

from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise
from typing import Any, NamedTuple

from scanpool_sandbox.picture.asking import Series, Shown
from scanpool_sandbox.picture.scales import COLORS, ink_on, scale, shown, time_marks

# Pixels of a unit of Grafana's grid, and around what is drawn in it.
UNIT_WIDTH, UNIT_HEIGHT, GAP = 50, 28, 4
LEFT, RIGHT, TOP, AXIS = 46, 18, 30, 16
LEGEND_LINE, CHARACTER, MARK = 13, 5.4, 16
BAR = 22
INK, FAINT, LINE, PAPER, PAGE = "#24292f", "#57606a", "#d0d7de", "#ffffff", "#f6f8fa"


class Box(NamedTuple):
    """A rectangle in pixels, from its upper left corner."""

    x: float
    y: float
    width: float
    height: float


def draw(title: str, panels: Sequence[Shown], seconds: float) -> str:
    """Return an SVG of all panels over a span of so many seconds."""
    places = [one.panel["gridPos"] for one in panels]
    width = UNIT_WIDTH * max(place["x"] + place["w"] for place in places)
    height = UNIT_HEIGHT * max(place["y"] + place["h"] for place in places)
    told = "; ".join(one.panel["title"] for one in panels if one.series)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="system-ui, sans-serif" font-size="10" '
        f'fill="{INK}" role="img">'
    )
    parts = [
        head,
        f"<title>{escape(title)}</title>",
        f"<desc>Panels: {escape(told)}</desc>",
        f'<rect width="{width}" height="{height}" fill="{PAGE}"/>',
    ]
    for one in panels:
        parts += _panel(one, seconds)
    return "\n".join([*parts, "</svg>", ""])


def _panel(one: Shown, seconds: float) -> Iterator[str]:
    place = one.panel["gridPos"]
    box = Box(
        place["x"] * UNIT_WIDTH + GAP,
        place["y"] * UNIT_HEIGHT + GAP,
        place["w"] * UNIT_WIDTH - 2 * GAP,
        place["h"] * UNIT_HEIGHT - 2 * GAP,
    )
    title = escape(one.panel["title"])
    if one.panel["type"] == "row":
        yield _text(box.x + 2, box.y + 15, title, 'font-size="13" font-weight="600"')
        return
    yield (
        f'<rect x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}" rx="3" '
        f'fill="{PAPER}" stroke="{LINE}"/>'
    )
    yield _text(box.x + 10, box.y + 17, title, 'font-size="11" font-weight="600"')
    if not any(series.points for series in one.series):
        words = f'fill="{FAINT}" text-anchor="middle"'
        yield _text(box.x + box.width / 2, box.y + box.height / 2 + 6, "No data", words)
    elif one.panel["type"] == "stat":
        yield from _number(one, box)
    elif one.panel["type"] == "state-timeline":
        yield from _states(one, box, seconds)
    else:
        yield from _lines(one, box, seconds)


def _number(one: Shown, box: Box) -> Iterator[str]:
    _, value = one.series[0].points[-1]
    words = shown(value, one.panel["fieldConfig"]["defaults"]["unit"])
    style = 'font-size="30" text-anchor="middle"'
    yield _text(box.x + box.width / 2, box.y + box.height / 2 + 20, words, style)


def _lines(one: Shown, box: Box, seconds: float) -> Iterator[str]:
    entries = [
        (series.name, COLORS[number % len(COLORS)], series.dashed)
        for number, series in enumerate(one.series)
    ]
    rows = _legend_rows(entries, box.width - LEFT)
    plot = _plot(box, len(rows))
    unit = one.panel["fieldConfig"]["defaults"]["unit"]
    values = [value for series in one.series for _, value in series.points]
    marks = scale(min(0.0, *values), max(0.0, *values), unit)

    def up(value: float) -> float:
        share = (value - marks[0]) / (marks[-1] - marks[0])
        return plot.y + plot.height * (1 - share)

    for mark in marks:
        yield f'<path d="M{plot.x:g} {up(mark):.1f}h{plot.width:g}" stroke="{LINE}"/>'
        style = f'text-anchor="end" fill="{FAINT}"'
        yield _text(plot.x - 5, up(mark) + 3.5, shown(mark, unit), style)
    yield from _times(plot, seconds)
    for (_, color, dashed), series in zip(entries, one.series, strict=True):
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        points = [(plot.x + plot.width * at / seconds, up(value)) for at, value in series.points]
        step = _usual_step(series)
        gap = 1.5 * plot.width * step / seconds
        yield (
            f'<path d="{_path(points, gap)}" fill="none" stroke="{color}" '
            f'stroke-width="1.6"{dash}/>'
        )
    yield from _legend(rows, box)


def _states(one: Shown, box: Box, seconds: float) -> Iterator[str]:
    (mapping,) = one.panel["fieldConfig"]["defaults"]["mappings"]
    states: dict[str, dict[str, Any]] = mapping["options"]
    seen = {f"{value:g}" for series in one.series for _, value in series.points}
    entries = [(each["text"], each["color"], False) for key, each in states.items() if key in seen]
    rows = _legend_rows(entries, box.width - LEFT)
    plot = _plot(box, len(rows))
    yield from _times(plot, seconds)
    room = plot.height / len(one.series)
    for number, series in enumerate(one.series):
        y = plot.y + room * number + room / 2
        yield _text(plot.x, y - BAR / 2 - 4, escape(series.name), f'fill="{FAINT}"')
        for start, end, value in _spans(series):
            state = states[f"{value:g}"]
            x, width = plot.x + plot.width * start / seconds, plot.width * (end - start) / seconds
            yield (
                f'<rect x="{x:.1f}" y="{y - BAR / 2:.1f}" width="{width:.1f}" height="{BAR}" '
                f'fill="{state["color"]}"><title>{escape(state["text"])}</title></rect>'
            )
            if len(state["text"]) * CHARACTER + 8 < width:
                style = f'fill="{ink_on(state["color"])}"'
                yield _text(x + 4, y + 3.5, escape(state["text"]), style)
    yield from _legend(rows, box)


def _plot(box: Box, legend_rows: int) -> Box:
    """Return where the values of a panel are drawn."""
    below = AXIS + LEGEND_LINE * legend_rows + 6
    return Box(box.x + LEFT, box.y + TOP, box.width - LEFT - RIGHT, box.height - TOP - below)


def _times(plot: Box, seconds: float) -> Iterator[str]:
    for at, words in time_marks(seconds):
        style = f'text-anchor="middle" fill="{FAINT}"'
        yield _text(plot.x + plot.width * at / seconds, plot.y + plot.height + 12, words, style)


def _path(points: Sequence[tuple[float, float]], gap: float) -> str:
    """Return steps from point to point, none over a gap that is wider than that."""
    parts: list[str] = []
    before: tuple[float, float] | None = None
    is_level = False
    for x, y in points:
        if before is None or x - before[0] > gap:
            parts.append(f"M{x:.1f} {y:.1f}")
        else:
            if is_level:
                # One line to here instead of many short ones.
                parts.pop()
            parts.append(f"H{x:.1f}" if y == before[1] else f"H{x:.1f}V{y:.1f}")
        is_level = parts[-1].startswith("H") and "V" not in parts[-1]
        before = (x, y)
    return "".join(parts)


def _usual_step(series: Series) -> float:
    """Return the smallest time between two points, in seconds."""
    times = [at for at, _ in series.points]
    return min((b - a for a, b in pairwise(times)), default=1.0)


def _spans(series: Series) -> Iterator[tuple[float, float, float]]:
    """Return from when until when a state lasted, and its number."""
    step = _usual_step(series)
    start: float | None = None
    before = (0.0, 0.0)
    for at, value in series.points:
        if start is not None and (value != before[1] or at - before[0] > 1.5 * step):
            yield start, min(before[0] + step, at), before[1]
            start = None
        if start is None:
            start = at
        before = (at, value)
    if start is not None:
        yield start, before[0], before[1]


def _legend_rows(
    entries: Sequence[tuple[str, str, bool]], width: float
) -> list[list[tuple[float, str, str, bool]]]:
    """Return the lines of a legend: each entry with its distance from the left."""
    rows: list[list[tuple[float, str, str, bool]]] = [[]]
    x = 0.0
    for name, color, dashed in entries:
        taken = MARK + len(name) * CHARACTER + 14
        if rows[-1] and x + taken > width:
            rows.append([])
            x = 0.0
        rows[-1].append((x, name, color, dashed))
        x += taken
    return rows


def _legend(rows: Sequence[Sequence[tuple[float, str, str, bool]]], box: Box) -> Iterator[str]:
    for number, row in enumerate(rows):
        y = box.y + box.height - 8 - LEGEND_LINE * (len(rows) - 1 - number)
        for x, name, color, dashed in row:
            left = box.x + LEFT / 2 + x
            dash = ' stroke-dasharray="4 3"' if dashed else ""
            yield (
                f'<path d="M{left:.1f} {y - 3:.1f}h12" stroke="{color}" stroke-width="3"{dash}/>'
            )
            yield _text(left + MARK, y, escape(name))


def _text(x: float, y: float, words: str, style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}"{" " if style else ""}{style}>{words}</text>'
