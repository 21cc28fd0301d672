"""All ceilings of one tick: those of the pool alone, then those that it shares with others."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from scanpool.decide import provider_ceiling, room_ceiling
from scanpool.decide.decision import Ceiling, LlmDecision
from scanpool.decide.memory import Memory
from scanpool.decide.signals import Signals
from scanpool.decide.watermarks import FALLS, State
from scanpool.models.claims import Claim
from scanpool.models.conditions import LimitedBy
from scanpool.models.spec import Mode, PoolSpec

Rule = Callable[[PoolSpec, Signals, Memory], Ceiling | None]

OWN: tuple[tuple[LimitedBy, Rule], ...] = ((LimitedBy.MEMORY, room_ceiling.ceiling),)
"""The ceilings that a pool has for itself, in the order of the ladder. None does not apply."""


class Peers(NamedTuple):
    """The pool among those of its key: its name, and the others' claims as of their last ticks."""

    pool: str = ""
    claims: tuple[Claim, ...] = ()


@dataclass(frozen=True, slots=True)
class Ceilings:
    """The ceilings that apply, in the order of the ladder, and what was made of the provider's."""

    by_limit: Mapping[LimitedBy, Ceiling]
    llm: LlmDecision | None

    @property
    def runs_empty(self) -> bool:
        """Whether the provider's bucket is at its low mark, or below it."""
        return self.llm is not None and self.llm.level.state in FALLS

    @property
    def is_high(self) -> bool:
        """Whether the provider's bucket is at its high mark."""
        return self.llm is not None and self.llm.level.state is State.HIGH


def measure(
    spec: PoolSpec, signals: Signals, memory: Memory, peers: Peers, wanted: int
) -> Ceilings:
    """Return the ceilings of a pool that would have `wanted` replicas without them.

    What the pool's own ceilings take from it, it does not claim of the limits that it shares.
    """
    current = signals.workers.replicas
    found = ((limit, rule(spec, signals, memory)) for limit, rule in OWN)
    own = {limit: ceiling for limit, ceiling in found if ceiling is not None}
    claim = Claim(
        pool=peers.pool,
        weight=1 if spec.llm is None else spec.llm.weight,
        floor=min(spec.min_replicas, wanted),
        # A pool that only observes takes no more than it has.
        wanted=min([wanted, *(one.allows(current) for one in own.values())])
        if spec.mode is Mode.ENFORCE
        else current,
        held=current,
        needs={},
    )
    provided = provider_ceiling.measure(spec, signals, memory.llm, claim, peers.claims)
    if provided is None:
        return Ceilings(own, None)
    return Ceilings({**provided.ceilings, **own}, provided.llm)
