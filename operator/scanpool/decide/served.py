"""What goes on while the billing breaker keeps a pool from some of its limits, but not from all.

The workers of a pool consume all of its queues. Where some of its limits are still paid, they are
kept for the queues that need none of the others, as many as those ask for. Messages of a queue that
needs a limit which is refused wait while no worker runs, and fail in those that do: a breaker that
took all workers away would stop the others, too.

    replicas = max(what onQuotaExhausted leaves, what the other queues ask for)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil

from scanpool.decide import behavior, breaker
from scanpool.decide.behavior import Recommendation
from scanpool.decide.breaker import Breaker, Cap, Quota, Verdict
from scanpool.decide.signals import Backlog, Signals
from scanpool.models.llm import ONLY
from scanpool.models.spec import PoolSpec, Queue


@dataclass(frozen=True, slots=True)
class Served:
    """What the queues ask for that need none of the `blocked` limits, since those are blocked."""

    blocked: frozenset[str] = frozenset()
    recommendations: tuple[Recommendation, ...] = ()


def judge(
    spec: PoolSpec, signals: Signals, breakers: Mapping[str, Breaker]
) -> Mapping[str, Verdict]:
    """Return what each limit's breaker allows, by the limit's name."""
    current, least = signals.workers.replicas, spec.min_replicas
    return {
        name: breaker.judge(breakers.get(name) or Breaker(), llm, current, least, signals.now)
        for name, llm in spec.limits.items()
    }


def blocked(verdicts: Mapping[str, Verdict]) -> frozenset[str]:
    """Return the limits whose breaker keeps the pool from what it could have."""
    return frozenset(name for name, verdict in verdicts.items() if verdict.cap is not None)


def step(
    served: Served, spec: PoolSpec, signals: Signals, verdicts: Mapping[str, Verdict]
) -> Served:
    """Return what is known of the other queues after a tick."""
    now_blocked = blocked(verdicts)
    if now_blocked != served.blocked:
        served = Served(now_blocked)
    others = going_on(spec, now_blocked)
    if not others or signals.backlog is None:
        return served
    asked = _asked(others, signals.backlog)
    kept = behavior.recommend(served.recommendations, asked, spec.behavior, signals.now)
    return replace(served, recommendations=kept)


def together(
    served: Served, spec: PoolSpec, signals: Signals, verdicts: Mapping[str, Verdict]
) -> tuple[str, Verdict] | None:
    """Return what all breakers come to, and the name of the strictest; None where there is none."""
    name = breaker.strictest(verdicts)
    if name is None:
        return None
    verdict = verdicts[name]
    if verdict.cap is None or name == ONLY:
        return name, verdict
    replicas = max(verdict.cap.replicas, _least(served, spec, signals))
    told = refused(spec, served.blocked, replicas)
    if verdict.state is not Quota.OPEN:
        told = tried(spec, served.blocked)
    reason = f"{name}: {verdict.cap.reason}; {told}"
    return name, replace(verdict, cap=Cap(replicas, reason))


def waiting(spec: PoolSpec, limits: frozenset[str]) -> tuple[str, ...]:
    """Return the names of the queues that need one of these limits."""
    free = going_on(spec, limits)
    return tuple(queue.name for queue in spec.rabbitmq.queues if queue not in free)


def going_on(spec: PoolSpec, limits: frozenset[str]) -> tuple[Queue, ...]:
    """Return the queues that need none of these limits, while another one is paid.

    A limit of which no queue says that it costs any may be needed by all of them.
    """
    if not limits:
        return ()
    costs = {queue.name: _needs(queue) for queue in spec.rabbitmq.queues}
    named = frozenset[str]().union(*costs.values())
    if not limits <= named or limits == spec.limits.keys():
        return ()
    return tuple(queue for queue in spec.rabbitmq.queues if not costs[queue.name] & limits)


def refused(spec: PoolSpec, limits: frozenset[str], replicas: int) -> str:
    """Say which queues need limits that are refused, what becomes of them, and which go on.

    A worker takes from all of its queues, so that messages only wait where no replica is left.
    """
    fate = "fail in the workers that run" if replicas else "wait"
    return f"{needed_by(spec, limits)}, whose messages {fate}{_while_others(spec, limits)}"


def tried(spec: PoolSpec, limits: frozenset[str]) -> str:
    """Say which queues need limits that are tried again, and which go on."""
    return f"{needed_by(spec, limits)}{_while_others(spec, limits)}"


def needed_by(spec: PoolSpec, limits: frozenset[str]) -> str:
    """Say which queues need these limits."""
    return f"needed by {_listed(waiting(spec, limits))}"


def _while_others(spec: PoolSpec, limits: frozenset[str]) -> str:
    others = [one.name for one in going_on(spec, limits)]
    verb = "goes" if len(others) == 1 else "go"
    return f", while {_listed(others)} {verb} on" if others else ""


def _needs(queue: Queue) -> frozenset[str]:
    return frozenset(name for name, tokens in queue.costs.items() if tokens)


def _asked(queues: Sequence[Queue], backlog: Backlog) -> int:
    depths = {one.name: one.counted for one in backlog.queues}
    return max(ceil(depths.get(one.name, 0) / one.messages_per_replica) for one in queues)


def _least(served: Served, spec: PoolSpec, signals: Signals) -> int:
    """Return the replicas that the other queues are to have; none if there are no such queues.

    While their depth is unknown, those that there are.
    """
    current, others = signals.workers.replicas, going_on(spec, served.blocked)
    if not others:
        return 0
    if signals.backlog is None:
        return current
    asked = _asked(others, signals.backlog)
    known = served.recommendations
    stable = behavior.stabilize(known, current, asked, spec.behavior, signals.now)
    return min(stable, spec.max_replicas)


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
