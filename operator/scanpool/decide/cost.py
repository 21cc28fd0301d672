"""What one busy replica uses per minute: learned from its work, else as the spec says."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp

from scanpool.decide.use import Flow, Use
from scanpool.models.budget import Unit
from scanpool.models.decision import CostSource
from scanpool.models.llm import Llm
from scanpool.models.memory import Memory
from scanpool.models.observation import Observation, QueueDepth
from scanpool.models.spec import Queue

# A change of the queue mix fills the usage window (60 s) and then three of these: the cost has
# followed to 97% when three minutes are over.
TIME_CONSTANT_SECONDS = 40.0
# Calls are counted when they end, and a replica's first ones take so long: until then it looks
# idle.
FIRST_CALLS_SECONDS = 10.0
# A rate over a minute has a tenth of noise, one over less has more.
CLEARLY_MORE = 1.25
# Less than a token a minute is an old rate that dies away, and shows no mix.
LEAST_TOKENS = 1.0
# Beyond this, more time of learning makes no cost more certain.
CERTAIN_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What one busy replica uses per minute; None is unknown.

    `confidence`, 0 to 1, is the share of `tokens` that rests on what was measured.
    """

    tokens: float | None = None
    requests: float | None = None
    output_share: float | None = None
    source: CostSource | None = None
    confidence: float = 0.0
    at: float | None = None

    def of(self, unit: Unit) -> float | None:
        """Return the cost in the unit of a limit.

        Input and output that are not told apart count as all of the tokens: a limit on one of them
        is then reached too early, never too late.
        """
        if self.tokens is None or unit is Unit.TOKENS:
            return self.tokens
        if unit is Unit.REQUESTS:
            return self.requests
        if self.output_share is None:
            return self.tokens
        share = self.output_share if unit is Unit.OUTPUT_TOKENS else 1 - self.output_share
        return self.tokens * share


def learn(
    memory: Memory,
    use: Use,
    depths: Sequence[QueueDepth],
    observation: Observation,
    llm: Llm,
    now: float,
) -> Memory:
    """Return the memory with the cost of a replica learned, if this tick can teach it.

    Only a full window in which the same replicas were ready, all had messages waiting and no call
    was refused says what one replica uses when it is busy: an idle or a throttled replica looks
    cheap, which would raise the ceiling and bring on more refusals. The window is that of the
    reading, which ends when its newest sample was taken, not now. The first one weighs as much
    against the spec's figure as later ones do against what was learned in the same time.
    """
    window_seconds = llm.usage.window_seconds
    memory = _see_at_least(memory, use, len(observation.target.pods), window_seconds)
    ready = observation.target.ready_replicas
    waiting = sum(depth.ready for depth in depths)
    busy = ready > 0 and waiting >= ready and ready == len(observation.target.pods)
    if not busy:
        return replace(memory, busy_since=None, busy_replicas=0)
    if memory.busy_since is None or memory.busy_replicas != ready:
        return replace(memory, busy_since=now, busy_replicas=ready)
    if use.own_at is None or not use.own.tokens:
        return memory
    begin = use.own_at - window_seconds if use.own_since is None else use.own_since
    calm = memory.rate_limited_at is None or memory.rate_limited_at < begin
    if begin < memory.busy_since + FIRST_CALLS_SECONDS or not calm:
        return memory
    sample = use.own.tokens / ready
    if memory.tokens_per_replica is None or memory.learned_at is None:
        known = cost(memory, llm, (), Flow()).tokens
        if known is not None:
            sample = known + _weight(window_seconds) * (sample - known)
        return replace(
            memory,
            tokens_per_replica=sample,
            learned_at=now,
            learned_seconds=float(window_seconds),
            least_per_replica=None,
        )
    # A clock that was set back must not turn the smoothing around.
    elapsed = max(now - memory.learned_at, 0.0)
    learned = memory.tokens_per_replica + _weight(elapsed) * (sample - memory.tokens_per_replica)
    return replace(
        memory,
        tokens_per_replica=learned,
        learned_at=now,
        # After a pause it is the window that was looked at, not the pause.
        learned_seconds=min(memory.learned_seconds + min(elapsed, window_seconds), CERTAIN_SECONDS),
    )


def cost(memory: Memory, llm: Llm, queues: Sequence[Queue], own: Flow) -> Cost:
    """Return what one replica uses: as learned, else as the spec says, else unknown.

    What the spec says gives way to what replicas are seen to use, if that is clearly more: told too
    little, a pool would grow into 429s, which keep it from learning.
    """
    if memory.tokens_per_replica is not None:
        tokens, source = memory.tokens_per_replica, CostSource.LEARNED
        confidence = _weight(memory.learned_seconds)
    elif llm.tokens_per_replica_minute is not None:
        tokens, source, confidence = float(llm.tokens_per_replica_minute), CostSource.SPEC, 0.0
        seen = memory.least_per_replica
        if seen is not None and seen > CLEARLY_MORE * tokens:
            tokens, source = seen, CostSource.SEEN
    else:
        return Cost()
    return Cost(
        tokens,
        _requests_for(tokens, queues, own),
        _output_share(own),
        source,
        confidence,
        memory.learned_at,
    )


def _weight(seconds: float) -> float:
    """Return the share that so much time of measuring has in the smoothed cost."""
    return 1 - exp(-seconds / TIME_CONSTANT_SECONDS)


def _see_at_least(memory: Memory, use: Use, pods: int, window_seconds: int) -> Memory:
    """Remember the most that replicas were seen to use before anything is learned.

    Idle, starting and throttled ones only make it less. Where some were taken away within the
    window, the use is that of more than there are, and where the pool's part of it is not told, it
    may be anybody's.
    """
    if memory.tokens_per_replica is not None or not pods or not use.own_is_told:
        return memory
    if use.own_at is None or not use.own.tokens:
        return memory
    if any(one.change < 0 and one.at > use.own_at - window_seconds for one in memory.scalings):
        return memory
    seen = use.own.tokens / pods
    return replace(memory, least_per_replica=max(seen, memory.least_per_replica or 0.0))


def _output_share(own: Flow) -> float | None:
    if own.tokens is None or own.tokens < LEAST_TOKENS or own.output_tokens is None:
        return None
    # Counted apart, output may be a little ahead of the whole.
    return min(own.output_tokens / own.tokens, 1.0)


def _requests_for(tokens: float, queues: Sequence[Queue], own: Flow) -> float | None:
    """Return the requests that go with a replica's tokens, by the mix that is being worked off.

    Before there is one: one message of each queue that costs tokens.
    """
    if own.tokens is not None and own.tokens >= LEAST_TOKENS and own.requests:
        return tokens * own.requests / own.tokens
    prices = [queue.tokens_per_message for queue in queues if queue.tokens_per_message]
    return tokens * len(prices) / sum(prices) if prices else None
