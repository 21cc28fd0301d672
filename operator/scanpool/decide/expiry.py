"""Messages that a time to live takes before a worker does: dead-lettered or dropped, unseen.

RabbitMQ lets messages expire (x-message-ttl of a queue or a policy) while they wait. They wait
while a breaker keeps all workers away, and in a backlog. Told is, before it happens, the first of:

what                                          | once
a breaker keeps workers away                  | messages that came as it opened would expire before
                                              | the provider is asked again, or answers
a backlog                                     | what is ready takes most of the time to work off
the breaker's choice, before it ever opens    | the time is shorter than the longest back-off
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from scanpool.decide import served
from scanpool.decide.breaker import Quota, Verdict
from scanpool.decide.probing import LONGEST_BACKOFF_SECONDS
from scanpool.decide.signals import Expiry, Signals
from scanpool.models.conditions import Reason
from scanpool.models.llm import Llm, OnQuotaExhausted
from scanpool.models.spec import PoolSpec
from scanpool.models.units import timestamp

# Of the time to live: a backlog that grows on reaches the rest while somebody reads the warning.
BACKLOG_SHARE = 0.75


class Risk(NamedTuple):
    """Why messages may expire, and what to do, in words that stay while it is so."""

    reason: Reason
    words: str


def risk(spec: PoolSpec, signals: Signals, verdicts: Mapping[str, Verdict]) -> Risk | None:
    """Return what may let messages expire; None if nothing does. `verdicts` are each limit's."""
    expiries = signals.expiries or ()
    for name, verdict in verdicts.items():
        first = _first(expiries, served.waiting(spec, frozenset({name})))
        if first is not None and (found := _kept_away(first, verdict, signals.now)) is not None:
            return found
    for expiry in expiries:
        if expiry.ready and _takes_seconds(expiry) >= BACKLOG_SHARE * expiry.seconds:
            return Risk(Reason.BACKLOG_OUTLASTS_TTL, _of_backlog(expiry))
    for name, llm in spec.limits.items():
        first = _first(expiries, served.waiting(spec, frozenset({name})))
        seen = signals.llms.get(name)
        may_open = seen is not None and seen.probed.is_asked and _leaves_nobody(llm, spec)
        if may_open and first is not None and first.seconds <= LONGEST_BACKOFF_SECONDS:
            return Risk(Reason.BREAKER_OUTLASTS_TTL, _of_choice(first, llm))
    return None


def _first(expiries: Collection[Expiry], names: Collection[str]) -> Expiry | None:
    concerned = (one for one in expiries if one.queue in names)
    return min(concerned, key=lambda one: one.seconds, default=None)


def _kept_away(first: Expiry, verdict: Verdict, now: float) -> Risk | None:
    if verdict.state is not Quota.OPEN or verdict.cap is None or verdict.cap.replicas > 0:
        return None
    opened = now if verdict.since is None else verdict.since
    ends = now + LONGEST_BACKOFF_SECONDS if verdict.until is None else verdict.until
    expires = opened + first.seconds
    if expires > ends:
        return None
    return Risk(
        Reason.BREAKER_OUTLASTS_TTL,
        f"no worker takes messages since {timestamp(opened)}, as the provider refuses calls: those "
        f"of queue {first.queue} expire after {first.seconds:,.0f} s, from {timestamp(expires)} "
        "on; see QuotaExhausted, raise their time to live (x-message-ttl or a policy), or catch "
        "them with a dead-letter exchange",
    )


def _takes_seconds(expiry: Expiry) -> float:
    """Return how long the last of the ready messages waits at the present pace; 0 if unknown."""
    return expiry.ready / expiry.acked_per_second if expiry.acked_per_second > 0 else 0.0


def _of_backlog(expiry: Expiry) -> str:
    return (
        f"what waits in queue {expiry.queue} takes nearly the {expiry.seconds:,.0f} s, or longer, "
        "after which its messages expire, at the pace at which they are acknowledged: see what "
        "limits the pool (ScalingLimited), send less, or raise their time to live "
        "(x-message-ttl or a policy)"
    )


def _leaves_nobody(llm: Llm, spec: PoolSpec) -> bool:
    choice = llm.on_quota_exhausted
    is_to_none = choice is OnQuotaExhausted.SCALE_TO_MIN and spec.min_replicas == 0
    return choice is OnQuotaExhausted.SCALE_TO_ZERO or is_to_none


def _of_choice(first: Expiry, llm: Llm) -> str:
    return (
        f"onQuotaExhausted is {llm.on_quota_exhausted}, and messages of queue {first.queue} expire "
        f"after {first.seconds:,.0f} s: a breaker that opens asks the provider again after up to "
        f"{LONGEST_BACKOFF_SECONDS:,.0f} s, and they would be lost before; raise their time to "
        "live (x-message-ttl or a policy), or catch them with a dead-letter exchange"
    )
