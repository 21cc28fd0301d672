"""How long workers hold a message until they acknowledge it: about what their tasks take.

The broker tells how many messages workers hold, and how many it has delivered so far. Each look
adds the time since the last one for every message that is held:

    held on average  >=  sum of (unacked x time since the last look) / (held at first + delivered)
                         - the longest time between two looks

as a message is seen for no longer than it is held, and one look more. It is no less than what
tasks take: a message that waits in a worker which holds more than it works on counts for that
time, too.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from scanpool.decide.signals import Holding, Signals

# Of less, chance makes the average: what was delivered last, and one message that is stuck.
LEAST_SECONDS = 180.0
LEAST_MESSAGES = 5
# After so long an average begins anew, once it is one: the work may be another. Long tasks may take
# an hour to make one.
STRETCH_SECONDS = 600.0
LONGEST_STRETCH_SECONDS = 3600.0
# What was seen is told for an hour: the next scale-down may be that far.
REMEMBERED_SECONDS = 3600.0
# Deliveries show in the broker's statistics up to so much later (measured on 3.10).
COUNTED_WITHIN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Stretch:
    """What was seen of a queue since `begun_at`: see the formula above. Times in seconds."""

    begun_at: float
    looked_at: float
    held_at_first: int
    delivered_before: int
    delivered: int
    message_seconds: float = 0.0
    longest_look: float = 0.0

    @property
    def messages(self) -> int:
        """How many messages were held."""
        return self.held_at_first + self.delivered - self.delivered_before

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.looked_at - self.begun_at

    @property
    def is_certain(self) -> bool:
        """Whether it makes an average."""
        return self.seconds >= LEAST_SECONDS and self.messages >= LEAST_MESSAGES


class Longest(NamedTuple):
    """A queue whose messages were held for so many seconds on average, at least, as of a time."""

    queue: str
    seconds: float
    at: float


@dataclass(frozen=True, slots=True)
class Held:
    """What is being looked at of each queue, and the longest that was seen within an hour.

    No restart keeps it: it is measured anew within minutes.
    """

    stretches: Mapping[str, Stretch] = field(default_factory=dict)
    longest: Longest | None = None


def step(known: Held, signals: Signals) -> Held:
    """Return what is known after a look."""
    now = signals.now
    stretches = {
        one.queue: _looked(known.stretches.get(one.queue), one, now) for one in signals.holding
    }
    found = [*_averages(stretches, signals.holding, now)]
    if known.longest is not None and 0 <= now - known.longest.at < REMEMBERED_SECONDS:
        found.append(known.longest)
    return Held(stretches, max(found, key=lambda one: one.seconds, default=None))


def _looked(known: Stretch | None, one: Holding, now: float) -> Stretch:
    """Return a stretch after one more look at its queue; a count that falls begins another."""
    if known is None or not 0 <= now - known.looked_at < STRETCH_SECONDS:
        return Stretch(now, now, one.unacked, one.delivered, one.delivered)
    is_over = known.is_certain and known.seconds >= STRETCH_SECONDS
    if is_over or known.seconds >= LONGEST_STRETCH_SECONDS or one.delivered < known.delivered:
        return Stretch(now, now, one.unacked, one.delivered, one.delivered)
    gap = now - known.looked_at
    return replace(
        known,
        looked_at=now,
        delivered=one.delivered,
        message_seconds=known.message_seconds + one.unacked * gap,
        longest_look=max(known.longest_look, gap),
    )


def _averages(
    stretches: Mapping[str, Stretch], holding: Iterable[Holding], now: float
) -> Iterable[Longest]:
    for one in holding:
        stretch = stretches[one.queue]
        if not stretch.is_certain:
            continue
        # What was delivered since the statistics is not counted yet.
        uncounted = now - one.counted_at + COUNTED_WITHIN_SECONDS
        counted = max(1 - uncounted / stretch.seconds, 0.0)
        average = counted * stretch.message_seconds / stretch.messages - stretch.longest_look
        yield Longest(one.queue, max(average, 0.0), now)
