"""All ceilings of one tick, with the numbers behind them."""

from dataclasses import dataclass, replace

from scanpool.decide import feedback, gaps, room, tokens
from scanpool.models.decision import Ceiling, LimitedBy, MemoryReport, TokenReport
from scanpool.models.memory import Memory
from scanpool.models.observation import Observation
from scanpool.models.spec import Llm, PoolSpec


@dataclass(frozen=True, slots=True)
class Ceilings:
    """The ceilings that apply to a pool, with their reports."""

    tokens: Ceiling | None = None
    requests: Ceiling | None = None
    memory: Ceiling | None = None
    token_report: TokenReport | None = None
    memory_report: MemoryReport | None = None

    def named(self) -> tuple[tuple[LimitedBy, Ceiling], ...]:
        """Return the ceilings that apply, in the order in which they are reported."""
        pairs = (
            (LimitedBy.TOKENS, self.tokens),
            (LimitedBy.REQUESTS, self.requests),
            (LimitedBy.MEMORY, self.memory),
        )
        return tuple((name, one) for name, one in pairs if one is not None)


def measure(spec: PoolSpec, observation: Observation, memory: Memory, now: float) -> Ceilings:
    """Return the ceilings that the spec asks for, as this tick's readings and the memory say."""
    found = Ceilings()
    if spec.memory.enabled and (pair := room.memory_ceiling(spec.memory, observation, memory, now)):
        found = replace(found, memory=pair[0], memory_report=pair[1])
    if spec.llm is None:
        return found
    return _with_provider(spec.llm, spec, observation, memory, now, found)


def _with_provider(
    llm: Llm,
    spec: PoolSpec,
    observation: Observation,
    memory: Memory,
    now: float,
    found: Ceilings,
) -> Ceilings:
    queues, current = spec.rabbitmq.queues, observation.target.replicas
    whole, own = tokens.flows(queues, observation)
    others = tokens.others(observation, whole, own)
    token_limit, request_limit = tokens.limits(llm, observation)
    per_replica = tokens.cost(memory, llm, queues, own)
    hold = feedback.hold_seconds(llm.usage.window_seconds, observation)
    factor = feedback.backoff_factor(memory, hold, now)
    target = llm.target_utilization_percent
    by_tokens = tokens.ceiling(
        "TPM",
        token_limit,
        others.tokens,
        per_replica.tokens,
        target,
        factor,
        current,
        tokens.burst(llm, observation, token_limit, now),
    )
    by_requests = None
    if request_limit.value is not None and per_replica.requests is not None:
        by_requests = tokens.ceiling(
            "RPM",
            request_limit,
            others.requests,
            per_replica.requests,
            target,
            factor,
            current,
        )
    if gaps.awaits_first_call(observation):
        by_tokens, by_requests = tokens.first_replica(), None
    if feedback.growth_stopped(memory, now):
        by_tokens = feedback.without_growth(by_tokens, current)
    return replace(
        found,
        tokens=by_tokens,
        requests=by_requests,
        token_report=tokens.report(
            observation, token_limit, request_limit, whole, own, per_replica, factor
        ),
    )
