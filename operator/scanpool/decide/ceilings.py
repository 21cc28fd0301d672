"""All ceilings of one tick: those of the pool alone, then those that it shares with others."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from typing import NamedTuple

from scanpool.decide import (
    fallback_ceiling,
    provider_ceiling,
    room_ceiling,
    spend_ceiling,
    worker_ceiling,
)
from scanpool.decide.breaker import Quota
from scanpool.decide.decision import Ceiling, LlmDecision
from scanpool.decide.key_sharing import OnKeys
from scanpool.decide.memory import Memory
from scanpool.decide.mix import LEAST_TOKENS
from scanpool.decide.signals import Signals
from scanpool.decide.watermarks import State
from scanpool.models.claims import Claim
from scanpool.models.conditions import LimitedBy
from scanpool.models.field_names import of_limit
from scanpool.models.llm import ONLY
from scanpool.models.spec import Mode, PoolSpec

Rule = Callable[[PoolSpec, Signals, Memory], Ceiling | None]

OWN: tuple[tuple[LimitedBy, Rule], ...] = (
    (LimitedBy.MEMORY, room_ceiling.ceiling),
    (LimitedBy.WORKERS, worker_ceiling.ceiling),
    (LimitedBy.SPEND, spend_ceiling.ceiling),
)
"""The ceilings that a pool has for itself, in the order of the ladder. None does not apply."""
OF_PROVIDER = (LimitedBy.TOKENS, LimitedBy.REQUESTS)
"""Those that each limit of a provider may have, in the order of the ladder."""


class Peers(NamedTuple):
    """The pool among those of its keys: its name, and the others' claims as of their last ticks.

    `claims` are those on each key of each of its limits, by their names.
    """

    pool: str = ""
    claims: Mapping[str, OnKeys] = {}


@dataclass(frozen=True, slots=True)
class Ceilings:
    """The ceilings that apply, in the order of the ladder: of each kind the smallest.

    `llms` is what was made of each limit of the provider, `tightest` names the one with the
    smallest ceiling. `drained` is the smallest of those whose bucket runs empty
    (`Level.is_drained`).
    """

    by_limit: Mapping[LimitedBy, Ceiling]
    llms: Mapping[str, LlmDecision] = field(default_factory=dict)
    tightest: str = ONLY
    drained: Mapping[LimitedBy, Ceiling] = field(default_factory=dict)

    @property
    def is_high(self) -> bool:
        """Whether the bucket of every limit of the provider is at its high mark."""
        return bool(self.llms) and all(one.level.state is State.HIGH for one in self.llms.values())


def measure(
    spec: PoolSpec, signals: Signals, memory: Memory, peers: Peers, wanted: int
) -> Ceilings:
    """Return the ceilings of a pool that would have `wanted` replicas without them.

    What the pool's own ceilings take from it, it does not claim of the limits that it shares, nor
    of one limit what another takes.
    """
    current = signals.workers.replicas
    found = ((limit, rule(spec, signals, memory)) for limit, rule in OWN)
    own = {limit: ceiling for limit, ceiling in found if ceiling is not None}
    llms = {}
    for name, llm in spec.limits.items():
        claim = Claim(
            pool=peers.pool,
            weight=llm.weight,
            floor=min(spec.min_replicas, wanted),
            # A pool that only observes takes no more than it has.
            wanted=min([wanted, *(one.allows(current) for one in own.values())])
            if spec.mode is Mode.ENFORCE
            else current,
            held=current,
            needs={},
            priority=llm.priority,
            draining=signals.workers.draining,
            ready=signals.workers.ready,
        )
        made = provider_ceiling.measure(
            spec.only(name),
            signals.only(name),
            memory.of(name),
            claim,
            peers.claims.get(name, {}),
        )
        if made is not None:
            stands_in = llm.fallback if name in signals.stood_in.limits else None
            llms[name] = (
                made
                if stands_in is None
                else fallback_ceiling.of_limit(made, stands_in, signals.llms[name], current)
            )
    if len(llms) > 1:
        llms = {
            name: _without_ceilings(made) if is_at_rest(spec, signals, memory, name) else made
            for name, made in llms.items()
        }
    drained = _smallest({name: one for name, one in llms.items() if one.level.is_drained}, current)
    return Ceilings(
        {**_smallest(llms, current), **own},
        {name: _beside(name, llms, current) for name in llms} if len(llms) > 1 else llms,
        min(llms, key=lambda name: _tightest(llms[name], current), default=ONLY),
        {limit: ceiling for limit, ceiling in drained.items() if limit is LimitedBy.TOKENS},
    )


def is_at_rest(spec: PoolSpec, signals: Signals, memory: Memory, name: str) -> bool:
    """Tell whether nothing of one of several limits is used, so that it bounds nothing now.

    The provider refuses every call; or no message waits that would cost any of it, and none was
    worked off for a usage window: between two messages a limit is not unused.
    """
    if memory.of(name).breaker.state is Quota.OPEN:
        return True
    seen, backlog = signals.llms[name], signals.backlog
    priced = {queue.name for queue in spec.rabbitmq.queues if queue.costs.get(name)}
    if backlog is None or not priced or not seen.use.own_is_told:
        return False
    waiting = [one for one in backlog.queues if one.name in priced]
    own = seen.use.own.tokens
    is_calm = own is not None and own < LEAST_TOKENS
    return is_calm and all(one.ready == one.unacked == 0 for one in waiting)


def _without_ceilings(made: LlmDecision) -> LlmDecision:
    """Return what was made of a limit that is not used: the others on its key may use all of it."""
    return replace(made, ceilings={}, claim=replace(made.claim, is_idle=made.level.decides))


def _smallest(llms: Mapping[str, LlmDecision], current: int) -> dict[LimitedBy, Ceiling]:
    """Return the smallest ceiling of each kind; of several limits its reason names the one."""
    found = {}
    for limit in OF_PROVIDER:
        known = {name: one.ceilings[limit] for name, one in llms.items() if limit in one.ceilings}
        if known:
            name = min(known, key=lambda name: _size(known[name], current))
            found[limit] = known[name]
            if name != ONLY:
                reason = f"{name}: {of_limit(known[name].reason, name)}"
                found[limit] = replace(known[name], reason=reason)
    return found


def _beside(name: str, llms: Mapping[str, LlmDecision], current: int) -> LlmDecision:
    """Return what was made of one limit, whose claim leaves what the others do not allow."""
    allowed = (
        ceiling.allows(current)
        for other, one in llms.items()
        if other != name
        for ceiling in one.ceilings.values()
    )
    made = llms[name]
    claim = replace(made.claim, wanted=min([made.claim.wanted, *allowed]))
    return replace(made, claim=claim)


def _tightest(made: LlmDecision, current: int) -> tuple[float, float]:
    sizes = (_size(one, current) for one in made.ceilings.values())
    return min(sizes, default=(inf, inf))


def _size(ceiling: Ceiling, current: int) -> tuple[float, float]:
    """Order ceilings by what they allow now, then by what they allow at all; unknown is least."""
    return ceiling.allows(current), -1 if ceiling.replicas is None else ceiling.replicas
