"""The second stride: every part of the memory steps once, by the signals of this tick."""

from dataclasses import replace

from scanpool.decide import (
    activation,
    backoff,
    breaker,
    cost,
    day,
    history,
    limits,
    probing,
    ramp,
    restarts,
    served,
    throughput,
)  # fmt: skip
from scanpool.decide.backoff import Billing
from scanpool.decide.breaker import Breaker, Quota
from scanpool.decide.memory import LlmMemory, Memory
from scanpool.decide.signals import Signals
from scanpool.models.spec import PoolSpec


def learn(spec: PoolSpec, signals: Signals, memory: Memory) -> Memory:
    """Return the memory with all that this tick teaches, before anything is decided.

    Some parts have stepped while the signals were made, because those rest on them: the limits, the
    belief in the reading of use and the bucket, beside the working sets.
    """
    own = replace(
        memory,
        history=history.step(memory.history, spec, signals),
        working_sets=signals.working_sets,
        failures=signals.failures,
        activity=activation.step(memory.activity, signals),
        restarts=restarts.step(memory.restarts, signals),
    )
    llms = {
        name: _of_limit(spec.only(name), signals.only(name), memory.of(name), own.history)
        for name in spec.limits
    }
    breakers = {name: one.breaker for name, one in llms.items()}
    refused = [one.backoff.refused_at for one in llms.values() if one.backoff.refused_at]
    verdicts = served.judge(spec, signals, breakers)
    return replace(
        own,
        llms=llms,
        served=served.step(memory.served, spec, signals, verdicts),
        throughput=throughput.step(memory.throughput, signals, max(refused, default=None)),
    )


def _of_limit(
    spec: PoolSpec, signals: Signals, known: LlmMemory, past: history.History
) -> LlmMemory:
    """Return what is remembered of the pool's only limit."""
    llm, seen = spec.llm, signals.llm
    if llm is None or seen is None:
        return replace(known, breaker=Breaker())
    now, window = signals.now, llm.usage.window_seconds
    paid = breaker.step(known.breaker, seen, window, now)
    has_opened = paid.state is Quota.OPEN and known.breaker.state is Quota.CLOSED
    billing = Billing(
        taints=paid.taints_refusals(window, now),
        # What the workers met between the last good answer and now was no limit.
        forgive_since=seen.answered_at if has_opened else None,
    )
    in_force = limits.in_force(seen.limits, llm)
    held_back = backoff.step(known.backoff, seen, billing, now)
    return replace(
        known,
        breaker=paid,
        backoff=held_back,
        limits=seen.limits,
        cost=cost.step(known.cost, llm, signals, held_back.refused_at, past.shrunk_at),
        bucket=seen.bucket,
        belief=seen.belief,
        uses=ramp.step(known.uses, llm.ramp, seen.use.whole.tokens, now),
        probing=probing.step(seen, in_force, now),
        days=day.step(known.days, llm.provider, seen, in_force, now),
    )
