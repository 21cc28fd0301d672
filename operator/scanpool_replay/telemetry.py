"""Figures that lag or fail: snapshots of counters, rates between them, and outages of a source."""

from bisect import bisect_right
from collections.abc import Callable

from scanpool_replay.engine import Engine

# RabbitMQ emits its statistics every 5 s and serves them from a cache: they show up a second later.
STATISTICS_SECONDS = 5.0
STATISTICS_DELAY_SECONDS = 1.0
# Prometheus' usual scrape interval in the field for workers that matter.
SCRAPE_SECONDS = 15.0


class Outages:
    """Which sources of an autoscaler's readings answer nothing for a while."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lost_until: dict[str, float] = {}

    def lose(self, reading: str, seconds: float) -> None:
        """Let a source answer nothing from now on, for some seconds."""
        self._lost_until[reading] = self._engine.now + seconds

    def can_read(self, reading: str) -> bool:
        """Tell whether a source answers now."""
        return self._engine.now >= self._lost_until.get(reading, self._engine.now)


class Snapshots:
    """Counters as someone recorded them every `seconds`; they show up `delay` seconds later."""

    def __init__(
        self,
        engine: Engine,
        seconds: float,
        delay: float,
        phase: float,
        read: Callable[[], tuple[float, ...]],
    ) -> None:
        self._engine = engine
        self._delay = delay
        self._read = read
        self._times: list[float] = []
        self._values: list[tuple[float, ...]] = []
        engine.every(seconds, engine.now + phase, self._record)

    def _record(self) -> None:
        self._times.append(self._engine.now)
        self._values.append(self._read())

    def latest(self) -> tuple[float, tuple[float, ...]] | None:
        """Return the newest record that shows, and its time; None before the first."""
        index = bisect_right(self._times, self._engine.now - self._delay) - 1
        return (self._times[index], self._values[index]) if index >= 0 else None

    def per_second(self, window: float) -> tuple[float, tuple[float, ...]] | None:
        """Return the mean growth a second over the window before the newest record."""
        last = bisect_right(self._times, self._engine.now - self._delay) - 1
        if last < 1:
            return None
        first = bisect_right(self._times, self._times[last] - window) - 1
        first = min(max(first, 0), last - 1)
        elapsed = self._times[last] - self._times[first]
        rates = tuple(
            (new - old) / elapsed
            for new, old in zip(self._values[last], self._values[first], strict=True)
        )
        return self._times[last], rates
