"""The breakers of several keys of one model: one that is not paid takes its part away, no more.

Each key has a breaker, moved by its own probe. The workers' metrics do not tell with which key a
call was refused: where the breaker of one is not closed, it explains what they meet for billing,
and the others are not suspected.

the keys' breakers                | the pool's
one Closed                        | that one's; of several the one that has been so for longest
else one HalfOpen                 | that one's
all Open                          | the one whose refusal ends first, where any is known
"""

from collections.abc import Mapping
from dataclasses import replace
from math import inf

from scanpool.decide import breaker
from scanpool.decide.breaker import Breaker, KeptBreaker, Quota
from scanpool.decide.llm_signals import LlmSignals
from scanpool.models.base import Model

Breakers = Mapping[str, Breaker]

_FIRST = (Quota.CLOSED, Quota.HALF_OPEN, Quota.OPEN)


def step(keys: Breakers, seen: LlmSignals, window_seconds: float, now: float) -> Breakers:
    """Return the keys' breakers, moved by the last answer of each."""
    known = {name: keys.get(name, Breaker()) for name in seen.keys}
    is_explained = any(one.taints_refusals(window_seconds, now) for one in known.values())
    met = replace(
        seen.refused, used_up=None, for_billing=seen.refused.for_billing and not is_explained
    )
    return {
        name: breaker.step(
            known[name], replace(seen, probed=one.probed, refused=met), window_seconds, now
        )
        for name, one in seen.keys.items()
    }


def together(keys: Breakers) -> Breaker:
    """Return the breaker of all keys of a limit: the workers go on with those that are paid."""

    def order(one: Breaker) -> tuple[int, float]:
        longest = -inf if one.closed_at is None else one.closed_at
        soonest = inf if one.until is None else one.until
        return _FIRST.index(one.state), longest if one.state is Quota.CLOSED else soonest

    return min(keys.values(), key=order)


class KeptKey(KeptBreaker):
    """What of one key's breaker survives the process."""

    name: str


class KeptKeys(Model):
    """What of them survives the process."""

    by_key: tuple[KeptKey, ...] | None = None


NOTHING_KEPT = KeptKeys()


def kept(keys: Breakers) -> KeptKeys:
    """Return what the next process needs."""
    if not keys:
        return NOTHING_KEPT
    found = tuple(
        KeptKey(name=name, **vars(breaker.kept(one))) for name, one in sorted(keys.items())
    )
    return KeptKeys(by_key=found)


def restored(kept: KeptKeys) -> Breakers:
    """Return what a process starts with."""
    return {one.name: breaker.restored(one) for one in kept.by_key or ()}
