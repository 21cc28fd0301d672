"""What is known of the provider's token bucket: its level, and what others on the key use."""

from dataclasses import dataclass, replace
from typing import Annotated, NamedTuple

from scanpool.decide import looks
from scanpool.decide.looks import LONGEST_SPAN_SECONDS, MEAN_SECONDS, Look, Looks, Mean
from scanpool.models.base import Model
from scanpool.models.figures import NEVER, Noise
from scanpool.models.units import rounded

# As long as refusals may still show in rates over the longest usage window of the presets, after
# the longest delay that was measured.
KEPT_SECONDS = 240.0
# A minute of which so much was seen is a whole one, and others' use in it what they usually use. It
# stands for what is not seen as long as neighbors commonly stay.
WHOLE_SECONDS = 50.0
USUAL_SECONDS = 300.0
# Calls come in lumps, and what one minute tells of others is off by up to a tenth of the limit.
# More than that, beyond what several minutes tell, is somebody.
CLEARLY_SHARE = 0.1
# A replica more is let in beside a bucket that is full, once it has been seen to be full for this
# long beside the replicas that there are: two looks and the calls of the newest replica. Where it
# only stays high, something is wrong with what it tells of others, and it takes longer.
SEEN_FULL_SECONDS = 30.0
SEEN_HIGH_SECONDS = 120.0
SEEN_HIGH_SHARE = 0.8
# Use of so much of the limit leaves nothing to look for. A replica's cost is off by 3% at times.
CONTENT_SHARE = 0.97
CONTENT_SECONDS = 120.0
# A key can use twice its limit within a minute, by emptying a full bucket. More than this for long,
# beside a bucket that is not empty, is no use but a wrong count of it.
IMPLAUSIBLE_SHARE = 1.5
# For so long the averages of a window may still show what an emptied bucket gave.
CONTRADICTED_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What is known beside the level, in tokens per minute: None is unknown.

    `whole` and `others` are the key's use and others' part of it where a metric tells them,
    `per_replica` is a replica's cost. All replicas have been ready since `steady_since`.
    """

    whole: float | None = None
    others: float | None = None
    per_replica: float | None = None
    steady_since: float | None = None


class OthersUse(NamedTuple):
    """Tokens per minute of the key's use that were not the pool's, at a time."""

    at: float
    tokens: float


@dataclass(frozen=True, slots=True)
class Bucket:
    """The last looks at the level, the newest last, and what others were last seen to use.

    `per_replica` is what a busy replica uses, in tokens per minute. So many are `ready` since
    `changed_at`; 0 is before the process began. A measured use has contradicted the level since
    `contradicted_since`. The provider last told the level at `told_at`. What has been full for
    long beside the replicas that there are `has_spare`; at `content_at` all of the limit was used.
    `usual` is others' use in the last minute that was seen as a whole.
    """

    looks: Looks = ()
    others: OthersUse | None = None
    per_replica: float | None = None
    ready: int | None = None
    changed_at: float = 0.0
    contradicted_since: float | None = None
    told_at: float | None = None
    has_spare: bool = False
    content_at: float = 0.0
    usual: OthersUse | None = None

    @property
    def latest(self) -> Look | None:
        """The newest look."""
        return self.looks[-1] if self.looks else None

    @property
    def use(self) -> float | None:
        """The whole key's use at the newest look, in tokens per minute."""
        own = None if self.latest is None else self.latest.own(self.per_replica)
        return None if own is None else own + (self.others.tokens if self.others else 0.0)

    def was_empty(self, seconds: float) -> bool:
        """Tell whether the bucket has been nearly empty within the last seconds."""
        return looks.lowest(self.looks, seconds) < looks.EMPTY_SHARE


def step(bucket: Bucket, latest: Look, measured: Measured, now: float) -> Bucket:
    """Return the bucket after another look at its level, or the same one again."""
    is_same = bucket.ready in (None, latest.ready)
    changed_at = bucket.changed_at if is_same else now
    seen = _with(bucket.looks, latest)
    newest, mean = seen[-1], looks.others(seen, measured.per_replica)
    if not newest.is_told:
        told = _in_silence(bucket, measured, newest)
    elif mean is None:
        told = _not_told(bucket, measured, newest)
    else:
        told = _told(bucket, newest, mean)
    own = newest.own(measured.per_replica)
    if told is not None and own is not None and newest.is_full:
        told = max(min(told, newest.limit - own), 0.0)
    others = None if told is None else OthersUse(newest.at, told)
    since = bucket.contradicted_since if bucket.contradicted_since is not None else now
    content_at = now if _is_content(newest, measured) else bucket.content_at
    is_content = now - content_at < CONTENT_SECONDS
    return Bucket(
        looks=seen,
        others=others,
        per_replica=measured.per_replica,
        ready=latest.ready,
        changed_at=changed_at,
        contradicted_since=since if is_implausible(measured.whole, newest) else None,
        told_at=newest.at if newest.is_told else bucket.told_at,
        has_spare=not is_content and _has_spare(seen, measured.steady_since, now),
        content_at=content_at,
        usual=bucket.usual if mean is None or mean.seconds < WHOLE_SECONDS else others,
    )


def _with(known: Looks, latest: Look) -> Looks:
    if known and known[-1].at >= latest.at:
        return known
    kept = (one for one in known if one.at > latest.at - KEPT_SECONDS)
    return (*(one for one in kept if one.limit == latest.limit), latest)


def reckoned(bucket: Bucket, now: float) -> Look | None:
    """Return the level now as far as the last look and the use since then tell; None without."""
    look = bucket.latest
    if look is None:
        return None
    change = 0.0 if bucket.use is None else look.limit - bucket.use
    tokens = looks.carried_on(look.tokens, change, now - look.at, look.limit)
    return replace(look, at=now, tokens=round(tokens), is_told=False)


def is_implausible(whole: float | None, look: Look | None) -> bool:
    """Tell whether a measured use contradicts the level: no bucket that is not empty allows it."""
    if whole is None or look is None or look.tokens < looks.EMPTY_SHARE * look.limit:
        return False
    return whole > IMPLAUSIBLE_SHARE * look.limit


def contradiction(bucket: Bucket, whole: float | None, now: float) -> str | None:
    """Return what is wrong with a measured use that the level contradicts for long, in words."""
    since, look = bucket.contradicted_since, bucket.latest
    if since is None or look is None or whole is None or now - since < CONTRADICTED_SECONDS:
        return None
    return (
        f"{whole:,.0f} TPM of a limit of {look.limit:,} for {now - since:.0f} s, while the "
        f"provider's bucket is {look.tokens / look.limit:.0%} full and refuses nobody"
    )


def _told(bucket: Bucket, newest: Look, mean: Mean) -> float:
    """Return others' use over a minute: for what of it was not seen, as in the last whole one.

    Who takes much at once has either done so in what was seen, or not: both would be wrong.
    """
    usual = bucket.usual
    if usual is None or newest.at - usual.at > USUAL_SECONDS:
        return max(mean.tokens, 0.0)
    seen = min(mean.seconds / MEAN_SECONDS, 1.0)
    return max(seen * mean.tokens + (1 - seen) * usual.tokens, 0.0)


def _not_told(bucket: Bucket, measured: Measured, look: Look) -> float | None:
    """Return others' use where the level does not tell it: as last told, or as measured."""
    told = None if bucket.others is None else bucket.others.tokens
    others = None if is_implausible(measured.whole, look) else measured.others
    if others is None or told is None:
        return told if others is None else others
    return max(others, told) if look.is_full else told


def _in_silence(before: Bucket, measured: Measured, look: Look) -> float | None:
    """Return others' use while the provider tells no level, by what it told until then.

    It may have to last for minutes, so all that was seen counts and not the last minute alone;
    beyond that only who has clearly come since, by that minute or by a metric.
    """
    others = None if is_implausible(measured.whole, look) else measured.others
    known = None if before.others is None else before.others.tokens
    if before.latest is not None and before.latest.is_told:
        mean = looks.others(before.looks, before.per_replica, KEPT_SECONDS)
        if mean is not None and mean.seconds >= WHOLE_SECONDS:
            known = _clearly(max(mean.tokens, 0.0), known, look)
    return others if known is None else _clearly(known, others, look)


def _clearly(known: float, other: float | None, look: Look) -> float:
    """Return a use that is known, or another one that is clearly more."""
    return other if other is not None and other > known + CLEARLY_SHARE * look.limit else known


def _is_content(look: Look, measured: Measured) -> bool:
    """Tell whether the key uses so much of the limit that there is nothing to look for.

    What is measured may be of the replicas that there were a minute ago.
    """
    used = look.own(measured.per_replica) or 0.0
    if not is_implausible(measured.whole, look):
        used = max(used + (measured.others or 0.0), measured.whole or 0.0)
    return used >= CONTENT_SHARE * look.limit


def _has_spare(seen: Looks, since: float | None, now: float) -> bool:
    """Tell whether the bucket has been full for long enough beside the replicas that there are.

    All of those have been ready `since` then. Whatever is known of others: one replica more is fed
    for a while, and what follows tells.
    """
    if since is None:
        return False
    look = seen[-1]
    if look.is_full and now - since >= SEEN_FULL_SECONDS:
        return True
    is_seen = min(now - since, look.at - seen[0].at) >= SEEN_HIGH_SECONDS
    return is_seen and looks.lowest(seen, SEEN_HIGH_SECONDS) >= SEEN_HIGH_SHARE


class KeptBucket(Model):
    """What of it survives the process."""

    others_tokens_per_minute: Annotated[int | None, Noise(NEVER)] = None
    others_at: Annotated[float | None, Noise(NEVER)] = None
    bucket_tokens: Annotated[int | None, Noise(NEVER)] = None
    bucket_limit: Annotated[int | None, Noise(NEVER)] = None
    bucket_at: Annotated[float | None, Noise(NEVER)] = None


def kept(bucket: Bucket) -> KeptBucket:
    """Return what the next process needs."""
    others, look = bucket.others, bucket.latest
    return KeptBucket(
        others_tokens_per_minute=None if others is None else rounded(others.tokens),
        others_at=None if others is None else others.at,
        bucket_tokens=None if look is None else look.tokens,
        bucket_limit=None if look is None else look.limit,
        bucket_at=None if look is None else look.at,
    )


def restored(kept: KeptBucket, now: float) -> Bucket:
    """Return what a process starts with: a level that is not too old to be reckoned on."""
    tokens, at = kept.others_tokens_per_minute, kept.others_at
    told = None if tokens is None or at is None else OthersUse(at, tokens)
    level, limit, seen_at = kept.bucket_tokens, kept.bucket_limit, kept.bucket_at
    if level is None or limit is None or seen_at is None or now - seen_at > LONGEST_SPAN_SECONDS:
        return Bucket(others=told, usual=told)
    return Bucket((Look(seen_at, level, limit),), told, told_at=seen_at, usual=told)
