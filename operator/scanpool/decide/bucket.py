"""What the level of the provider's token bucket tells of the whole key's use.

    use = refill - change of the level / time, as long as the bucket is not full

The level itself is no headroom: it reads nearly full at 90% of the limit.
"""

from dataclasses import dataclass, replace
from typing import Annotated, NamedTuple

from scanpool.models.base import Model
from scanpool.models.figures import NEVER, Noise
from scanpool.models.units import SECONDS_PER_MINUTE, rounded

# Above this share of its capacity a bucket may have been full since the last look, and what flowed
# in while it was is lost: its level then tells more use than there was.
FULL_SHARE = 0.9
# Two looks that are further apart say nothing of the time between them.
LONGEST_SPAN_SECONDS = 300.0
# What others use was seen only because the bucket fell. With room for them left free it fills up,
# which is no sign that they have gone: they are looked for again after this time.
OTHERS_KEPT_SECONDS = 900.0


class Level(NamedTuple):
    """The level of the bucket at a time, and the bucket's limit, in tokens."""

    at: float
    tokens: int
    limit: int


class LevelUse(NamedTuple):
    """Tokens per minute that the whole key used between two looks at the bucket."""

    since: float
    at: float
    tokens: float


class OthersUse(NamedTuple):
    """Tokens per minute of the key's use that were not the pool's, at a time."""

    at: float
    tokens: float


class Own(NamedTuple):
    """The pool's own use, in tokens per minute, and since when its replicas are the same ones."""

    tokens: float | None
    steady_since: float | None


@dataclass(frozen=True, slots=True)
class Bucket:
    """The last level, the use of the whole key that its change told last, and others' part."""

    level: Level | None = None
    use: LevelUse | None = None
    others: OthersUse | None = None


def step(bucket: Bucket, latest: Level, own: Own, window_seconds: float) -> Bucket:
    """Return the bucket after another look at its level.

    What of the use is others' shows only while the pool's own rates, averages over the usage
    window, are those of the same time: not where its replicas have changed since.
    """
    known = bucket.level
    if known is not None and known.at >= latest.at:
        return bucket
    bucket = replace(bucket, level=latest)
    told = None if known is None else _use_between(known, latest)
    if known is None or told is None:
        return bucket
    bucket = replace(bucket, use=LevelUse(known.at, latest.at, told))
    since = own.steady_since
    if own.tokens is None or since is None or since > known.at - window_seconds:
        return bucket
    return replace(bucket, others=OthersUse(latest.at, max(told - own.tokens, 0.0)))


def use(bucket: Bucket, now: float) -> LevelUse | None:
    """Return the use that the level tells, while it says something about now."""
    told = bucket.use
    return told if told is not None and now - told.at <= LONGEST_SPAN_SECONDS else None


def others(bucket: Bucket, now: float) -> float | None:
    """Return what others were last seen to use, in tokens per minute, while that counts."""
    seen = bucket.others
    return None if seen is None or now - seen.at > OTHERS_KEPT_SECONDS else seen.tokens


class KeptBucket(Model):
    """What of it survives the process."""

    others_tokens_per_minute: Annotated[int | None, Noise(NEVER)] = None
    others_at: Annotated[float | None, Noise(NEVER)] = None


def kept(bucket: Bucket) -> KeptBucket:
    """Return what the next process needs."""
    if bucket.others is None:
        return KeptBucket()
    return KeptBucket(
        others_tokens_per_minute=rounded(bucket.others.tokens), others_at=bucket.others.at
    )


def restored(kept: KeptBucket) -> Bucket:
    """Return what a process starts with."""
    tokens, at = kept.others_tokens_per_minute, kept.others_at
    return Bucket(others=None if tokens is None or at is None else OthersUse(at, tokens))


def _use_between(before: Level, after: Level) -> float | None:
    """Return the tokens per minute between two levels; None where they do not tell."""
    seconds = after.at - before.at
    if before.limit != after.limit or not 0 < seconds <= LONGEST_SPAN_SECONDS:
        return None
    if max(before.tokens, after.tokens) > FULL_SHARE * after.limit:
        return None
    change = (after.tokens - before.tokens) * SECONDS_PER_MINUTE / seconds
    return max(after.limit - change, 0.0)
