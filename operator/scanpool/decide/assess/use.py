"""What is used of the limits, per minute: by everyone on the key, by the pool, by the others.

Sources, the first that the pool asks for counts:

source                 | sees               | the pool's own part
Prometheus             | the whole key      | its ownLabels, else acknowledged messages
acknowledged messages  | the pool           | all of it

The level of the provider's bucket tells at once what others use, whoever they are, and puts right
what is measured of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from scanpool.decide import bucket
from scanpool.decide.bucket import Bucket
from scanpool.decide.llm_signals import Flow, Use
from scanpool.decide.looks import MEAN_SECONDS
from scanpool.models.observation import KeyUsage, Observation, QueueRates
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.models.spec import Queue
from scanpool.models.units import SECONDS_PER_MINUTE

ACKNOWLEDGED = "acknowledged messages"
LEVEL = "bucket level"


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What the pool's own workers use by their acknowledgements, as of a time."""

    flow: Flow = field(default_factory=Flow)
    at: float | None = None


def acknowledged(
    queues: Sequence[Queue], found: Reading[tuple[QueueRates, ...]] | None
) -> Acknowledged:
    """Return what the pool's own workers use: acknowledged messages times tokens per message.

    Unknown if a queue that costs tokens shows no rate, or if no queue is said to cost any.
    """
    if not isinstance(found, Available):
        return Acknowledged()
    rates: Mapping[str, QueueRates] = {rate.name: rate for rate in found.value}
    priced = [queue for queue in queues if queue.tokens_per_message]
    if not priced or any(queue.name not in rates for queue in priced):
        return Acknowledged(at=found.at)
    per_minute = {
        queue.name: rates[queue.name].acked_per_second * SECONDS_PER_MINUTE for queue in priced
    }
    tokens = sum(per_minute[queue.name] * queue.tokens_per_message for queue in priced)
    return Acknowledged(Flow(tokens, sum(per_minute.values())), found.at)


def measure(observation: Observation, acked: Acknowledged) -> Use:
    """Return the use as far as metrics and acknowledgements show it."""
    own, usage = acked.flow, observation.usage
    if isinstance(usage, Available):
        return _by_prometheus(usage, acked, observation)
    source = ACKNOWLEDGED if own.tokens is not None else None
    if usage is not None:
        return Use(own, own, Flow(), source, acked.at, acked.at, others_are_told=False)
    nobody = Flow(0.0, 0.0, 0.0)
    return Use(own, own, nobody, source, acked.at, acked.at, others_are_told=False)


def by_level(measured: Use, seen: Bucket) -> Use:
    """Return the use with what the bucket's level tells of others.

    What no metric shows of them is theirs, too. A use that the level contradicts is not there.
    """
    look = seen.latest
    if look is None or seen.others is None:
        return measured
    others, own, whole = seen.others.tokens, measured.own.tokens, measured.whole.tokens
    if own is None and seen.per_replica is None:
        # Nothing tells the pool's part: it is all there is, so that its cost comes out high.
        alone = Flow(others)
        return replace(
            measured, whole=alone, own=alone, source=LEVEL, at=look.at, own_at=look.at,
            own_since=look.at - MEAN_SECONDS, own_is_told=False,
        )  # fmt: skip
    is_told = own is not None and not bucket.is_implausible(whole, look)
    if not is_told:
        own, whole = look.own(seen.per_replica), None
    if own is None:
        return measured
    used = own if measured.own_is_told else look.own(seen.per_replica) or 0.0
    source = LEVEL if measured.source is None else f"{measured.source} and {LEVEL}"
    return Use(
        whole=measured.whole.having(max(whole or 0.0, used + others)),
        own=measured.own.having(own),
        others=measured.others.having(others),
        source=source,
        at=measured.at or look.at,
        own_at=measured.own_at,
        own_since=measured.own_since,
        own_is_told=measured.own_is_told and is_told,
        others_are_told=True,
    )


def _by_prometheus(
    usage: Available[KeyUsage], acked: Acknowledged, observation: Observation
) -> Use:
    seen, source, at = usage.value, usage.source, usage.at
    whole = Flow(seen.tokens_per_minute, seen.requests_per_minute, seen.output_tokens_per_minute)
    if seen.own_tokens_per_minute is not None:
        # Of the same series and window as the whole: better than rates that lag behind it.
        own = Flow(
            seen.own_tokens_per_minute,
            seen.own_requests_per_minute,
            seen.own_output_tokens_per_minute,
        )
        return Use(whole, own, _rest(whole, own), source, at, at)
    if isinstance(observation.rates, Unavailable):
        # All may be others'. For the cost of a replica all is ours: it comes out high, never low.
        return Use(whole, whole, whole, source, at, at, own_is_told=False)
    if acked.flow.tokens is None and not observation.target.pods:
        # Nobody works for the pool.
        return Use(whole, Flow(0.0, 0.0), whole, source, at, at)
    if acked.flow.tokens is None:
        # Nor are others' tokens known, then. Of requests, which are seldom what binds, all may be.
        others = Flow(requests=whole.requests or 0.0)
        return Use(whole, whole, others, source, at, at, own_is_told=False, others_are_told=False)
    return Use(whole, acked.flow, _rest(whole, acked.flow), source, at, acked.at)


def _rest(whole: Flow, own: Flow) -> Flow:
    """Return what the whole has beyond the pool's own; what is not visible is nothing."""
    return Flow(
        max((whole.tokens or 0.0) - (own.tokens or 0.0), 0.0),
        max((whole.requests or 0.0) - (own.requests or 0.0), 0.0),
        None
        if whole.output_tokens is None or own.output_tokens is None
        else max(whole.output_tokens - own.output_tokens, 0.0),
    )
