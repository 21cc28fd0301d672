"""What the readings say of a provider's limit: what it tells, who uses it, who is refused."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from scanpool.decide import belief, bucket, limits
from scanpool.decide.assess import keys, level, use
from scanpool.decide.assess.gaps import awaits_first_call, bridged, own_unknown
from scanpool.decide.limits import ADMIN, PROBE, UNITS, KnownLimit, Told
from scanpool.decide.llm_signals import KeySignals, LlmSignals, Probed, Ratio, Refused, UsedUp
from scanpool.decide.memory import LlmMemory
from scanpool.decide.signals import Workers
from scanpool.models.claims import Unit
from scanpool.models.conditions import Reason
from scanpool.models.error_codes import SLOW_DOWN, is_billing, is_day_limit
from scanpool.models.googles_day import day_quota, used_up_until
from scanpool.models.llm import Llm
from scanpool.models.observation import Observation, ProviderState
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.models.spec import PoolSpec, Queue
from scanpool.models.units import SECONDS_PER_MINUTE


def assess(
    spec: PoolSpec, seen: Observation, memory: LlmMemory, workers: Workers, now: float
) -> tuple[LlmSignals, Observation]:
    """Return the signals of the pool's limit, and the readings less the one that is none.

    Raises:
        ValueError: if the pool has no `llm`.

    """
    llm, queues = spec.llm, spec.rabbitmq.queues
    if llm is None:
        raise ValueError("a pool without an llm has no provider to assess")
    each, seen = _keys(llm, seen, memory)
    acked = use.acknowledged(queues, seen.rates)
    codes = seen.usage.value.refused_codes if isinstance(seen.usage, Available) else frozenset()
    trusted, vetted = _vetted(llm, seen, memory, acked.flow.tokens, now)
    window = llm.usage.window_seconds
    measured = use.measure(_before_first_call(vetted), acked)
    limits_told = _told(seen)
    counted = sum(one.part is not None for one in each.values()) or 1
    believed = limits.step(memory.limits, llm, limits_told, now, counted)
    known = level.Known(believed, memory.cost, memory.bucket)
    seen_level = level.look(spec, seen, measured, known, workers, now)
    told = use.by_level(measured, seen_level)
    usage = vetted.usage
    delay = max(now - usage.at, 0.0) if isinstance(usage, Available) else 0.0
    return (
        LlmSignals(
            use=told,
            told=limits_told,
            limits=believed,
            probed=_probed(seen.provider, counted),
            refused=_refused(vetted, codes),
            # The rates are averages over the usage window, their newest sample is some seconds old,
            # and a pod that was starting spends only once it is ready.
            hold_seconds=window + delay + workers.start_seconds,
            belief=trusted,
            bucket=seen_level,
            answered_at=memory.limits.answered_at,
            calls_per_task=_calls_per_task(queues, vetted),
            awaits_first_call=awaits_first_call(vetted),
            start_seconds=workers.start_seconds,
            teaches=not isinstance(seen.rates, Unavailable)
            and not isinstance(usage, Unavailable)
            and not bucket.is_implausible(measured.whole.tokens, seen_level.latest),
            bridged=bridged(vetted, memory.limits),
            own_unknown=own_unknown(spec, vetted, told),
            contradiction=bucket.contradiction(seen_level, measured.whole.tokens, now),
            keys=each,
        ),
        vetted,
    )


def _before_first_call(seen: Observation) -> Observation:
    """Take the use of idle workers for not asked for, where the level tells what others use.

    Then a burst waits for no scrape: the level takes back what was too much.
    """
    answer = seen.provider
    is_told = isinstance(answer, Available) and answer.value.tokens_remaining is not None
    if seen.target.replicas and is_told and awaits_first_call(seen):
        return replace(seen, usage=None)
    return seen


def _vetted(
    llm: Llm, seen: Observation, memory: LlmMemory, own: float | None, now: float
) -> tuple[belief.Belief, Observation]:
    """Take a reading of use that is stuck for unavailable."""
    usage = seen.usage
    if not isinstance(usage, Available):
        return memory.belief, seen
    trusted = belief.step(
        memory.belief,
        usage.value.tokens_per_minute,
        usage.value.own_tokens_per_minute,
        is_working=bool(own),
        now=now,
    )
    if (wrong := belief.doubt(trusted, llm.usage.window_seconds, now)) is None:
        return trusted, seen
    stuck = Unavailable(
        Reason.USAGE_FROZEN,
        f"{usage.source} has shown {wrong}; see whether the exporter is scraped and counts the "
        "pool's workers, or correct llm.usage.prometheus",
    )
    return trusted, replace(seen, usage=stuck)


def _told(seen: Observation) -> Told | None:
    """Return the limits that the provider tells now; None where nobody is asked.

    The Admin API counts only where the probe's answer is silent.
    """
    if seen.provider is None and seen.configured is None:
        return None
    found = dict[Unit, KnownLimit]()
    for reading, source in ((seen.configured, ADMIN), (seen.provider, PROBE)):
        if not isinstance(reading, Available):
            continue
        for unit in UNITS:
            if (value := reading.value.limit(unit)) is not None:
                found[unit] = KnownLimit(value, source, reading.at)
    return found


def _keys(
    llm: Llm, seen: Observation, memory: LlmMemory
) -> tuple[Mapping[str, KeySignals], Observation]:
    """Return what is known of each of several keys, and the readings with what they come to."""
    if not llm.api_key_secret_refs:
        return {}, seen
    if seen.keys is None:
        parts = keys.unprobed(llm)
        return {name: KeySignals(Probed(is_asked=False), one) for name, one in parts.items()}, seen
    found = keys.together(llm, seen.keys, memory.keys)
    each = {
        name: KeySignals(_probed(answer), found.parts.get(name))
        for name, answer in found.answers.items()
    }
    return each, replace(seen, provider=found.answer)


def _probed(answer: Reading[ProviderState] | None, calls: int = 1) -> Probed:
    if not isinstance(answer, Available):
        return Probed(is_asked=answer is not None, calls=calls)
    return Probed(
        is_asked=True,
        at=answer.at,
        source=answer.source,
        billing_code=answer.value.refused_with,
        rate_limited=answer.value.rate_limited and answer.value.used_up_quota is None,
        remaining=answer.value.tokens_remaining,
        tokens=answer.value.tokens_spent,
        today=answer.value.today,
        refused_until=answer.value.refused_until,
        calls=calls,
    )


def _refused(seen: Observation, codes: frozenset[str]) -> Refused:
    """Return who is refused, with the `codes` of a reading that may show no use any more."""
    usage, answer = seen.usage, seen.provider
    for_billing = any(is_billing(code) or is_day_limit(code) for code in codes)
    slowed = []
    if isinstance(answer, Available) and answer.value.slow_down:
        slowed.append(answer.at)
    if not isinstance(usage, Available):
        return Refused(
            slowed_at=max(slowed, default=None),
            is_lost=usage is not None,
            for_billing=for_billing,
        )
    if SLOW_DOWN in codes:
        slowed.append(usage.at)
    return Refused(
        per_minute=usage.value.rate_limited_per_minute,
        by_code=usage.value.refusals,
        source=usage.source,
        at=usage.at,
        slowed_at=max(slowed, default=None),
        for_billing=for_billing,
        used_up=_used_up(codes, usage.at),
    )


def _used_up(codes: frozenset[str], at: float) -> UsedUp | None:
    quotas = sorted(filter(None, map(day_quota, codes)))
    until = used_up_until(at) if quotas else None
    return None if until is None else UsedUp(quotas[0], until)


def _calls_per_task(queues: Sequence[Queue], seen: Observation) -> Ratio | None:
    """Return the LLM calls that the pool makes for one message that it works off.

    None where its own calls, the refused ones among them, or its messages are not counted.
    """
    usage, rates = seen.usage, seen.rates
    if not isinstance(usage, Available) or not isinstance(rates, Available):
        return None
    calls, refused = usage.value.own_requests_per_minute, usage.value.own_refused_per_minute
    priced = {queue.name for queue in queues if queue.tokens_per_message}
    tasks = sum(
        rate.acked_per_second * SECONDS_PER_MINUTE for rate in rates.value if rate.name in priced
    )
    if calls is None or refused is None or not tasks:
        return None
    return Ratio((calls + refused) / tasks, usage.source, usage.at)
