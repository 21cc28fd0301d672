"""The billing breaker: while the provider refuses to be paid, no worker should ask it.

state     | probe: billing code | probe: answered            | probe: unavailable | no probe
Closed    | Open                | Closed                     | Closed             | Closed
Open      | Open                | HalfOpen                   | Open               | Closed
HalfOpen  | Open                | Closed, by the next probe  | HalfOpen           | Closed

Without a probe, because the pool no longer asks for one, nothing could ever close it again, unless
its end is known.

Workers open it, too, where their exporter tells Google's name of a quota of a day that is used up,
which ends at a known time. Without a probe it then half-opens, and closes once a whole window of
the exporter's shows no such refusal.

Each answer counts once, however many ticks see it. The more answers were refusals, the longer until
the next probe while the breaker is open. Once closed it starts slowly: the cap of HalfOpen doubles
step by step. A refusal during that time opens it again, and the back-off goes on where it was.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf

from scanpool.decide.llm_signals import LlmSignals, Probed, Refused
from scanpool.models.base import Model
from scanpool.models.llm import Llm, OnQuotaExhausted
from scanpool.models.units import timestamp

# Replicas that try the provider again before the breaker closes.
HALF_OPEN_REPLICAS = 1
# Slow start: a pod takes about this long until it calls the provider (assess.workers has twice that
# as its cautious guess, image included), so each doubling rests on the one before.
SLOW_START_STEP_SECONDS = 30.0
SLOW_START_DOUBLINGS = 10
SLOW_START_SECONDS = SLOW_START_STEP_SECONDS * SLOW_START_DOUBLINGS
# An end that is told within a minute is the usual pause of a client, which gateways put beside
# every refusal: it says nothing of an account that is empty.
SHORTEST_END_SECONDS = 61.0


class Quota(StrEnum):
    """The state of the breaker, as the status calls it.

    Open: the provider refuses every call for billing reasons. HalfOpen: it answered again, and one
    replica's worth of calls is tried.
    """

    CLOSED = "Closed"
    HALF_OPEN = "HalfOpen"
    OPEN = "Open"


@dataclass(frozen=True, slots=True)
class Breaker:
    """Its state `since` when, and the `code` that opened it.

    It was refused `refusals` times since it opened, last at `refused_at`, and closed at
    `closed_at`; `suspected` while it is closed and the workers are refused for billing. `until` is
    when the refusal ends, where that is known.
    """

    state: Quota = Quota.CLOSED
    code: str | None = None
    since: float | None = None
    refusals: int = 0
    refused_at: float | None = None
    closed_at: float | None = None
    suspected: bool = False
    until: float | None = None

    @property
    def known_end(self) -> float | None:
        """When the open breaker's refusal ends; None where nobody told."""
        return self.until if self.state is Quota.OPEN else None

    def taints_refusals(self, window_seconds: float, now: float) -> bool:
        """Tell whether refused calls of the workers may be billing errors, whatever their name.

        Many client libraries count every 429 alike, and rates reach back by the usage window.
        """
        if self.state is not Quota.CLOSED:
            return True
        return self.closed_at is not None and now < self.closed_at + window_seconds

    def starts_slowly(self, now: float) -> bool:
        """Tell whether it has closed so recently that replicas come back step by step."""
        return self.closed_at is not None and now - self.closed_at < SLOW_START_SECONDS


@dataclass(frozen=True, slots=True)
class Cap:
    """At most so many replicas, and why, in words."""

    replicas: int
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the breaker makes of a pool: no cap where it limits nothing. It is so `since` when."""

    state: Quota
    code: str | None
    cap: Cap | None
    until: float | None = None
    since: float | None = None


def step(breaker: Breaker, signals: LlmSignals, window_seconds: float, now: float) -> Breaker:
    """Return the breaker, moved by the last probe's answer, or by what the workers met."""
    probed = signals.probed
    if breaker.state is Quota.CLOSED and not breaker.starts_slowly(now) and _counts(breaker):
        breaker = replace(breaker, refusals=0, until=None)
    breaker = _met_by_workers(breaker, signals.refused, window_seconds)
    if not probed.is_asked:
        return _by_time(breaker, signals.refused, window_seconds, now)
    if probed.at is not None and _is_new(breaker, probed.at):
        code = probed.billing_code
        breaker = (
            _answered(breaker, probed.at)
            if code is None
            else _refused(breaker, code, probed.at, _end(probed))
        )
    suspected = signals.refused.for_billing and not breaker.taints_refusals(window_seconds, now)
    return breaker if suspected == breaker.suspected else replace(breaker, suspected=suspected)


def judge(breaker: Breaker, llm: Llm, current: int, min_replicas: int, now: float) -> Verdict:
    """Return what the breaker allows a pool that has `current` replicas."""
    choice = llm.on_quota_exhausted
    if breaker.state is Quota.OPEN:
        replicas = {
            OnQuotaExhausted.HOLD: current,
            OnQuotaExhausted.SCALE_TO_ZERO: 0,
            OnQuotaExhausted.SCALE_TO_MIN: min_replicas,
        }[choice]
        until = "" if breaker.until is None else f" until {timestamp(breaker.until)}"
        refuses = f"the provider refuses every call{until} ({breaker.code})"
        cap: Cap | None = Cap(replicas, f"{refuses}: onQuotaExhausted is {choice}")
    else:
        cap = _cap(breaker, choice, current, max(HALF_OPEN_REPLICAS, min_replicas), now)
    return Verdict(breaker.state, breaker.code, cap, breaker.known_end, breaker.since)


def strictest(verdicts: Mapping[str, Verdict]) -> str | None:
    """Return whose verdict allows the fewest replicas; None where there are no breakers."""

    def allowed(name: str) -> float:
        cap = verdicts[name].cap
        return inf if cap is None else cap.replicas

    return min(verdicts, key=allowed, default=None)


class KeptBreaker(Model):
    """What of it survives the process."""

    quota: Quota = Quota.CLOSED
    quota_code: str | None = None
    quota_since: float | None = None
    quota_refusals: int | None = None
    quota_closed_at: float | None = None
    quota_until: float | None = None


def kept(breaker: Breaker) -> KeptBreaker:
    """Return what the next process needs."""
    return KeptBreaker(
        quota=breaker.state,
        quota_code=breaker.code,
        quota_since=breaker.since,
        quota_refusals=breaker.refusals or None,
        quota_closed_at=breaker.closed_at,
        quota_until=breaker.until,
    )


def restored(kept: KeptBreaker) -> Breaker:
    """Return what a process starts with."""
    return Breaker(
        state=kept.quota,
        code=kept.quota_code,
        since=kept.quota_since,
        refusals=kept.quota_refusals or 0,
        closed_at=kept.quota_closed_at,
        until=kept.quota_until,
    )


def heard(breaker: Breaker, told: KeptBreaker) -> Breaker:
    """Return the breaker of a process that follows another, which probes and has written this.

    An answer of its own that is newer moves it on from there, at the next step.
    """
    theirs = restored(told)
    return breaker if kept(breaker) == kept(theirs) else theirs


def _cap(
    breaker: Breaker, choice: OnQuotaExhausted, current: int, first: int, now: float
) -> Cap | None:
    """Return the most replicas that may try the provider again, `first` of them at once.

    The slow start only bounds growth: it takes none of the `current` replicas.
    """
    is_tried, closed_at = breaker.state is Quota.HALF_OPEN, breaker.closed_at
    if not is_tried and (closed_at is None or not breaker.starts_slowly(now)):
        return None
    kept = " or those that were kept" if choice is OnQuotaExhausted.HOLD else ""
    reason = (
        f"the provider answers again: replicas come back slowly, {first} at first{kept}, "
        f"then twice as many every {SLOW_START_STEP_SECONDS:.0f} s"
    )
    if is_tried or closed_at is None:
        return Cap(current if choice is OnQuotaExhausted.HOLD else first, reason)
    steps = int(max(now - closed_at, 0.0) / SLOW_START_STEP_SECONDS)
    return Cap(max(first << steps, current), reason)


def _met_by_workers(breaker: Breaker, refused: Refused, window: float) -> Breaker:
    """Open it for a quota of a day that the workers' exporter tells, with its end.

    Their refusals of before it closed, or half-opened, are still in the rates for a window.
    """
    met, at = refused.used_up, refused.at
    if met is None or at is None or breaker.state is Quota.OPEN:
        return breaker
    since = max(breaker.since or 0.0, breaker.closed_at or 0.0)
    return _refused(breaker, met.quota, at, met.until) if at - window >= since else breaker


def _by_time(breaker: Breaker, refused: Refused, window: float, now: float) -> Breaker:
    """Move a breaker that no probe moves, if its end is known; else nothing could close it."""
    if breaker.until is None or (refused.at is None and not refused.is_lost):
        return Breaker()
    if breaker.state is Quota.OPEN:
        return (
            replace(breaker, state=Quota.HALF_OPEN, since=now) if now >= breaker.until else breaker
        )
    if breaker.state is Quota.CLOSED or refused.at is None or refused.for_billing:
        return breaker
    is_tried = refused.at - window >= (breaker.since or 0.0)
    # Its end goes with it, so that it starts slowly without a probe, too.
    return (
        Breaker(refusals=breaker.refusals, closed_at=now, until=breaker.until)
        if is_tried
        else breaker
    )


def _end(probed: Probed) -> float | None:
    at, until = probed.at, probed.refused_until
    return (
        until
        if at is not None and until is not None and until - at >= SHORTEST_END_SECONDS
        else None
    )


def _refused(breaker: Breaker, code: str, at: float, until: float | None) -> Breaker:
    counted = replace(breaker, refusals=breaker.refusals + 1, refused_at=at, until=until)
    if breaker.state is Quota.OPEN and breaker.code == code:
        return counted
    return replace(counted, state=Quota.OPEN, code=code, since=at)


def _answered(breaker: Breaker, at: float) -> Breaker:
    if breaker.state is Quota.CLOSED:
        return breaker
    if breaker.state is Quota.OPEN:
        return replace(breaker, state=Quota.HALF_OPEN, since=at, until=None)
    return Breaker(refusals=breaker.refusals, closed_at=at)


def _counts(breaker: Breaker) -> bool:
    """Tell whether it still knows of refusals."""
    return breaker.refusals > 0 or breaker.until is not None


def _is_new(breaker: Breaker, at: float) -> bool:
    """Tell whether an answer is none of those that the breaker has counted."""
    return all(one is None or at > one for one in (breaker.since, breaker.refused_at))
