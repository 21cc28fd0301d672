"""Which of the readings that a pool asks for are missing: while any is, the pool holds."""

from typing import Any

from scanpool.decide.limits import TOKEN_UNITS, KnownLimits
from scanpool.decide.llm_signals import LlmSignals, Use
from scanpool.models.conditions import Reason
from scanpool.models.observation import Observation, QueueRates
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.models.spec import PoolSpec

# Why a provider may be silent for a while that its limits outlast. What needs a person does not.
PASSING = frozenset({Reason.PROVIDER_UNREACHABLE, Reason.PROVIDER_ERROR, Reason.DEADLINE_EXCEEDED})


def bridged(observation: Observation, known: KnownLimits) -> Unavailable | None:
    """Return why the provider is silent, if the pool can go on without it for a while.

    It can where the limit on tokens is remembered and the use of the key is measured: the level of
    the bucket is then reckoned on, and where that is too old, use follows a share of the limit.
    """
    silent = observation.provider
    if not isinstance(silent, Unavailable) or silent.reason not in PASSING:
        return None
    is_known = any(unit in known.by_unit for unit in TOKEN_UNITS)
    return silent if is_known and isinstance(observation.usage, Available) else None


def of(reading: Reading[Any] | None) -> tuple[Unavailable, ...]:
    """Return the reading if it is asked for and missing."""
    return (reading,) if isinstance(reading, Unavailable) else ()


def of_rules(reading: Reading[Any] | None) -> tuple[Unavailable, ...]:
    """Return the reading of a namespace's quotas if it is missing for a while.

    Without the right to see them the pool goes on as if there were none: Kubernetes refuses the
    pods that are too many.
    """
    return tuple(one for one in of(reading) if one.reason is not Reason.KUBERNETES_FORBIDDEN)


def of_limit(spec: PoolSpec, observation: Observation, llm: LlmSignals) -> tuple[Unavailable, ...]:
    """Return what is missing of the pool's only limit; each says why and what to do.

    A limit on tokens that nobody tells, although all who are asked answer, is a gap too: its
    ceiling is unknown. While the provider refuses to be paid it tells none, and the breaker
    decides. The Admin API is missed only where nobody else tells the limit.
    """
    readings = (observation.rates, observation.provider, observation.usage)
    missing = tuple(reading for reading in readings if isinstance(reading, Unavailable))
    if awaits_first_call(observation):
        missing = tuple(reading for reading in missing if reading is not observation.usage)
    if spec.llm is None:
        return missing
    if llm.bridged is not None:
        return tuple(reading for reading in missing if reading is not llm.bridged)
    told = llm.told or {}
    if spec.llm.tokens_per_minute is not None or any(unit in told for unit in TOKEN_UNITS):
        return missing
    if isinstance(observation.configured, Unavailable):
        return (*missing, observation.configured)
    if llm.probed.billing_code is None and not isinstance(observation.provider, Unavailable):
        missing += (
            Unavailable(
                Reason.LIMIT_UNKNOWN,
                f"{spec.llm.api_base} tells no tokens-per-minute limit for model "
                f"{spec.llm.model}: set llm.tokensPerMinute",
            ),
        )
    return missing


def awaits_first_call(observation: Observation) -> bool:
    """Tell whether use is unknown only because nobody has called the provider yet.

    Exporters show no series before the first answered call, and those that workers export
    themselves end with their pods. A pool at zero that held for it would hold for ever, and one
    whose new workers have had nothing to do for as long.
    """
    usage = observation.usage
    if not isinstance(usage, Unavailable) or usage.reason is not Reason.USAGE_NOT_FOUND:
        return False
    return observation.target.replicas == 0 or _has_done_nothing(observation.rates)


def _has_done_nothing(rates: Reading[tuple[QueueRates, ...]] | None) -> bool:
    """Tell whether it is known that no message was worked off for a usage window."""
    if not isinstance(rates, Available) or not rates.value:
        return False
    return all(rate.acked_per_second == 0 for rate in rates.value)


def own_unknown(spec: PoolSpec, observation: Observation, use: Use) -> Unavailable | None:
    """Return why the key's use cannot be split into the pool's part and others'; None if it can.

    No reading has failed, so nothing is held for it: the pool only does not grow into what others
    may use. Its workers' series tell the part, else acknowledged messages.
    """
    rates, queues = observation.rates, spec.rabbitmq.queues
    if not isinstance(observation.usage, Available) or isinstance(rates, Unavailable):
        return None
    if use.own_is_told or use.others.tokens is not None:
        return None
    priced = [queue.name for queue in queues if queue.tokens_per_message]
    rated = {rate.name for rate in rates.value} if isinstance(rates, Available) else set()
    missing = [name for name in priced if name not in rated]
    if rates is None:
        why = "AMQP tells no rates: set rabbitmq.managementUrlSecretRef or"
    elif missing:
        why = (
            f"RabbitMQ shows no rates for queue {missing[0]}: switch its statistics on "
            "(management.disable_stats, management_agent.disable_metrics_collector) or set"
        )
    else:
        why = "no queue says what a message costs: set tokensPerMessage or"
    return Unavailable(
        Reason.OWN_USE_UNKNOWN,
        "what the pool itself uses of the key cannot be told from what others do, as "
        f"{why} llm.usage.prometheus.ownLabels",
    )
