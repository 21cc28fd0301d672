"""What the pool works off with so many replicas: whether more of them bring more.

Workers may wait for what no ceiling knows: a node's CPU, a database, a provider's slow answers, or
each other. In a published load test at 4 M TPM five workers gave 379 scans a minute where three had
given 373, and neither tokens nor nodes were short.
"""

from dataclasses import dataclass, replace
from math import exp
from typing import NamedTuple

from scanpool.decide.cost import FIRST_CALLS_SECONDS
from scanpool.decide.signals import Acked, Signals

# Messages of some minutes: three windows of the default length, of which each is at most a third
# what came before. Fewer would take chance for a fact: 300 scans are 6% off at one deviation.
TIME_CONSTANT_SECONDS = 120.0
CERTAIN_SECONDS = 180.0
# What fewer replicas gave is compared for an hour: then the work may be another.
REMEMBERED_SECONDS = 3600.0
# So many more replicas at least are compared: of fewer, chance hides what they bring.
MORE_SHARE = 0.3
# More replicas have to bring this share of what they would if each did as much as before. Where
# something else binds they bring next to nothing; chance takes away half of it at the most.
GAIN_SHARE = 0.25


class Measured(NamedTuple):
    """Messages per minute that so many busy replicas worked off, and for how long it was seen."""

    replicas: int
    per_minute: float
    seconds: float
    at: float


@dataclass(frozen=True, slots=True)
class Throughput:
    """What was measured, by the number of replicas; `busy_since` is since when as many were busy.

    No restart keeps it: it is of the last hour, and measured anew within minutes.
    """

    measured: tuple[Measured, ...] = ()
    busy_since: float | None = None
    busy_replicas: int = 0


class Stuck(NamedTuple):
    """A number of replicas that works off no more than fewer did."""

    more: Measured
    fewer: Measured


def step(known: Throughput, signals: Signals, refused_at: float | None) -> Throughput:
    """Return what is known after a tick.

    It teaches only while the same replicas have all been ready, with a message waiting for each,
    for a whole window of the rates: idle workers work off what comes, not what they could. Calls
    that the provider refuses, last at `refused_at`, are the matter of its own ceilings.
    """
    now, ready, acked, backlog = signals.now, signals.workers.ready, signals.acked, signals.backlog
    kept = tuple(one for one in known.measured if one.at > now - REMEMBERED_SECONDS)
    is_busy = backlog is not None and backlog.ready >= ready == signals.workers.pods > 0
    if not is_busy or acked is None:
        return Throughput(kept)
    begun = known.busy_since
    if begun is None or known.busy_replicas != ready:
        return Throughput(kept, now, ready)
    known = replace(known, measured=kept)
    calm = refused_at is None or refused_at < acked.since
    if acked.since < begun + FIRST_CALLS_SECONDS or not calm:
        return known
    others = tuple(one for one in kept if one.replicas != ready)
    before = next((one for one in kept if one.replicas == ready), None)
    return replace(known, measured=(*others, _taught(before, ready, acked, now)))


def _taught(before: Measured | None, replicas: int, acked: Acked, now: float) -> Measured:
    """Return what is measured after one more sample: smoothed over some minutes."""
    window = acked.at - acked.since
    if before is None:
        return Measured(replicas, acked.per_minute, window, now)
    # After a pause it is the window that was looked at. A clock may have been set back.
    elapsed = min(max(now - before.at, 0.0), window)
    weight = 1 - exp(-elapsed / TIME_CONSTANT_SECONDS)
    smoothed = before.per_minute + weight * (acked.per_minute - before.per_minute)
    return Measured(replicas, smoothed, before.seconds + elapsed, now)


def stuck(known: Throughput, now: float) -> Stuck | None:
    """Return the fewest replicas that bring no more than clearly fewer did; None if all bring more.

    Each number is compared with the largest that is clearly smaller.
    """
    certain = sorted(one for one in known.measured if one.seconds >= CERTAIN_SECONDS)
    fresh = [one for one in certain if one.at > now - REMEMBERED_SECONDS]
    for more in fresh:
        fewer = [one for one in fresh if more.replicas >= (1 + MORE_SHARE) * one.replicas]
        if fewer and _brings_no_more(more, fewer[-1]):
            return Stuck(more, fewer[-1])
    return None


def _brings_no_more(more: Measured, fewer: Measured) -> bool:
    hoped = fewer.per_minute * (more.replicas / fewer.replicas - 1)
    return more.per_minute - fewer.per_minute < GAIN_SHARE * hoped
