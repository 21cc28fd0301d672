"""The most replicas that a pool's limits allow, for somebody else who scales its target.

all ceilings are known                       | the smallest of them and maxReplicas, at least
                                             | minReplicas, at most what the breaker allows
one is unknown, or the pool holds            | unknown: what the pool does not act on is told nobody
the same, and an empty bucket or the breaker | what those take, as far as it is no more than is
takes replicas all the same                  | there
"""

from dataclasses import dataclass

from scanpool.decide.decision import Decision, ceiling_rung
from scanpool.decide.signals import Signals
from scanpool.models.conditions import LimitedBy, Reason
from scanpool.models.reading import Unavailable
from scanpool.models.spec import PoolSpec

FIRST_LOOK = "the first look of this process has nothing to compare with yet"


@dataclass(frozen=True, slots=True)
class Permit:
    """The most replicas that a pool may have now, and whether it would have any by itself."""

    replicas: int
    would_have_any: bool


def permit(spec: PoolSpec, signals: Signals, decision: Decision) -> Permit | Unavailable:
    """Return what the limits of a decision come to, or which of them is unknown.

    It depends on how many replicas there are: a pool grows up to one edge of a limit, and gives
    back beyond another.
    """
    current = decision.current
    cap = None if decision.breaker is None else decision.breaker.cap
    allowed = [one.allows(current) for one in decision.ceilings.values()]
    if unknown := _unknown(signals, decision):
        drained = [] if signals.is_first_look else _drained(decision)
        taking = drained if cap is None else [*drained, cap.replicas]
        if not taking or min(taking) > current:
            return Unavailable(Reason.LIMIT_UNKNOWN, "; ".join(unknown))
        allowed = drained or [current]
    most = max(min([spec.max_replicas, *allowed]), spec.min_replicas)
    return Permit(most if cap is None else min(most, cap.replicas), decision.desired > 0)


def _unknown(signals: Signals, decision: Decision) -> list[str]:
    """Return what is unknown of the ceilings, and why the pool holds."""
    ceilings = [
        f"{ceiling_rung(limit)}: {one.reason}"
        for limit, one in decision.ceilings.items()
        if one.replicas is None
    ]
    gaps = dict.fromkeys(gap.message for gap in signals.gaps)
    return [*gaps, *ceilings, *([FIRST_LOOK] if signals.is_first_look else [])]


def _drained(decision: Decision) -> list[int]:
    """Return what each limit allows whose bucket is at its low mark or below: that is known."""
    return [
        tokens.allows(decision.current)
        for one in decision.llms.values()
        if one.level.is_drained
        and (tokens := one.ceilings.get(LimitedBy.TOKENS)) is not None
        and tokens.replicas is not None
    ]
