"""Money: what the pool spends, and what is left of its budget of a day.

    pace = what is left / minutes until midnight of the budget's zone
    may grow to       floor(pace / money per replica-minute)
    has to shrink to  the same, once replicas exceed  floor(pace / money per replica-minute + 0.5)

and one while anything is left. The two edges keep a pool from moving at each tick: what a replica
too few leaves raises the pace of the hours to come, and the other way round. Once no more is left
than the replicas may still spend until they are gone, the budget has ended, and the workers wait
for the next day.

What is spent is the pool's own use of all its limits with prices, times these. Input and output
that are not told apart cost the dearer of the two, and while the use is unknown every pod counts as
busy: a budget then ends too early, never too late.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import floor, fsum
from typing import Annotated, NamedTuple
from zoneinfo import ZoneInfo

from scanpool.decide import cost, mix
from scanpool.decide.cost import Learned
from scanpool.decide.llm_signals import Flow
from scanpool.decide.signals import Signals
from scanpool.models.base import Model
from scanpool.models.fields import MOST_REPLICAS
from scanpool.models.figures import NEVER, Noise
from scanpool.models.llm import Llm
from scanpool.models.schedule import UTC
from scanpool.models.spec import PoolSpec
from scanpool.models.spend import Prices
from scanpool.models.units import SECONDS_PER_MINUTE, timestamp

TOKENS_PER_PRICE = 1_000_000
# What was spent in a longer gap of the readings is not guessed at.
LONGEST_GAP_SECONDS = 600.0
# Until a use shows that is averaged over a minute, a pool that looks every ten seconds takes its
# replicas away, and these have drained: their usual 30 s.
RESERVE_MINUTES = 2.0
# In the last minute of a day nothing is used any faster.
SHORTEST_PACE_MINUTES = 1.0
# The shorter the rest of the day, the more replicas it seems to pay: for the last minutes they may
# become fewer only.
LAST_MINUTES = 10.0
# A budget of which a tenth is left is about to end.
NEAR_SHARE = 0.1
# So much of a replica too many for the pace is left alone.
KEEP = 0.5


@dataclass(frozen=True, slots=True)
class Spent:
    """What was spent since the day began, up to `at`; the day ends at `ends_at`.

    `per_minute` is what is being spent now, `per_replica` what a busy replica spends a minute, and
    `per_call` what a call costs on average, a retry like any other; None is unknown. `ended` is the
    budget that has ended today.
    """

    amount: float = 0.0
    at: float = 0.0
    ends_at: float = 0.0
    per_minute: float | None = None
    per_replica: float | None = None
    per_call: float | None = None
    ended: float | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """What is left of the day's budget, of how much, with what may yet be spent in `reserve`.

    One that `was_ended` stays so until the day ends or it is raised: with no pod at work it would
    pay one again at once.
    """

    per_day: float
    left: float
    reserve: float
    ends_at: float
    was_ended: bool = False

    @property
    def has_ended(self) -> bool:
        """Whether no more may be spent."""
        return self.was_ended or self.left <= self.reserve

    @property
    def ended_words(self) -> str:
        """What people are told of one that has ended."""
        return f"the budget of {self.per_day:,.2f} is used up until {timestamp(self.ends_at)}"

    @property
    def is_near_its_end(self) -> bool:
        """Whether a person should know that it is going to end."""
        return self.left <= NEAR_SHARE * self.per_day

    def pace(self, now: float) -> float:
        """Return what may be spent a minute, so that it lasts until the day ends."""
        minutes = max((self.ends_at - now) / SECONDS_PER_MINUTE, SHORTEST_PACE_MINUTES)
        return 0.0 if self.has_ended else self.left / minutes

    def is_late(self, now: float) -> bool:
        """Return whether the day is too short for a pool to grow once more."""
        return self.ends_at - now <= LAST_MINUTES * SECONDS_PER_MINUTE


class _Rates(NamedTuple):
    """What goes to one limit a minute: money, that of a busy replica, and calls."""

    money: float | None
    per_replica: float | None
    calls: float | None


def step(
    spent: Spent | None, spec: PoolSpec, signals: Signals, costs: Mapping[str, Learned]
) -> Spent | None:
    """Return what is spent after this tick; None for a pool without prices."""
    each = [
        _rates(llm.prices, llm, signals.llms[name].use.own, costs.get(name, Learned()))
        for name, llm in spec.limits.items()
        if llm.prices is not None
    ]
    if not each:
        return None
    now = signals.now
    known = spent or Spent(at=now)
    ends_at = midnight(now, UTC if spec.spend is None else spec.spend.time_zone)
    if now >= known.ends_at:
        known = Spent(at=max(known.at, known.ends_at))
    rate = _sum([one.money for one in each])
    per_replica = _sum([one.per_replica for one in each])
    calls = _sum([one.calls for one in each])
    flowing = rate
    if flowing is None:
        flowing = (per_replica or 0.0) * (signals.workers.pods + signals.workers.draining)
    gap = min(max(now - known.at, 0.0), LONGEST_GAP_SECONDS)
    after = replace(
        known,
        amount=known.amount + flowing * gap / SECONDS_PER_MINUTE,
        at=now,
        ends_at=ends_at,
        per_minute=rate,
        per_replica=per_replica,
        per_call=rate / calls if rate and calls else None,
    )
    left = budget(spec, after, signals.workers.replicas)
    return replace(after, ended=left.per_day if left is not None and left.has_ended else None)


def budget(spec: PoolSpec, spent: Spent | None, replicas: int) -> Budget | None:
    """Return what is left for a pool of so many replicas; None where there is no budget."""
    if spec.spend is None or spent is None:
        return None
    per_day, ended = spec.spend.per_day, spent.ended
    flowing = max(spent.per_minute or 0.0, replicas * (spent.per_replica or 0.0))
    return Budget(
        per_day,
        left=max(per_day - spent.amount, 0.0),
        reserve=flowing * RESERVE_MINUTES,
        ends_at=spent.ends_at,
        was_ended=ended is not None and ended >= per_day,
    )


def allows(found: Budget, per_replica: float, now: float) -> tuple[int, int]:
    """Return to how many replicas a pool may grow, and how many it may keep."""
    fed = found.pace(now) / per_replica
    least = 0 if found.has_ended else 1
    return max(_whole(fed), least), max(_whole(fed + KEEP), least)


def midnight(now: float, zone: str) -> float:
    """Return when the day of a zone ends, in seconds since the epoch."""
    there = datetime.fromtimestamp(now, ZoneInfo(zone))
    tomorrow = (there + timedelta(days=1)).date()
    return datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=ZoneInfo(zone)).timestamp()


class KeptSpent(Model):
    """What of it survives the process. It rides along with the next write and causes none."""

    spent: Annotated[float | None, Noise(NEVER)] = None
    spent_at: Annotated[float | None, Noise(NEVER)] = None
    spend_ends_at: Annotated[float | None, Noise(NEVER)] = None
    spend_ended: Annotated[float | None, Noise(NEVER)] = None


NOTHING_KEPT = KeptSpent()


def kept(spent: Spent | None) -> KeptSpent:
    """Return what the next process needs."""
    if spent is None:
        return NOTHING_KEPT
    return KeptSpent(
        spent=spent.amount,
        spent_at=spent.at,
        spend_ends_at=spent.ends_at,
        spend_ended=spent.ended,
    )


def restored(kept: KeptSpent) -> Spent | None:
    """Return what a process starts with."""
    if kept.spent is None or kept.spent_at is None or kept.spend_ends_at is None:
        return None
    return Spent(kept.spent, kept.spent_at, kept.spend_ends_at, ended=kept.spend_ended)


def heard(spent: Spent | None, kept: KeptSpent) -> Spent | None:
    """Return what a process that follows knows, once the one that acts has told its count.

    Of the same day the larger counts, and a budget that has ended for one has for both.
    """
    told = restored(kept)
    if spent is None or told is None or told.ends_at != spent.ends_at:
        return spent
    ended = max(spent.ended or 0.0, told.ended or 0.0) or None
    return replace(spent, amount=max(spent.amount, told.amount), ended=ended)


def _rates(prices: Prices, llm: Llm, own: Flow, learned: Learned) -> _Rates:
    """Return what the pool's own use of one limit costs."""
    token = _of_token(prices, own)
    tokens = cost.tokens(learned, llm).tokens
    if tokens is None and own.tokens is not None and own.tokens < mix.LEAST_TOKENS:
        # A limit of which nothing is used is not learned, and costs nothing.
        tokens = 0.0
    return _Rates(_times(own.tokens, token), _times(tokens, token), own.requests)


def _of_token(prices: Prices, own: Flow) -> float:
    """Return what a token costs on average, by the mix of input and output that is seen."""
    share = mix.output_share(own)
    if share is None:
        return prices.dearest / TOKENS_PER_PRICE
    return (prices.of_input * (1 - share) + prices.output * share) / TOKENS_PER_PRICE


def _times(tokens: float | None, price: float) -> float | None:
    return None if tokens is None else tokens * price


def _sum(values: Sequence[float | None]) -> float | None:
    """Return the sum; None while any of them is unknown."""
    known = [one for one in values if one is not None]
    return fsum(known) if len(known) == len(values) else None


def _whole(replicas: float) -> int:
    return floor(min(replicas, MOST_REPLICAS))
