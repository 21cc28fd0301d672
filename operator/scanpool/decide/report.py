"""The numbers of the token ceiling for the status, each with who told it and when."""

from collections.abc import Mapping

from scanpool.decide.budget import Entitlement
from scanpool.decide.cost import Cost
from scanpool.decide.limits import TOKEN_UNITS, Limit
from scanpool.decide.use import ACKNOWLEDGED, LEVEL, SECONDS_PER_MINUTE, Use
from scanpool.models.budget import BudgetReport, Unit
from scanpool.models.decision import Figure, TokenReport, Zone
from scanpool.models.llm import Llm
from scanpool.models.memory import Memory
from scanpool.models.observation import Observation
from scanpool.models.reading import Available
from scanpool.models.spec import Queue

# Upper edges of the zones, as shares of the limit: those of the system this was built for.
ZONES = ((0.50, Zone.GREEN), (0.75, Zone.YELLOW), (0.90, Zone.ORANGE))


def zone(limit: int, used: float, refused: bool) -> Zone:
    """Return how near to the limit the use is; Exceeded once calls are refused."""
    if refused:
        return Zone.EXCEEDED
    return next((name for edge, name in ZONES if used <= edge * limit), Zone.RED)


def calls_per_task(queues: tuple[Queue, ...], observation: Observation) -> float | None:
    """Return the LLM calls that the pool makes for one message that it works off.

    More than one are retries. None where its own calls, the refused ones among them, or its
    messages are not counted.
    """
    usage, rates = observation.usage, observation.rates
    if not isinstance(usage, Available) or not isinstance(rates, Available):
        return None
    calls, refused = usage.value.own_requests_per_minute, usage.value.own_refused_per_minute
    priced = {queue.name for queue in queues if queue.tokens_per_message}
    tasks = sum(
        rate.acked_per_second * SECONDS_PER_MINUTE for rate in rates.value if rate.name in priced
    )
    if calls is None or refused is None or not tasks:
        return None
    return (calls + refused) / tasks


def of(
    llm: Llm,
    queues: tuple[Queue, ...],
    observation: Observation,
    memory: Memory,
    limits: Mapping[Unit, Limit],
    use: Use,
    cost: Cost,
    factor: float,
    shared: Entitlement | None,
) -> TokenReport:
    """Put the numbers of the token ceiling together."""
    limit = _shown_limit(limits)
    usage = observation.usage.value if isinstance(observation.usage, Available) else None
    provider = observation.provider
    probe_refused = isinstance(provider, Available) and provider.value.rate_limited
    refused = None if usage is None else usage.rate_limited_per_minute
    requests = limits.get(Unit.REQUESTS)
    return TokenReport(
        limit=None if limit is None else limit.value,
        limit_source=None if limit is None else limit.source,
        used=use.whole.tokens,
        used_source=use.source,
        own=use.own.tokens,
        others=None if use.source in (None, ACKNOWLEDGED, LEVEL) else use.others.tokens,
        tokens_per_replica=cost.tokens,
        cost_source=cost.source,
        cost_confidence=cost.confidence,
        requests_limit=None if requests is None else requests.value,
        requests_used=use.whole.requests,
        input_limit=limits[Unit.INPUT_TOKENS].value if Unit.INPUT_TOKENS in limits else None,
        output_limit=limits[Unit.OUTPUT_TOKENS].value if Unit.OUTPUT_TOKENS in limits else None,
        probe=_probe_rate(llm, observation),
        calls_per_task=calls_per_task(queues, observation),
        refusals=() if usage is None else usage.refusals,
        rate_limited_per_minute=refused,
        backoff_factor=factor,
        zone=_zone(limits, use, refused=bool(refused) or probe_refused),
        budget=None if shared is None else BudgetReport(shared.total, shared.share, shared.others),
        figures=_figures(queues, observation, memory, limit, use, cost),
    )


def _zone(limits: Mapping[Unit, Limit], use: Use, *, refused: bool) -> Zone | None:
    """Return the zone of the token limit that is used most; None if limit or use are unknown.

    Input and output count where they are told apart; else all tokens, with both limits together.
    """
    units = TOKEN_UNITS if use.whole.output_tokens is not None else (Unit.TOKENS,)
    known = [(limits[unit], use.whole.of(unit)) for unit in units if unit in limits]
    if not known and (limit := _shown_limit(limits)) is not None:
        known = [(limit, use.whole.tokens)]
    found = [(used / limit.value, limit.value, used) for limit, used in known if used is not None]
    if not found:
        return None
    _, most, used = max(found)
    return zone(most, used, refused)


def _shown_limit(limits: Mapping[Unit, Limit]) -> Limit | None:
    """Return the limit on tokens: on all, else on input and output together, else on either."""
    if Unit.TOKENS in limits:
        return limits[Unit.TOKENS]
    apart = [limits[unit] for unit in (Unit.INPUT_TOKENS, Unit.OUTPUT_TOKENS) if unit in limits]
    if not apart:
        return None
    return Limit(sum(one.value for one in apart), apart[0].source, apart[0].at)


def _probe_rate(llm: Llm, observation: Observation) -> float | None:
    provider = observation.provider
    if not isinstance(provider, Available) or provider.value.tokens_spent is None:
        return None
    return provider.value.tokens_spent * SECONDS_PER_MINUTE / llm.probe.interval_seconds


def _figures(
    queues: tuple[Queue, ...],
    observation: Observation,
    memory: Memory,
    limit: Limit | None,
    use: Use,
    cost: Cost,
) -> tuple[Figure, ...]:
    """Tell where the numbers come from; those of the spec have no time and need none."""
    usage, provider = observation.usage, observation.provider
    told: list[tuple[str, str | None, float | None]] = [
        ("limit", None, None) if limit is None else ("limit", limit.source, limit.at),
        ("used", use.source, use.at),
        ("others", use.source if use.source not in (ACKNOWLEDGED, LEVEL) else None, use.at),
        ("tokensPerReplica", cost.source, cost.at),
        ("backoff", "429s", memory.backoff_at),
    ]
    if isinstance(usage, Available):
        counted = usage.value.rate_limited_per_minute is not None
        told.append(("rateLimited", usage.source if counted else None, usage.at))
        calls = calls_per_task(queues, observation) is not None
        told.append(("callsPerTask", usage.source if calls else None, usage.at))
    if isinstance(provider, Available):
        told.append(("quota", provider.source, provider.at))
    return tuple(
        Figure(name, source, at)
        for name, source, at in told
        if source is not None and at is not None
    )
