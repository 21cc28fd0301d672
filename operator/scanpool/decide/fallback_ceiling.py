"""The ceiling that counts while what is read for it stays unknown (fallback.py)."""

from dataclasses import replace

from scanpool.decide.decision import Ceiling, LlmDecision
from scanpool.decide.fallback import replicas
from scanpool.decide.llm_signals import LlmSignals
from scanpool.models.conditions import LimitedBy
from scanpool.models.fallback import Fallback


def ceiling(fallback: Fallback, current: int, field: str, reading: str) -> Ceiling:
    """Return the ceiling that counts while a reading is unknown; `field` is where it is set."""
    most = replicas(fallback, current)
    told = f"{field} ({fallback.behavior}) counts while {reading} cannot be read"
    return Ceiling(most, most, told)


def of_limit(made: LlmDecision, fallback: Fallback, seen: LlmSignals, current: int) -> LlmDecision:
    """Return what is made of a limit of the provider, with what stands in as its ceiling.

    What is known of it all the same binds, too: a low bucket, and any other ceiling, unless all
    use passes for others' because the pool's part of it is not told.
    """
    is_known = seen.use.own_is_told or made.level.is_drained
    known = {
        limit: one for limit, one in made.ceilings.items() if is_known and one.replicas is not None
    }
    instead = ceiling(fallback, current, "llm.fallback", "the provider or the use of the key")
    of_tokens = known.get(LimitedBy.TOKENS, instead)
    least = min(of_tokens, instead, key=lambda one: one.allows(current))
    return replace(made, ceilings={**known, LimitedBy.TOKENS: least})
