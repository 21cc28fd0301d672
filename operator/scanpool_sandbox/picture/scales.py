"""Marks of axes, numbers with units, and colors."""

from math import ceil, floor, log10

# Okabe and Ito's, which the color-blind tell apart, and three of Tol's that go with them.
COLORS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#332288", "#882255",
    "#117733",
)  # fmt: skip
DARK, BRIGHT = "#24292f", "#ffffff"
MOST_MARKS = 5
SMALLEST = 1e-9
"""No figure of a dashboard is this small but 0."""
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
TIME_STEPS = (5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
"""Seconds between two times of an axis."""
MOST_TIMES = 7
MINUTE, HOUR = 60, 3600
POWERS = ((1e9, "G"), (1e6, "M"), (1e3, "K"))
HALF = 128


def scale(low: float, high: float, unit: str = "short") -> list[float]:
    """Return the marks of an axis: round numbers from at most `low` to at least `high`."""
    if unit == "s" and high >= 2 * MINUTE:
        return [mark * MINUTE for mark in scale(low / MINUTE, high / MINUTE)]
    # Where there is nothing but zeros, an axis of 1 is as good as any.
    length = high - low if high - low > SMALLEST else 1.0
    least = length / MOST_MARKS
    power = 10.0 ** floor(log10(least))
    step = next(one * power for one in STEPS if one * power >= least * 0.999)
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [number * step for number in range(first, max(last, first + 1) + 1)]


def time_marks(seconds: float) -> list[tuple[float, str]]:
    """Return the times of an axis that is so long, each in words: minutes and seconds."""
    longest = TIME_STEPS[-1]
    step = next((one for one in TIME_STEPS if seconds / one <= MOST_TIMES), longest)
    marks = range(0, int(seconds) + 1, step)
    return [(float(at), f"{at // MINUTE}:{at % MINUTE:02d}") for at in marks]


def shown(value: float, unit: str) -> str:
    """Return a number with Grafana's unit `short`, `percentunit` or `s`."""
    if unit == "percentunit":
        return f"{100 * value:.3g}%"
    if unit == "s":
        if abs(value) >= HOUR:
            return f"{value / HOUR:.3g} h"
        if abs(value) >= 2 * MINUTE:
            return f"{value / MINUTE:.3g} min"
        return f"{value:.3g} s" if abs(value) >= 1 or not value else f"{1000 * value:.3g} ms"
    for power, letter in POWERS:
        if abs(value) >= power:
            return f"{value / power:.3g} {letter}"
    return f"{value:.3g}"


def ink_on(color: str) -> str:
    """Return what can be read on a color, #rrggbb: dark or bright."""
    red, green, blue = (int(color[at : at + 2], 16) for at in (1, 3, 5))
    # How bright the eye takes each for, by ITU-R BT.601.
    return DARK if 0.299 * red + 0.587 * green + 0.114 * blue > HALF else BRIGHT
