"""An optional limit on growth: providers refuse traffic that grows too fast inside its limit."""

from dataclasses import replace

from scanpool.models.llm import Ramp
from scanpool.models.memory import Memory, UseSample

# Growth is judged over many minutes: one sample in each is enough.
SAMPLE_SECONDS = 60.0
WHOLE_PERCENT = 100


def remember(ramp: Ramp | None, memory: Memory, tokens: float | None, now: float) -> Memory:
    """Return the memory with the key's use, in tokens per minute, over the ramp's period."""
    if ramp is None:
        return replace(memory, uses=())
    kept = tuple(one for one in memory.uses if one.at > now - ramp.period_seconds)
    # The newest of those that are too old is where the period begins.
    before = memory.uses[: len(memory.uses) - len(kept)][-1:]
    if tokens is not None and (not kept or now - kept[-1].at >= SAMPLE_SECONDS):
        kept = (*kept, UseSample(now, tokens))
    return replace(memory, uses=(*before, *kept))


def most(ramp: Ramp, memory: Memory) -> float:
    """Return the tokens per minute up to which the key's use may grow now.

    A period that is not known in full, as after a restart, counts from where it is known.
    """
    base = memory.uses[0].tokens if memory.uses else 0.0
    grown = base * (WHOLE_PERCENT + ramp.percent) / WHOLE_PERCENT
    return max(float(ramp.above_tokens_per_minute), grown)
