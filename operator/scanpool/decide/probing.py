"""How often the provider is asked by a probe."""

from scanpool.decide.breaker import Breaker, Quota
from scanpool.models.llm import Llm

# Half-open probing backs off from a minute, or from the probe's own interval where that is shorter,
# to a quarter of an hour: a top-up by hand is then found within about as long as it took.
FIRST_BACKOFF_SECONDS = 60.0
LONGEST_BACKOFF_SECONDS = 900.0
# From the shortest interval of a probe, a second, these reach the longest back-off.
MOST_BACKOFF_DOUBLINGS = 10
# How old the probe's answer may be while the workers report billing errors: it costs at most twelve
# probes a minute, against the messages that fail until the breaker opens.
SUSPECTED_SECONDS = 5.0


def age(breaker: Breaker, llm: Llm) -> float:
    """Return how old the probe's answer may be, in seconds, before the provider is asked again."""
    interval = float(llm.probe.interval_seconds)
    if breaker.state is Quota.OPEN:
        doublings = min(max(breaker.refusals - 1, 0), MOST_BACKOFF_DOUBLINGS)
        backoff = min(interval, FIRST_BACKOFF_SECONDS) * 2.0**doublings
        return max(interval, min(backoff, LONGEST_BACKOFF_SECONDS))
    if breaker.state is Quota.HALF_OPEN or breaker.refusals > 0:
        return min(interval, FIRST_BACKOFF_SECONDS)
    return min(interval, SUSPECTED_SECONDS) if breaker.suspected else interval
