"""The lines to plot of a run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from scanpool.decide.watermarks import Level
from scanpool_replay.run import Sample

# Charged tokens and completions come in lumps: their rates are shown over this window.
RATE_WINDOW_SECONDS = 15
SECONDS_PER_MINUTE = 60
# Enough points for a plot of this size; more only make the file larger.
MOST_POINTS = 200


@dataclass(frozen=True, slots=True)
class Line:
    """One line: x in seconds; y is None where there is nothing to show."""

    name: str
    x: tuple[float, ...]
    y: tuple[float | None, ...]
    dashed: bool = False
    stepped: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """Lines that share one pair of axes."""

    title: str
    lines: tuple[Line, ...]


def panels(recorded: Sequence[Sample]) -> tuple[Panel, ...]:
    """Return all panels of a pipeline in a run, in the order in which they are read."""
    samples = thinned(recorded)
    return (
        Panel("replicas and ceilings", _replicas(samples)),
        Panel("backlog (messages)", (_line("backlog", samples, lambda one: one.backlog),)),
        Panel(
            "tokens per minute (millions)",
            (
                _rate("charged", samples, lambda one: one.tokens, SECONDS_PER_MINUTE / 1e6),
                _line("limit", samples, lambda one: one.limit / 1e6, dashed=True),
            ),
        ),
        Panel("the provider's bucket (million tokens)", _bucket(samples)),
        Panel(
            "429s per second",
            (_rate("429s", samples, lambda one: one.rate_refusals + one.quota_refusals, 1.0),),
        ),
        Panel("completed scans", (_line("completed", samples, lambda one: one.completed),)),
        Panel(
            "memory of the largest pod (MiB)", (_line("memory", samples, lambda one: one.memory),)
        ),
    )


def thinned(samples: Sequence[Sample]) -> Sequence[Sample]:
    """Return every nth sample, so that a long run needs no more points than a short one."""
    return samples[:: max(-(-len(samples) // MOST_POINTS), 1)]


def _replicas(samples: Sequence[Sample]) -> tuple[Line, ...]:
    names = dict.fromkeys(name for one in samples for name in one.ceilings)
    ceilings = [
        _line(name, samples, partial(_ceiling, name), dashed=True, stepped=True) for name in names
    ]
    return (
        _line("desired", samples, lambda one: one.desired, stepped=True),
        _line("ready", samples, lambda one: one.ready, stepped=True),
        *ceilings,
    )


def _bucket(samples: Sequence[Sample]) -> tuple[Line, ...]:
    """Return what it holds, and what an autoscaler that reads it takes that and its marks to be."""
    lines = [_line("level", samples, lambda one: one.bucket / 1e6)]
    for name, mark in (
        ("reckoned", lambda level: level.tokens),
        ("high", lambda level: level.high),
        ("low", lambda level: level.low),
        ("reserve", lambda level: level.reserve),
    ):
        line = _line(name, samples, partial(_mark, mark), dashed=name != "reckoned", stepped=True)
        if any(one is not None for one in line.y):
            lines.append(line)
    return tuple(lines)


def _mark(mark: Callable[[Level], float | None], sample: Sample) -> float | None:
    tokens = None if sample.level is None else mark(sample.level)
    return None if tokens is None else tokens / 1e6


def _ceiling(name: str, sample: Sample) -> float | None:
    return sample.ceilings.get(name)


def _line(
    name: str,
    samples: Sequence[Sample],
    value: Callable[[Sample], float | None],
    *,
    dashed: bool = False,
    stepped: bool = False,
) -> Line:
    return Line(
        name,
        tuple(one.seconds for one in samples),
        tuple(value(one) for one in samples),
        dashed,
        stepped,
    )


def _rate(
    name: str, samples: Sequence[Sample], counter: Callable[[Sample], float], scale: float
) -> Line:
    """Return the growth of a counter a second, times `scale`, over the window before each point.

    Of a long run the points are further apart than the window: there it reaches to the last one.
    """
    y: list[float | None] = []
    first = 0
    for number, one in enumerate(samples):
        while first < number - 1 and one.seconds - samples[first].seconds > RATE_WINDOW_SECONDS:
            first += 1
        elapsed = one.seconds - samples[first].seconds
        grown = counter(one) - counter(samples[first])
        y.append(grown / elapsed * scale if elapsed > 0 else 0.0)
    return Line(name, tuple(one.seconds for one in samples), tuple(y))
