"""The second stride: every part of the memory steps once, by the signals of this tick."""

from dataclasses import replace
from typing import NamedTuple

from scanpool.decide import (
    activation,
    backoff,
    breaker,
    cost,
    day,
    held,
    history,
    keys,
    limits,
    probing,
    ramp,
    restarts,
    served,
    spend,
    throughput,
)  # fmt: skip
from scanpool.decide.backoff import Billing
from scanpool.decide.breaker import Breaker, Quota
from scanpool.decide.keys import Breakers
from scanpool.decide.llm_signals import LlmSignals
from scanpool.decide.memory import LlmMemory, Memory
from scanpool.decide.signals import Signals
from scanpool.models.llm import ONLY
from scanpool.models.spec import PoolSpec


def learn(spec: PoolSpec, signals: Signals, memory: Memory) -> Memory:
    """Return the memory with all that this tick teaches, before anything is decided.

    Some parts have stepped while the signals were made, because those rest on them: the limits, the
    belief in the reading of use and the bucket, beside the working sets.
    """
    past = history.step(memory.history, spec, signals)
    llms = {
        name: _of_limit(spec.only(name), signals.only(name), memory.of(name), past)
        for name in spec.limits
    }
    breakers = {name: one.breaker for name, one in llms.items()}
    refused = [one.backoff.refused_at for one in llms.values() if one.backoff.refused_at]
    verdicts = served.judge(spec, signals, breakers)
    costs = {name: one.cost for name, one in llms.items()}
    return replace(
        memory,
        history=past,
        working_sets=signals.working_sets,
        failures=signals.failures,
        activity=activation.step(memory.activity, signals),
        restarts=restarts.step(memory.restarts, signals),
        held=held.step(memory.held, signals),
        llms=llms,
        served=served.step(memory.served, spec, signals, verdicts),
        throughput=throughput.step(memory.throughput, signals, max(refused, default=None)),
        spent=spend.step(memory.spent, spec, signals, costs),
    )


def _of_limit(
    spec: PoolSpec, signals: Signals, known: LlmMemory, past: history.History
) -> LlmMemory:
    """Return what is remembered of the pool's only limit."""
    llm, seen = spec.llm, signals.llm
    if llm is None or seen is None:
        return replace(known, breaker=Breaker(), keys={})
    now, window = signals.now, llm.usage.window_seconds
    paid = _paid(known, seen, window, now)
    billing = _billing(known, paid, seen, window, now)
    in_force = limits.in_force(seen.limits, llm)
    held_back = backoff.step(known.backoff, seen, billing, now)
    return LlmMemory(
        breaker=paid.breaker,
        keys=paid.keys,
        backoff=held_back,
        limits=seen.limits,
        cost=cost.step(known.cost, llm, signals, held_back.refused_at, past.shrunk_at),
        bucket=seen.bucket,
        belief=seen.belief,
        uses=ramp.step(known.uses, llm.ramp, seen.use.whole.tokens, now),
        probing=probing.step(seen, in_force, now),
        days=day.step(known.days, llm.provider, seen, in_force, now),
    )


class _Paid(NamedTuple):
    """The breaker of a limit, and of several keys that of each."""

    breaker: Breaker
    keys: Breakers


def _paid(known: LlmMemory, seen: LlmSignals, window: float, now: float) -> _Paid:
    """Return the breakers after this tick."""
    if not seen.keys or not seen.probed.is_asked:
        return _Paid(breaker.step(known.breaker, seen, window, now), {})
    each = keys.step(known.keys, seen, window, now)
    return _Paid(keys.together(each), each)


def _billing(known: LlmMemory, paid: _Paid, seen: LlmSignals, window: float, now: float) -> Billing:
    """Return what the breakers make of the workers' 429s: those of any key may be about money."""
    before, after = known.keys or {ONLY: known.breaker}, paid.keys or {ONLY: paid.breaker}
    has_opened = any(
        one.state is Quota.OPEN and before.get(name, Breaker()).state is Quota.CLOSED
        for name, one in after.items()
    )
    return Billing(
        taints=any(one.taints_refusals(window, now) for one in after.values()),
        # What the workers met between the last good answer and now was no limit.
        forgive_since=seen.answered_at if has_opened else None,
    )
