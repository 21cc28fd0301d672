"""Line charts as SVG: small multiples, a row per panel and a column per autoscaler.

A plotting library would be the largest dependency of the project for eight kinds of lines; what is
needed of one fits into this file.
"""

from collections.abc import Sequence
from html import escape
from math import floor, log10

from scanpool_replay.report.series import Line, Panel

WIDTH, HEIGHT = 300, 130
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 34, 24
HEAD = 28
LEGEND_STEP = 12
CHARACTER = 5.6
# Okabe and Ito's colors, which the color-blind tell apart; the mean grays read on white and black.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
INK, GRID = "#7a828a", "#9aa3ab"
TICKS = 4


def grid(columns: Sequence[tuple[str, Sequence[Panel]]]) -> str:
    """Return an SVG of all columns side by side; each row has one scale, so they compare."""
    rows = len(columns[0][1])
    width = WIDTH * len(columns)
    height = HEAD + HEIGHT * rows
    end = max(line.x[-1] for _, panels in columns for line in panels[0].lines)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="system-ui, sans-serif" font-size="10" '
        f'fill="{INK}" role="img">'
    )
    parts = [head]
    for number, (name, _) in enumerate(columns):
        middle = WIDTH * number + LEFT + (WIDTH - LEFT - RIGHT) / 2
        parts.append(
            f'<text x="{middle:.0f}" y="18" font-size="13" font-weight="600" '
            f'text-anchor="middle">{escape(name)}</text>'
        )
    for row in range(rows):
        top = _ceiling(max(_highest(panels[row]) for _, panels in columns))
        for number, (_, panels) in enumerate(columns):
            parts += _panel(panels[row], WIDTH * number, HEAD + HEIGHT * row, end, top)
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, left: int, above: int, end: float, top: float) -> list[str]:
    x0, x1 = left + LEFT, left + WIDTH - RIGHT
    y0, y1 = above + HEIGHT - BOTTOM, above + TOP
    parts = [f'<text x="{x0}" y="{above + 14}" font-weight="600">{escape(panel.title)}</text>']
    for tick in range(TICKS + 1):
        y = y0 + (y1 - y0) * tick / TICKS
        parts.append(
            f'<path d="M{x0} {y:.1f}H{x1}" stroke="{GRID}" stroke-opacity=".3"/>'
            f'<text x="{x0 - 4}" y="{y + 3:.1f}" text-anchor="end">'
            f"{_number(top * tick / TICKS)}</text>"
        )
    step = _ceiling(end / TICKS)
    for tick in range(int(end / step) + 1):
        x = x0 + (x1 - x0) * tick * step / end
        parts.append(
            f'<text x="{x:.1f}" y="{y0 + 12}" text-anchor="middle">{tick * step:g}'
            f"{' s' if tick == 0 else ''}</text>"
        )
    legend = float(x0)
    for number, line in enumerate(panel.lines):
        color = COLORS[number % len(COLORS)]
        dash = ' stroke-dasharray="4 3"' if line.dashed else ""
        parts.append(
            f'<path d="{_path(line, (x0, x1), (y0, y1), end, top)}" fill="none" '
            f'stroke="{color}" stroke-width="1.4"{dash}/>'
        )
        if len(panel.lines) > 1:
            y = above + 14 + LEGEND_STEP
            parts.append(
                f'<text x="{legend:.0f}" y="{y}" fill="{color}">{escape(line.name)}</text>'
            )
            legend += len(line.name) * CHARACTER + 8
    return parts


def _path(line: Line, xs: tuple[int, int], ys: tuple[int, int], end: float, top: float) -> str:
    parts: list[str] = []
    is_down = False
    for x, y in zip(line.x, line.y, strict=True):
        if y is None:
            is_down = False
            continue
        across = xs[0] + (xs[1] - xs[0]) * x / end
        up = ys[0] + (ys[1] - ys[0]) * min(y, top) / top
        if not is_down:
            parts.append(f"M{across:.1f} {up:.1f}")
        elif line.stepped:
            parts.append(f"H{across:.1f}V{up:.1f}")
        else:
            parts.append(f"L{across:.1f} {up:.1f}")
        is_down = True
    return "".join(parts)


def _highest(panel: Panel) -> float:
    """Return the highest value that a solid line reaches; ceilings may be cut off above it."""
    solid = [y for line in panel.lines if not line.dashed for y in line.y if y is not None]
    dashed = [y for line in panel.lines if line.dashed for y in line.y if y is not None]
    highest = max(solid, default=0.0)
    # A ceiling just above the line belongs into the picture; one far above would flatten it.
    return max([highest, *(y for y in dashed if y <= highest * 2 + 2)])


def _ceiling(value: float) -> float:
    """Return the next of 1, 2, 4 or 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** floor(log10(value))
    return next(step * power for step in (1, 2, 4, 5, 10) if step * power >= value * 0.999)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= TICKS and value == int(value) else f"{value:g}"
