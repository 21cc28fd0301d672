"""What is used of the limits, per minute: by everyone on the key, by the pool, by the others.

Sources, the first that the pool asks for counts:

source                 | sees               | the pool's own part
Prometheus             | the whole key      | its ownLabels, else acknowledged messages
acknowledged messages  | the pool           | all of it
falling bucket level   | the whole key      | acknowledged messages, else all of it

The level adds to acknowledged messages what others use, where there is no Prometheus.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from scanpool.models.budget import Unit
from scanpool.models.conditions import Reason
from scanpool.models.llm import Llm
from scanpool.models.memory import Level, LevelUse, Memory, UseSample
from scanpool.models.observation import KeyUsage, Observation, QueueRates
from scanpool.models.reading import Available, Unavailable
from scanpool.models.spec import Queue

SECONDS_PER_MINUTE = 60
ACKNOWLEDGED = "acknowledged messages"
LEVEL = "bucket level"
# Above this share of its capacity a bucket may have been full since the last look, and what flowed
# in while it was is lost: its level then tells more use than there was.
FULL_SHARE = 0.9
# Two looks that are further apart say nothing of the time between them.
LONGEST_SPAN_SECONDS = 300.0
# What others use was seen only because the bucket fell. With room for them left free it fills up,
# which is no sign that they have gone: they are looked for again after this time.
OTHERS_KEPT_SECONDS = 900.0
# The last digits of a rate change with every call that is made. One that does not for this long,
# and for three windows, is no measurement any more.
FROZEN_SECONDS = 180.0
FROZEN_WINDOWS = 3


@dataclass(frozen=True, slots=True)
class Flow:
    """Tokens and requests per minute; None is unknown."""

    tokens: float | None = None
    requests: float | None = None
    output_tokens: float | None = None

    def of(self, unit: Unit) -> float | None:
        """Return what is used of a limit. Where input and output are not told apart, all of both.

        So counted, a limit on one of them is reached too early, never too late.
        """
        match unit:
            case Unit.TOKENS:
                return self.tokens
            case Unit.REQUESTS:
                return self.requests
            case Unit.OUTPUT_TOKENS:
                return self.tokens if self.output_tokens is None else self.output_tokens
            case Unit.INPUT_TOKENS:
                if self.tokens is None or self.output_tokens is None:
                    return self.tokens
                return max(self.tokens - self.output_tokens, 0.0)


@dataclass(frozen=True, slots=True)
class Use:
    """The use of a key. `others` is never less than nothing, and None where it is not known.

    `source` and `at` (seconds since the epoch) tell where `whole` comes from, `own_at` how new the
    pool's own part is; the rates are averages over the usage window before. Where the source has a
    window of its own, the pool's part is the average since `own_since`. Where nothing tells the
    pool's part, `own` is all there is, and not `own_is_told`.
    """

    whole: Flow
    own: Flow
    others: Flow
    source: str | None = None
    at: float | None = None
    own_at: float | None = None
    own_since: float | None = None
    own_is_told: bool = True


def acknowledged(queues: Sequence[Queue], observation: Observation) -> Flow:
    """Return what the pool's own workers use: acknowledged messages times tokens per message.

    Unknown if a queue that costs tokens shows no rate, or if no queue is said to cost any.
    """
    if not isinstance(observation.rates, Available):
        return Flow()
    rates: Mapping[str, QueueRates] = {rate.name: rate for rate in observation.rates.value}
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


def measure(queues: Sequence[Queue], observation: Observation, memory: Memory, now: float) -> Use:
    """Return the use, as far as the readings show it."""
    acked = acknowledged(queues, observation)
    acked_at = observation.rates.at if isinstance(observation.rates, Available) else None
    if isinstance(observation.usage, Available):
        return _by_prometheus(observation.usage, acked, observation, acked_at)
    if observation.usage is not None:
        return Use(acked, acked, Flow(), ACKNOWLEDGED if acked.tokens is not None else None,
                   acked_at, acked_at)  # fmt: skip
    if acked.tokens is not None:
        return _by_acknowledgements(acked, acked_at, memory, now)
    if (told := memory.level_use) is not None and now - told.at <= LONGEST_SPAN_SECONDS:
        alone = Flow(told.tokens)
        nobody = Flow(0.0, 0.0, 0.0)
        return Use(alone, alone, nobody, LEVEL, told.at, told.at, told.since, own_is_told=False)
    return Use(Flow(), Flow(), Flow(0.0, 0.0, 0.0))


def vet(
    llm: Llm, observation: Observation, own: Flow, memory: Memory, now: float
) -> tuple[Observation, Memory]:
    """Take a reading of use that is stuck for unavailable; remember since when it is the same.

    Stuck is the same figure for too long, or none at all, be it of the key or of the pool's own
    labels, while the pool's messages are worked off.
    """
    usage = observation.usage
    if not isinstance(usage, Available):
        return observation, memory
    tokens = usage.value.tokens_per_minute
    same = memory.same_use
    if same is None or same.tokens != tokens:
        same = UseSample(now, tokens)
    working = bool(own.tokens)
    silent = memory.silent_since if memory.silent_since is not None else now
    unlabelled = tokens > 0 and usage.value.own_tokens_per_minute == 0
    since = silent if (tokens == 0 or unlabelled) and working else None
    memory = replace(memory, same_use=same, silent_since=since)
    patience = max(FROZEN_SECONDS, FROZEN_WINDOWS * llm.usage.window_seconds)
    if since is not None and now - since >= patience and unlabelled:
        wrong = (
            f"use of the key, but none with ownLabels for {patience:.0f} s, while this pool's "
            "messages are being worked off"
        )
    elif since is not None and now - since >= patience:
        wrong = f"no tokens for {patience:.0f} s, while this pool's messages are being worked off"
    elif tokens > 0 and now - same.at >= patience:
        wrong = f"exactly {tokens:,.0f} TPM for {patience:.0f} s: a gauge that nobody updates"
    else:
        return observation, memory
    stuck = Unavailable(
        Reason.USAGE_FROZEN,
        f"{usage.source} has shown {wrong}; see whether the exporter is scraped and counts the "
        "pool's workers, or correct llm.usage.prometheus",
    )
    return replace(observation, usage=stuck), memory


def learn_level(
    queues: Sequence[Queue], observation: Observation, memory: Memory, window_seconds: int
) -> Memory:
    """Return the memory with what the level of the provider's bucket tells of the key's use.

    use = refill - change of the level / time, as long as the bucket is not full. What of it is
    others' shows only while the pool's own rates, averages over the usage window, are those of the
    same time: not where its replicas have changed since.
    """
    provider = observation.provider
    if observation.usage is not None or not isinstance(provider, Available):
        return memory
    remaining, limit = provider.value.tokens_remaining, provider.value.tokens_per_minute
    known = memory.level
    if remaining is None or limit is None or (known is not None and known.at >= provider.at):
        return memory
    latest = Level(provider.at, remaining, limit)
    memory = replace(memory, level=latest)
    told = None if known is None else _use_between(known, latest)
    if known is None or told is None:
        return memory
    memory = replace(memory, level_use=LevelUse(known.at, latest.at, told))
    own = acknowledged(queues, observation)
    if own.tokens is None or not _is_steady(observation, memory, known.at - window_seconds):
        return memory
    return replace(memory, level_others=UseSample(latest.at, max(told - own.tokens, 0.0)))


def _is_steady(observation: Observation, memory: Memory, since: float) -> bool:
    """Tell whether the same replicas have worked since then."""
    pods = observation.target.pods
    return (
        len(pods) == observation.target.replicas
        and all(pod.ready and (pod.ready_at or 0.0) <= since for pod in pods)
        and not any(scaling.at > since for scaling in memory.scalings)
    )


def _use_between(before: Level, after: Level) -> float | None:
    """Return the tokens per minute between two levels; None where they do not tell."""
    seconds = after.at - before.at
    if before.limit != after.limit or not 0 < seconds <= LONGEST_SPAN_SECONDS:
        return None
    if max(before.tokens, after.tokens) > FULL_SHARE * after.limit:
        return None
    change = (after.tokens - before.tokens) * SECONDS_PER_MINUTE / seconds
    return max(after.limit - change, 0.0)


def _by_prometheus(
    usage: Available[KeyUsage], acked: Flow, observation: Observation, acked_at: float | None
) -> Use:
    seen = usage.value
    whole = Flow(seen.tokens_per_minute, seen.requests_per_minute, seen.output_tokens_per_minute)
    if seen.own_tokens_per_minute is not None:
        # Of the same series and window as the whole: better than rates that lag behind it.
        own = Flow(
            seen.own_tokens_per_minute,
            seen.own_requests_per_minute,
            seen.own_output_tokens_per_minute,
        )
        return Use(whole, own, _rest(whole, own), usage.source, usage.at, usage.at)
    if isinstance(observation.rates, Unavailable):
        # All may be others'. For the cost of a replica all is ours: it comes out high, never low.
        return Use(whole, whole, whole, usage.source, usage.at, usage.at, own_is_told=False)
    if acked.tokens is None:
        nobody = _rest(whole, whole)
        return Use(whole, whole, nobody, usage.source, usage.at, usage.at, own_is_told=False)
    return Use(whole, acked, _rest(whole, acked), usage.source, usage.at, acked_at)


def _by_acknowledgements(acked: Flow, at: float | None, memory: Memory, now: float) -> Use:
    """Add to the pool's own use what the bucket's level has lately told of others'."""
    seen = memory.level_others
    if seen is None or now - seen.at > OTHERS_KEPT_SECONDS or acked.tokens is None:
        return Use(acked, acked, Flow(0.0, 0.0, 0.0), ACKNOWLEDGED, at, at)
    whole = replace(acked, tokens=acked.tokens + seen.tokens)
    others = Flow(seen.tokens, 0.0)
    return Use(whole, acked, others, f"{ACKNOWLEDGED} and {LEVEL}", at, at)


def _rest(whole: Flow, own: Flow) -> Flow:
    """Return what the whole has beyond the pool's own; what is not visible is nothing."""
    return Flow(
        max((whole.tokens or 0.0) - (own.tokens or 0.0), 0.0),
        max((whole.requests or 0.0) - (own.requests or 0.0), 0.0),
        None
        if whole.output_tokens is None or own.output_tokens is None
        else max(whole.output_tokens - own.output_tokens, 0.0),
    )
