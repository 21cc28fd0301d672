"""Limits of a day: what is left of them, and how fast it may be used.

    pace = what is left / min(PACE_MINUTES, minutes until the day ends)

What is left lasts for at least an hour then, or until the day ends. A pool that has the day before
it can take a burst at full size, as its queues ask for it; one that has used most of the day is
slowed down more and more instead of being stopped by refusals. Spread evenly over the whole day, a
limit would hold a pool at a twenty-fourth of that at noon, and leave unused what the night has not
asked for.

What is left is the provider's word, where it tells one, less what was used since; else the limit
less what has been used since the day began: at midnight in California for Gemini, in UTC for any
other. The rates are those of the whole key, where that is measured.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, NamedTuple

from scanpool.decide.limits import Limit
from scanpool.decide.llm_signals import LlmSignals
from scanpool.models.base import Model
from scanpool.models.claims import DAY_UNITS, Unit
from scanpool.models.figures import NEVER, Noise
from scanpool.models.googles_day import next_day
from scanpool.models.llm import Provider
from scanpool.models.units import SECONDS_PER_MINUTE

# Longer than any burst of the published load tests, and a small part of a day.
PACE_MINUTES = 60.0
# In the last minute of a day nothing is used any faster.
SHORTEST_PACE_MINUTES = 1.0
# What was used in a longer gap of the readings is not guessed at.
LONGEST_GAP_SECONDS = 600.0
DAY_SECONDS = 86_400


class Spent(NamedTuple):
    """What was spent of a limit of a day up to `at`, and when the day ends.

    The provider's word was last taken of an answer at `told_at`.
    """

    amount: float
    at: float
    ends_at: float
    told_at: float = 0.0


Days = Mapping[Unit, Spent]


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a limit of a day, and when it is whole again."""

    amount: float
    ends_at: float

    def pace_minutes(self, now: float) -> float:
        """Return over how many minutes it is to be used, at the fastest."""
        ahead = (self.ends_at - now) / SECONDS_PER_MINUTE
        return max(min(PACE_MINUTES, ahead), SHORTEST_PACE_MINUTES)


def step(
    days: Days, provider: Provider, seen: LlmSignals, limits: Mapping[Unit, Limit], now: float
) -> Days:
    """Return what is spent of each limit of a day that is in force, after this tick."""
    return {
        unit: _counted(_told(days.get(unit), unit, provider, seen, now), unit, provider, seen, now)
        for unit in DAY_UNITS
        if unit in limits
    }


def left(days: Days, limits: Mapping[Unit, Limit]) -> Mapping[Unit, Left]:
    """Return what is left of each limit of a day that is in force."""
    return {
        unit: Left(max(limits[unit].value - spent.amount, 0.0), spent.ends_at)
        for unit, spent in days.items()
        if unit in limits
    }


class KeptDay(Model):
    """What was spent of one limit of a day."""

    unit: Unit
    spent: int
    at: float
    ends_at: float


class KeptDays(Model):
    """What of them survives the process. It rides along with the next write and causes none."""

    days: Annotated[tuple[KeptDay, ...] | None, Noise(NEVER)] = None


NOTHING_KEPT = KeptDays()


def kept(days: Days) -> KeptDays:
    """Return what the next process needs."""
    if not days:
        return NOTHING_KEPT
    found = tuple(
        KeptDay(unit=unit, spent=int(one.amount), at=one.at, ends_at=one.ends_at)
        for unit, one in sorted(days.items())
    )
    return KeptDays(days=found)


def restored(kept: KeptDays) -> Days:
    """Return what a process starts with."""
    return {one.unit: Spent(float(one.spent), one.at, one.ends_at) for one in kept.days or ()}


def _told(
    known: Spent | None, unit: Unit, provider: Provider, seen: LlmSignals, now: float
) -> Spent:
    """Return what was spent by the provider's last word; without one, what was known."""
    known = known or Spent(0.0, now, _end(provider, now))
    at, limit = seen.probed.at, (seen.told or {}).get(unit)
    today = seen.probed.today.get(unit)
    if today is None or limit is None or at is None or at <= known.told_at:
        return known
    ends_at = today.ends_at if today.ends_at is not None else known.ends_at
    return Spent(float(max(limit.value - today.left, 0)), at, ends_at, at)


def _counted(spent: Spent, unit: Unit, provider: Provider, seen: LlmSignals, now: float) -> Spent:
    """Return it with what was used since, as far as that is measured."""
    if now >= spent.ends_at:
        spent = Spent(0.0, max(spent.ends_at, spent.at), _end(provider, now), spent.told_at)
    used, gap = seen.use.whole.of(unit), max(now - spent.at, 0.0)
    if used is None:
        return spent
    amount = spent.amount + used * min(gap, LONGEST_GAP_SECONDS) / SECONDS_PER_MINUTE
    return spent._replace(amount=amount, at=now)


def _end(provider: Provider, now: float) -> float:
    if provider is Provider.GEMINI:
        return next_day(now)
    return float((now // DAY_SECONDS + 1) * DAY_SECONDS)
