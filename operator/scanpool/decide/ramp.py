"""An optional limit on growth: providers refuse traffic that grows too fast inside its limit."""

from math import inf
from typing import NamedTuple

from scanpool.models.llm import Ramp
from scanpool.models.units import WHOLE_PERCENT

# Growth is judged over many minutes: one sample in each is enough.
SAMPLE_SECONDS = 60.0


class UseSample(NamedTuple):
    """Tokens per minute that the whole key used at a time."""

    at: float
    tokens: float


Uses = tuple[UseSample, ...]
"""Those of the ramp's period. They do not survive the process: see `most`."""


def step(uses: Uses, ramp: Ramp | None, tokens: float | None, now: float) -> Uses:
    """Return the key's use, in tokens per minute, over the ramp's period."""
    if ramp is None:
        return ()
    kept = tuple(one for one in uses if one.at > now - ramp.period_seconds)
    # The newest of those that are too old is where the period begins.
    before = uses[: len(uses) - len(kept)][-1:]
    if tokens is not None and (not kept or now - kept[-1].at >= SAMPLE_SECONDS):
        kept = (*kept, UseSample(now, tokens))
    return (*before, *kept)


def most(uses: Uses, ramp: Ramp | None) -> float:
    """Return the tokens per minute up to which the key's use may grow now.

    A period that is not known in full, as after a restart, counts from where it is known.
    """
    if ramp is None:
        return inf
    base = uses[0].tokens if uses else 0.0
    grown = base * (WHOLE_PERCENT + ramp.percent) / WHOLE_PERCENT
    return max(float(ramp.above_tokens_per_minute), grown)
