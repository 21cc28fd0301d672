"""How often the provider is asked by a probe: by need, and never for much of its limits.

while                                                        | every
an open breaker backs off                                    | minute to a quarter of an hour, or
                                                             | when the refusal ends, where it told
one replica tries, or workers report billing errors          | minute, 5 s
the level decides: near the limit, falling, after a change   | 10 s
the last probe was refused by a rate limit                   | probe.intervalSeconds
nothing of that                                              | probe.intervalSeconds

Never more often than a thousandth of the limits allows.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from scanpool.decide.breaker import Breaker, Quota
from scanpool.decide.limits import Limit
from scanpool.decide.llm_signals import LlmSignals
from scanpool.decide.looks import FULL_SHARE
from scanpool.models.claims import Unit
from scanpool.models.llm import ONLY, Llm
from scanpool.models.units import SECONDS_PER_MINUTE

# Half-open probing backs off from a minute, or from the probe's own interval where that is shorter,
# to a quarter of an hour: a top-up by hand is then found within about as long as it took.
FIRST_BACKOFF_SECONDS = 60.0
LONGEST_BACKOFF_SECONDS = 900.0
# From the shortest interval of a probe, a second, these reach the longest back-off.
MOST_BACKOFF_DOUBLINGS = 10
# How old the probe's answer may be while the workers report billing errors: it costs at most twelve
# probes a minute, against the messages that fail until the breaker opens.
SUSPECTED_SECONDS = 5.0
# While the level decides: at most a sixth of the bucket comes or goes between two looks.
CLOSE_SECONDS = 10.0
# Use of less than this share of the limit, beside a full bucket, leaves plenty of room.
NEAR_SHARE = 0.7
# After a change of replicas the level is looked at for as long as a slow pod takes to start.
CHANGED_SECONDS = 120.0
# Probes take no more than this share of a limit.
MOST_SHARE = 0.001
# And of a day's requests: some providers grant 200.
MOST_DAY_SHARE = 0.1
DAY_SECONDS = 86_400.0
# A limit of few requests is looked at no less often than this.
RAREST_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Probing:
    """Whether the level decides (`is_close`), and the least seconds between two probes."""

    is_close: bool = True
    least_seconds: float = 0.0


def step(seen: LlmSignals, in_force: Mapping[Unit, Limit], now: float) -> Probing:
    """Return how often this tick's readings call for a probe."""
    spent, calls, least = seen.probed.tokens, seen.probed.calls, 0.0
    if spent and (limit := in_force.get(Unit.TOKENS)) is not None:
        least = spent * SECONDS_PER_MINUTE / (MOST_SHARE * limit.value)
    if (limit := in_force.get(Unit.REQUESTS)) is not None:
        least = max(least, calls * SECONDS_PER_MINUTE / (MOST_SHARE * limit.value))
    least = min(least, RAREST_SECONDS)
    if (limit := in_force.get(Unit.REQUESTS_A_DAY)) is not None:
        least = max(least, calls * DAY_SECONDS / (MOST_DAY_SHARE * limit.value))
    is_close = _is_close(seen, now) and not seen.probed.rate_limited
    return Probing(is_close, least)


def age(probing: Probing, breaker: Breaker, llm: Llm) -> float:
    """Return how old the probe's answer may be, in seconds, before the provider is asked again."""
    interval = float(llm.probe.interval_seconds)
    if breaker.known_end is not None and breaker.refused_at is not None:
        # A refused call takes nothing of a quota that is used up.
        return max(interval, breaker.known_end - breaker.refused_at)
    if breaker.state is Quota.OPEN:
        doublings = min(max(breaker.refusals - 1, 0), MOST_BACKOFF_DOUBLINGS)
        backoff = min(interval, FIRST_BACKOFF_SECONDS) * 2.0**doublings
        return max(interval, min(backoff, LONGEST_BACKOFF_SECONDS), probing.least_seconds)
    if breaker.state is Quota.HALF_OPEN or breaker.refusals > 0:
        wanted = min(interval, FIRST_BACKOFF_SECONDS)
    elif breaker.suspected:
        # What fails meanwhile costs more than the probes.
        return min(interval, SUSPECTED_SECONDS)
    else:
        wanted = min(interval, CLOSE_SECONDS) if probing.is_close else interval
    return max(wanted, probing.least_seconds)


def ages(
    probing: Probing, breaker: Breaker, keys: Mapping[str, Breaker], llm: Llm
) -> Mapping[str, float]:
    """Return how old the answer with each of a limit's keys may be, in seconds.

    Of several keys each has a breaker of its own.
    """
    return {name: age(probing, keys.get(name, breaker), llm) for name in llm.key_refs or (ONLY,)}


def _is_close(seen: LlmSignals, now: float) -> bool:
    """Tell whether the level may soon matter; not where there is none."""
    look = seen.bucket.latest
    if look is None:
        return False
    if look.tokens < FULL_SHARE * look.limit or now - seen.bucket.changed_at < CHANGED_SECONDS:
        return True
    return (seen.use.whole.tokens or 0.0) >= NEAR_SHARE * look.limit
