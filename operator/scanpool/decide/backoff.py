"""What refused calls teach: back off after rate-limit 429s, stop growing after `slow_down`.

Billing errors and 503 teach nothing here: neither says that the pool is too large.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

from scanpool.decide.llm_signals import LlmSignals
from scanpool.models.base import Model

# AIMD: the ceiling is multiplied by this after rate-limit 429s.
BACKOFF = 0.7
# However many 429s come, some of the limit stays in use: below this, others use it, not we.
LEAST_FACTOR = 0.2
# Additive recovery: a full ceiling is back three minutes after one back-off.
RECOVERY_PER_SECOND = 0.1 / 60
# The provider asks for at most 50% more load within 15 minutes when it says `slow_down`.
SLOW_DOWN_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Backoff:
    """The `factor` of the ceiling since the back-off `at`, and the last rate-limit 429.

    Growth is stopped until then where the provider asked to slow down.
    """

    refused_at: float | None = None
    at: float | None = None
    factor: float = 1.0
    growth_stopped_until: float | None = None

    def stops_growth(self, now: float) -> bool:
        """Tell whether a `slow_down` of the provider is still in force."""
        return self.growth_stopped_until is not None and now < self.growth_stopped_until


class Billing(NamedTuple):
    """What the billing breaker makes of the workers' 429s.

    Clients call refusals for billing reasons 429s too: while they may be that (`taints`), they say
    nothing of the limit, and a back-off that is newer than `forgive_since` was none.
    """

    taints: bool = False
    forgive_since: float | None = None


def step(backoff: Backoff, signals: LlmSignals, billing: Billing, now: float) -> Backoff:
    """Return the back-off after this tick's 429s, one step per `hold_seconds` at most."""
    since = billing.forgive_since
    if since is not None and backoff.at is not None and backoff.at > since:
        backoff = _recovered(backoff)
    hold, refused = signals.hold_seconds, signals.refused
    if refused.slowed_at is not None:
        # The probe's answer may be older than what the workers met in between.
        until = max(refused.slowed_at + SLOW_DOWN_SECONDS, backoff.growth_stopped_until or 0.0)
        backoff = replace(backoff, growth_stopped_until=until)
    factor = in_force(backoff, hold, now)
    if not _rate_limited(backoff, signals, counted=not billing.taints):
        if factor < 1.0 and refused.is_lost:
            # Refusals that are not counted are not none: the calm begins anew.
            return replace(backoff, refused_at=now, factor=factor)
        if factor < 1.0 or backoff.refused_at is None:
            return backoff
        return _recovered(backoff)
    backoff = replace(backoff, refused_at=now, factor=factor)
    if backoff.at is not None and now - backoff.at < hold:
        return backoff
    return replace(backoff, at=now, factor=max(factor * BACKOFF, LEAST_FACTOR))


def in_force(backoff: Backoff, hold_seconds: float, now: float) -> float:
    """Return the share of the ceiling in force, recovering once `hold_seconds` saw no 429."""
    if backoff.refused_at is None:
        return 1.0
    calm = max(now - backoff.refused_at - hold_seconds, 0.0)
    return min(1.0, backoff.factor + calm * RECOVERY_PER_SECOND)


class KeptBackoff(Model):
    """What of it survives the process."""

    rate_limited_at: float | None = None
    backoff_at: float | None = None
    backoff_factor: float | None = None
    growth_stopped_until: float | None = None


def kept(backoff: Backoff) -> KeptBackoff:
    """Return what the next process needs."""
    return KeptBackoff(
        rate_limited_at=backoff.refused_at,
        backoff_at=backoff.at,
        backoff_factor=backoff.factor if backoff.factor < 1 else None,
        growth_stopped_until=backoff.growth_stopped_until,
    )


def restored(kept: KeptBackoff) -> Backoff:
    """Return what a process starts with."""
    factor = 1.0 if kept.backoff_factor is None else kept.backoff_factor
    return Backoff(kept.rate_limited_at, kept.backoff_at, factor, kept.growth_stopped_until)


def heard(backoff: Backoff, told: KeptBackoff) -> Backoff:
    """Return the back-off of a process that follows another, which has written this.

    Both see the workers' 429s, and whoever saw the last knows more; a `slow_down` that either was
    told counts.
    """
    theirs = restored(told)
    newer = theirs if (theirs.refused_at or 0.0) > (backoff.refused_at or 0.0) else backoff
    until = max(theirs.growth_stopped_until or 0.0, backoff.growth_stopped_until or 0.0)
    return replace(newer, growth_stopped_until=until or None)


def _recovered(backoff: Backoff) -> Backoff:
    return Backoff(growth_stopped_until=backoff.growth_stopped_until)


def _rate_limited(backoff: Backoff, signals: LlmSignals, *, counted: bool) -> bool:
    if counted and (signals.refused.per_minute or 0) > 0:
        # An empty bucket refuses calls, and the level mends that: they tell nothing more.
        return not signals.bucket.was_empty(signals.hold_seconds)
    # A probe's answer is shared until the next probe: its 429 counts once.
    probed = signals.probed
    return (
        probed.at is not None
        and probed.rate_limited
        and (backoff.refused_at is None or probed.at > backoff.refused_at)
    )
