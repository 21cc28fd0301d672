"""The token ceiling and, by the same formula, the request ceiling.

    ceiling = floor(factor x (target x limit - others) / cost of one replica)

in tokens (or requests) per minute, and at least one while others leave any room. `others` is what
everyone else on the key uses, `factor` is the back-off after rate-limit 429s. Headroom is limit
less *rate*: the level of the provider's bucket says how much burst is left, not how much of the
limit is unused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp, floor

from scanpool.models.decision import Ceiling, CostSource, TokenReport, Zone
from scanpool.models.memory import Memory
from scanpool.models.observation import Observation, QueueDepth, QueueRates
from scanpool.models.reading import Available, Unavailable
from scanpool.models.spec import MOST_REPLICAS, Llm, Queue

SECONDS_PER_MINUTE = 60
# Three of these follow a change of the queue mix to 95%, which has to be within three minutes.
COST_TIME_CONSTANT_SECONDS = 60.0
# Who told a limit.
PROBE = "probe"
# A level that is older than this many probes may be spent already.
FRESH_PROBES = 2
# Where a single replica costs more than the target allows, the choice is it or nothing: a pool that
# may go to zero would then never work off a message.
LAST_REPLICA = 1
# Upper edges of the zones, as shares of the limit: those of the system this was built for.
ZONES = ((0.50, Zone.GREEN), (0.75, Zone.YELLOW), (0.90, Zone.ORANGE))


@dataclass(frozen=True, slots=True)
class Flow:
    """Tokens and requests per minute; None is unknown."""

    tokens: float | None = None
    requests: float | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """What one busy replica uses, in tokens and requests per minute; None is unknown."""

    tokens: float | None
    requests: float | None
    source: CostSource | None


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit per minute and who told it; None is unknown."""

    value: int | None
    source: str | None


def own_flow(queues: Sequence[Queue], rates: Mapping[str, QueueRates]) -> Flow:
    """Return what the pool's own workers use: acknowledged messages times tokens per message.

    Unknown if a queue that costs tokens shows no rate, or if no queue is said to cost any.
    """
    priced = [queue for queue in queues if queue.tokens_per_message]
    if not priced or any(queue.name not in rates for queue in priced):
        return Flow()
    per_minute = {
        queue.name: rates[queue.name].acked_per_second * SECONDS_PER_MINUTE for queue in priced
    }
    return Flow(
        tokens=sum(per_minute[queue.name] * queue.tokens_per_message for queue in priced),
        requests=sum(per_minute.values()),
    )


def flows(queues: Sequence[Queue], observation: Observation) -> tuple[Flow, Flow]:
    """Return the use of the whole key and the pool's own, as far as the readings show them.

    Without a source that sees the whole key, the pool is taken to be alone on it. Without the
    pool's own rates, all use is taken to be the pool's: the cost of a replica then comes out high,
    never low.
    """
    own = Flow()
    if isinstance(observation.rates, Available):
        own = own_flow(queues, {rate.name: rate for rate in observation.rates.value})
    if not isinstance(observation.usage, Available):
        return own, own
    seen = observation.usage.value
    whole = Flow(seen.tokens_per_minute, seen.requests_per_minute)
    if seen.own_tokens_per_minute is not None:
        # Of the same series and window as the whole: better than rates that lag behind it.
        own = Flow(seen.own_tokens_per_minute, seen.own_requests_per_minute)
    return whole, whole if own.tokens is None else own


def learn_cost(
    memory: Memory,
    own: Flow,
    depths: Sequence[QueueDepth],
    observation: Observation,
    window_seconds: int,
    now: float,
) -> Memory:
    """Return the memory with the cost of a replica learned, if this tick can teach it.

    Only a full window in which the same replicas were ready, all had messages waiting and no call
    was refused says what one replica uses when it is busy: an idle or a throttled replica looks
    cheap, which would raise the ceiling and bring on more refusals.
    """
    ready = observation.target.ready_replicas
    waiting = sum(depth.ready for depth in depths)
    busy = ready > 0 and waiting >= ready and ready == len(observation.target.pods)
    if not busy:
        return replace(memory, busy_since=None, busy_replicas=0)
    if memory.busy_since is None or memory.busy_replicas != ready:
        return replace(memory, busy_since=now, busy_replicas=ready)
    calm = memory.rate_limited_at is None or memory.rate_limited_at < now - window_seconds
    if now - memory.busy_since < window_seconds or not calm or not own.tokens:
        return memory
    sample = own.tokens / ready
    if memory.tokens_per_replica is None or memory.learned_at is None:
        return replace(memory, tokens_per_replica=sample, learned_at=now)
    weight = 1 - exp(-(now - memory.learned_at) / COST_TIME_CONSTANT_SECONDS)
    learned = memory.tokens_per_replica + weight * (sample - memory.tokens_per_replica)
    return replace(memory, tokens_per_replica=learned, learned_at=now)


def cost(memory: Memory, llm: Llm, queues: Sequence[Queue], own: Flow) -> Cost:
    """Return what one replica uses: as learned, else as the spec says, else unknown."""
    if memory.tokens_per_replica is not None:
        tokens, source = memory.tokens_per_replica, CostSource.LEARNED
    elif llm.tokens_per_replica_minute is not None:
        tokens, source = float(llm.tokens_per_replica_minute), CostSource.SPEC
    else:
        return Cost(None, None, None)
    return Cost(tokens, _requests_for(tokens, queues, own), source)


def limits(llm: Llm, observation: Observation) -> tuple[Limit, Limit]:
    """Return the limits of tokens and requests: the smaller of what spec and provider say."""
    tokens = requests = None
    if isinstance(observation.provider, Available):
        tokens = observation.provider.value.tokens_per_minute
        requests = observation.provider.value.requests_per_minute
    return _smaller(llm.tokens_per_minute, tokens), _smaller(llm.requests_per_minute, requests)


def ceiling(
    unit: str,
    limit: Limit,
    others: float | None,
    per_replica: float | None,
    target_percent: int,
    factor: float,
    current: int,
    burst: float = 0.0,
) -> Ceiling:
    """Return the most replicas that a limit per minute allows; `unit` is TPM or RPM.

    Raising goes up to the target. Lowering starts only where the use would pass the middle between
    target and limit: the two edges keep a noisy reading from moving replicas to and fro. `burst` is
    what may be spent per minute on top, out of the provider's bucket.
    """
    if limit.value is None:
        return Ceiling(None, None, f"the {unit} limit is unknown")
    if others is None:
        return Ceiling(None, None, f"what others use of the {unit} limit is unknown")
    if not per_replica:
        # One replica has to run for its cost to be learned; more wait until it is.
        held = max(current, 1)
        return Ceiling(
            held,
            held,
            f"what one replica uses of the {unit} limit is not learned yet: "
            "set llm.tokensPerReplicaMinute to start from a figure of your own",
        )
    # Percent times limit first: what fits exactly is not to be lost to a rounding error.
    room = factor * (target_percent * limit.value / 100 - others + burst)
    edge = factor * ((100 + target_percent) * limit.value / 200 - others + burst)
    reason = (
        f"{target_percent}% of {limit.value:,} {unit} less {others:,.0f} used by others"
        f"{f' and {burst:,.0f} more from the bucket' if burst else ''}"
        f"{'' if factor == 1 else f', times {factor:.2f} after 429s'}"
        f", at {per_replica:,.0f} {unit} per replica"
    )
    fits = max(_whole(room / per_replica), LAST_REPLICA if room > 0 else 0)
    return Ceiling(fits, max(_whole(edge / per_replica), fits), reason)


def burst(llm: Llm, observation: Observation, limit: Limit, now: float) -> float:
    """Return what the provider's bucket adds, in tokens per minute, spread over llm.burstSeconds.

    Nothing where its level is not fresh, after a 429, or where the spec's own limit is the smaller:
    the bucket is then not the pool's to spend.
    """
    provider = observation.provider
    if llm.burst_seconds is None or limit.source != PROBE or not isinstance(provider, Available):
        return 0.0
    stale = now - provider.at > FRESH_PROBES * llm.probe.interval_seconds
    if stale or provider.value.rate_limited:
        return 0.0
    return (provider.value.tokens_remaining or 0) * SECONDS_PER_MINUTE / llm.burst_seconds


def first_replica() -> Ceiling:
    """Return the ceiling of a pool at zero whose key shows no use yet."""
    return Ceiling(1, 1, "no use of the key is measured until one replica calls the provider")


def zone(limit: int, used: float, refused: bool) -> Zone:
    """Return how near to the limit the use is; Exceeded once calls are refused."""
    if refused:
        return Zone.EXCEEDED
    return next((name for edge, name in ZONES if used <= edge * limit), Zone.RED)


def others(observation: Observation, whole: Flow, own: Flow) -> Flow:
    """Return what everyone else on the key uses: never less than nothing, 0 where not visible.

    Unknown while the reading of the whole fails; while that of our own fails, all may be theirs.
    """
    usage = observation.usage
    if isinstance(usage, Unavailable):
        return Flow()
    if (
        usage is not None
        and usage.value.own_tokens_per_minute is None
        and isinstance(observation.rates, Unavailable)
    ):
        own = Flow()
    return Flow(
        max((whole.tokens or 0.0) - (own.tokens or 0.0), 0.0),
        max((whole.requests or 0.0) - (own.requests or 0.0), 0.0),
    )


def report(
    observation: Observation,
    token_limit: Limit,
    request_limit: Limit,
    whole: Flow,
    own: Flow,
    per_replica: Cost,
    factor: float,
) -> TokenReport:
    """Put the numbers of the token ceiling together for the status."""
    refused: float | None = None
    used_source = None
    if isinstance(observation.usage, Available):
        refused = observation.usage.value.rate_limited_per_minute
        used_source = observation.usage.source
    elif isinstance(observation.rates, Available) and whole.tokens is not None:
        used_source = "acknowledged messages"
    probe_refused = (
        isinstance(observation.provider, Available) and observation.provider.value.rate_limited
    )
    return TokenReport(
        limit=token_limit.value,
        limit_source=token_limit.source,
        used=whole.tokens,
        used_source=used_source,
        own=own.tokens,
        others=None if observation.usage is None else others(observation, whole, own).tokens,
        tokens_per_replica=per_replica.tokens,
        cost_source=per_replica.source,
        requests_limit=request_limit.value,
        requests_used=whole.requests,
        rate_limited_per_minute=refused,
        backoff_factor=factor,
        zone=None
        if token_limit.value is None or whole.tokens is None
        else zone(token_limit.value, whole.tokens, bool(refused) or probe_refused),
    )


def _whole(replicas: float) -> int:
    """Round down to a number of replicas that a pool can have, whatever a tiny cost makes of it."""
    return floor(min(max(replicas, 0.0), MOST_REPLICAS))


def _smaller(declared: int | None, seen: int | None) -> Limit:
    if seen is not None and (declared is None or seen <= declared):
        return Limit(seen, PROBE)
    return Limit(declared, None if declared is None else "spec")


def _requests_for(tokens: float, queues: Sequence[Queue], own: Flow) -> float | None:
    """Return the requests that go with a replica's tokens, by the mix that is being worked off.

    Before there is one: one message of each queue that costs tokens.
    """
    if own.tokens and own.requests:
        return tokens * own.requests / own.tokens
    prices = [queue.tokens_per_message for queue in queues if queue.tokens_per_message]
    return tokens * len(prices) / sum(prices) if prices else None
