"""What one tick leaves for the next: the parts, each of which knows itself.

What belongs to a provider's limit hangs together, so that a second limit is a second value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from scanpool.decide import (
    backoff,
    breaker,
    bucket,
    cost,
    day,
    history,
    keys,
    limits,
    observed,
    spend,
    working_sets,
)
from scanpool.decide.activation import Activity
from scanpool.decide.backoff import Backoff, KeptBackoff
from scanpool.decide.behavior import Scaling
from scanpool.decide.belief import Belief
from scanpool.decide.breaker import Breaker, KeptBreaker
from scanpool.decide.bucket import Bucket, KeptBucket
from scanpool.decide.cost import KeptCost, Learned
from scanpool.decide.day import Days, KeptDays
from scanpool.decide.held import Held
from scanpool.decide.history import History, KeptHistory
from scanpool.decide.keys import Breakers, KeptKeys
from scanpool.decide.limits import KeptLimits, KnownLimits
from scanpool.decide.observed import Change, KeptObserved, Observed
from scanpool.decide.probing import Probing
from scanpool.decide.ramp import Uses
from scanpool.decide.restarts import Restarts
from scanpool.decide.served import Served
from scanpool.decide.signals import Failures
from scanpool.decide.spend import KeptSpent, Spent
from scanpool.decide.throughput import Throughput
from scanpool.decide.working_sets import KeptWorkingSets, WorkingSets
from scanpool.models.figures import NEVER, Noise
from scanpool.models.llm import ONLY


@dataclass(frozen=True, slots=True)
class LlmMemory:
    """What is remembered of one provider's limit, its use and its refusals.

    Of several keys each has a breaker in `keys`, and `breaker` is what they come to.
    """

    breaker: Breaker = field(default_factory=Breaker)
    backoff: Backoff = field(default_factory=Backoff)
    limits: KnownLimits = field(default_factory=KnownLimits)
    cost: Learned = field(default_factory=Learned)
    bucket: Bucket = field(default_factory=Bucket)
    belief: Belief = field(default_factory=Belief)
    uses: Uses = ()
    probing: Probing = field(default_factory=Probing)
    days: Days = field(default_factory=dict)
    keys: Breakers = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Memory:
    """State between decisions; it lives in the process, except for what a checkpoint keeps.

    `llms` is what is remembered of each limit, by name, and `observed` what a pool that only
    observes would have done. `at` is when it was last taken up, in seconds since the epoch.
    """

    history: History = field(default_factory=History)
    working_sets: WorkingSets = field(default_factory=WorkingSets)
    llms: Mapping[str, LlmMemory] = field(default_factory=dict)
    activity: Activity = field(default_factory=Activity)
    served: Served = field(default_factory=Served)
    failures: Failures = field(default_factory=Failures)
    observed: Observed | None = None
    throughput: Throughput = field(default_factory=Throughput)
    restarts: Restarts = ()
    held: Held = field(default_factory=Held)
    spent: Spent | None = None
    at: float | None = None

    def of(self, name: str) -> LlmMemory:
        """Return what is remembered of a limit: at first, nothing."""
        known = self.llms.get(name)
        return LlmMemory() if known is None else known

    @property
    def breakers(self) -> Mapping[str, Breaker]:
        """The breaker of each limit."""
        return {name: one.breaker for name, one in self.llms.items()}

    @property
    def llm(self) -> LlmMemory:
        """What is remembered of the pool's only limit."""
        return self.of(ONLY)


class KeptLlm(KeptCost, KeptLimits, KeptBucket, KeptBackoff, KeptBreaker, KeptDays, KeptKeys):
    """What of a limit survives the process."""


class KeptNamedLlm(KeptLlm):
    """What of one of several limits survives the process."""

    name: str


class Checkpoint(KeptLlm, KeptWorkingSets, KeptHistory, KeptObserved, KeptSpent):
    """The part of a pool's memory that must survive the process, in the status.

    What is of its only limit stands beside the rest, what is of each of several in `llms`.
    """

    llms: tuple[KeptNamedLlm, ...] | None = None
    at: Annotated[float | None, Noise(NEVER)] = None


def checkpoint(memory: Memory) -> Checkpoint:
    """Return what the status keeps for the next process."""
    named = tuple(
        KeptNamedLlm(name=name, **_kept(one)) for name, one in memory.llms.items() if name != ONLY
    )
    return Checkpoint(
        **_kept(memory.llm),
        **vars(working_sets.kept(memory.working_sets)),
        **vars(history.kept(memory.history)),
        **vars(observed.kept(memory.observed)),
        **vars(spend.kept(memory.spent)),
        llms=named or None,
        at=memory.at,
    )


def restore(kept: Checkpoint | None, now: float) -> Memory:
    """Return the memory that a process starts with."""
    if kept is None:
        return Memory()
    named = {one.name: _restored(one, now) for one in kept.llms or ()}
    named[ONLY] = _restored(kept, now)
    return Memory(
        history=history.restored(kept),
        working_sets=working_sets.restored(kept, now),
        llms={name: one for name, one in named.items() if one != LlmMemory()},
        observed=observed.restored(kept),
        spent=spend.restored(kept),
        at=kept.at,
    )


def _kept(llm: LlmMemory) -> dict[str, Any]:
    return {
        **vars(cost.kept(llm.cost)),
        **vars(limits.kept(llm.limits)),
        **vars(bucket.kept(llm.bucket)),
        **vars(backoff.kept(llm.backoff)),
        **vars(breaker.kept(llm.breaker)),
        **vars(day.kept(llm.days)),
        **vars(keys.kept(llm.keys)),
    }


def _restored(kept: KeptLlm, now: float) -> LlmMemory:
    return LlmMemory(
        breaker=breaker.restored(kept),
        backoff=backoff.restored(kept),
        limits=limits.restored(kept, now),
        cost=cost.restored(kept, now),
        bucket=bucket.restored(kept, now),
        days=day.restored(kept),
        keys=keys.restored(kept),
    )


def heard(memory: Memory, kept: Checkpoint, scalings: Sequence[Scaling]) -> Memory:
    """Return the memory of a process that follows another, which has written this since.

    What the one that acts has learned of refusals counts, and so do its changes of replicas and the
    money that it has counted. What
    both measure alike is as good as the other's: costs, limits, others' use, working sets.
    """
    told = {one.name: _heard(memory.of(one.name), one) for one in kept.llms or ()}
    told[ONLY] = _heard(memory.llm, kept)
    known = {**memory.llms, **told}
    return replace(
        memory,
        history=history.heard(memory.history, scalings),
        spent=spend.heard(memory.spent, kept),
        llms={name: one for name, one in known.items() if one != LlmMemory()},
    )


def _heard(llm: LlmMemory, kept: KeptLlm) -> LlmMemory:
    return replace(
        llm,
        breaker=breaker.heard(llm.breaker, kept),
        backoff=backoff.heard(llm.backoff, kept),
    )


def after_scaling(memory: Memory, before: int, after: int, now: float) -> Memory:
    """Return the memory once the API server has taken a change of replicas."""
    return replace(memory, history=history.scaled(memory.history, before, after, now))


def after_observing(memory: Memory, decided: Change, *, holds: bool) -> Memory:
    """Return the memory once something was decided that nobody carries out."""
    seen = memory.observed or Observed()
    return replace(memory, observed=observed.step(seen, decided, holds=holds))
