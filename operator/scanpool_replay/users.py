"""Who submits scans: virtual users in a closed loop, or arrivals that wait for nobody.

A user hears of an end at its next poll. The load test counts what its users heard of before its
end; the pipeline works on all the same.
"""

from collections.abc import Callable
from math import ceil
from random import Random

from scanpool_replay.broker import Broker
from scanpool_replay.engine import Engine
from scanpool_replay.scans import Book, Outcome, Scan, Task
from scanpool_replay.settings import ClosedLoad, OpenLoad


class Sightings:
    """What the load test has seen."""

    def __init__(self) -> None:
        self.submitted = 0
        self.completed = 0
        self.failed = 0
        self.timed_out = 0
        self.e2e_seconds: list[float] = []
        self.users = 0
        self.ended_at: float | None = None

    def end(self, now: float) -> None:
        """Close the load test, unless it is."""
        if self.ended_at is None:
            self.ended_at = now

    def saw(self, scan: Scan, seconds: float) -> None:
        """Count the end of a scan, `seconds` after its submission."""
        if self.ended_at is not None:
            return
        if scan.outcome is Outcome.COMPLETED:
            self.completed += 1
            self.e2e_seconds.append(seconds)
        else:
            self.failed += 1


class Load:
    """What every kind of load does."""

    def __init__(self, engine: Engine, broker: Broker, book: Book, rng: Random) -> None:
        self._engine = engine
        self._broker = broker
        self._book = book
        self._rng = rng
        self._entry = 0
        self._entry_share = 0.0
        self.seen = Sightings()

    def enter_at(self, stage: int, share: float) -> None:
        """Submit this share of scans at a later stage from now on: the rest begin with the first.

        What comes before it was done elsewhere, or is not needed: a question without an image.
        """
        self._entry, self._entry_share = stage, share

    def submit(self, on_end: Callable[[Scan], None]) -> Scan:
        """Submit a scan now."""
        is_late = self._entry_share > 0 and self._rng.random() < self._entry_share
        scan = self._book.submit(self._engine.now, self._entry if is_late else 0)
        scan.on_end = on_end
        self.seen.submitted += 1
        self._broker.publish(Task(scan, scan.first_stage))
        return scan


def start_users(load: Load, engine: Engine, settings: ClosedLoad) -> None:
    """Start virtual users: one after the other, and the last to come is the first to leave."""
    count = settings.virtual_users
    load.seen.users = count
    for number in range(count):
        begin = settings.start_seconds + settings.ramp_up_seconds * number / count
        leave = settings.stop_seconds - settings.ramp_down_seconds * number / count
        user = _User(load, engine, settings, leave)
        engine.at(begin, user.submit)
    engine.at(settings.end_seconds, lambda: load.seen.end(engine.now))


def start_arrivals(load: Load, engine: Engine, settings: OpenLoad, rng: Random) -> None:
    """Start arrivals at exponential intervals; each end is seen at once."""
    per_second = settings.arrivals_per_minute / 60

    def on_end(scan: Scan) -> None:
        load.seen.saw(scan, scan.ended_at - scan.submitted_at)

    def arrive() -> None:
        if engine.now <= settings.stop_seconds:
            load.submit(on_end)
            engine.after(rng.expovariate(per_second), arrive)

    engine.at(settings.start_seconds + rng.expovariate(per_second), arrive)
    engine.at(settings.end_seconds, lambda: load.seen.end(engine.now))


class _User:
    """One virtual user."""

    __slots__ = ("_engine", "_leave", "_load", "_settings", "_waiting_for")

    def __init__(self, load: Load, engine: Engine, settings: ClosedLoad, leave: float) -> None:
        self._load = load
        self._engine = engine
        self._settings = settings
        self._leave = leave
        self._waiting_for: Scan | None = None

    def submit(self) -> None:
        """Submit a scan, or leave."""
        if self._engine.now >= self._leave or self._load.seen.ended_at is not None:
            self._go()
            return
        self._waiting_for = self._load.submit(self._on_end)
        self._engine.after(self._settings.timeout_seconds, self._give_up, self._waiting_for)

    def _on_end(self, scan: Scan) -> None:
        """Notice it at the next poll."""
        poll = self._settings.poll_seconds
        polls = max(ceil((scan.ended_at - scan.submitted_at) / poll), 1)
        self._engine.at(scan.submitted_at + polls * poll, self._notice, scan)

    def _notice(self, scan: Scan) -> None:
        if self._waiting_for is scan:
            self._load.seen.saw(scan, self._engine.now - scan.submitted_at)
            self._waiting_for = None
            self.submit()

    def _give_up(self, scan: Scan) -> None:
        if self._waiting_for is scan:
            self._waiting_for = None
            if self._load.seen.ended_at is None:
                self._load.seen.timed_out += 1
            self.submit()

    def _go(self) -> None:
        self._load.seen.users -= 1
        if self._load.seen.users == 0:
            self._load.seen.end(self._engine.now)
