"""How many more replicas the nodes that exist can hold, and what keeps them from more.

CPU requests, pod slots and the rules of the scheduler count too: what cannot be scheduled is no
replica.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from math import ceil
from typing import NamedTuple

from scanpool.decide.assess import namespace_rules
from scanpool.decide.assess.namespace_rules import Allowed
from scanpool.decide.assess.placement import Ask, Own, place
from scanpool.decide.signals import Lack, Room
from scanpool.models.observation import Observation, Pod, Target
from scanpool.models.placement import NamespaceRules, larger
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.models.spec import PoolSpec, Unschedulable
from scanpool.models.units import MEBIBYTE, WHOLE_PERCENT

# A container this near to its limit is killed by its next large task.
NEAR_LIMIT = 0.9
# An OOM kill this recent says that the limit is too low for today's load.
OOM_KILL_SECONDS = 600
# Proposed memory limits are rounded up to what people write.
LIMIT_STEP = 64 * MEBIBYTE
NO_RULES = NamespaceRules()


class _Bound(NamedTuple):
    """How many more replicas may be added, and what the quotas say. None: as many as there may."""

    fits: int | None
    refusal: str | None


def room(spec: PoolSpec, observation: Observation, used: int, now: float) -> Room | None:
    """Return the room for replicas that were seen to use so many bytes; None if nodes are no bound.

    They are none where the pool does not ask, nor in a cluster that shows no node at all: there,
    nodes come with the pods.
    """
    nodes, target = observation.nodes, observation.target
    if nodes is None or (isinstance(nodes, Available) and not nodes.value):
        return None
    template, memory, told = target.template, spec.memory, observation.rules
    waits = memory.unschedulable is Unschedulable.WAIT
    running = sum(pod.node is not None for pod in target.pods)
    if template is None:
        return Room(None, "unknown", running, waits=waits)
    rules = told.value if isinstance(told, Available) else NO_RULES
    asked = larger(namespace_rules.requests(template.placement, rules), target.asked)
    request = asked.get("memory", template.memory_request)
    per_replica = max(request, used)
    source = "working set" if used > request else "requests"
    if not isinstance(nodes, Available):
        unknown = f"the nodes are unknown: {nodes.message}"
        return Room(per_replica, source, running, trouble=unknown)
    ask = Ask(
        per_replica,
        asked.get("cpu", template.cpu_request),
        {name: amount for name, amount in asked.items() if name not in ("memory", "cpu")},
        memory.target_utilization_percent / WHOLE_PERCENT,
        (*template.placement.ports, *target.ports),
    )
    there = Own(
        Counter(pod.node for pod in target.pods if pod.node is not None),
        Counter(target.leaving_from),
    )
    most = max(spec.max_replicas - running, 0)
    placed = place(nodes.value, template, ask, there, most)
    allowed = namespace_rules.allowed(template.placement, rules)
    bound = _bound(None if waits else placed.fits, target, allowed, running)
    return Room(
        per_replica,
        source,
        running,
        nodes=placed.open_nodes,
        total=len(nodes.value),
        fits=placed.fits if bound.fits is None else bound.fits,
        trouble=_trouble(target.pods, template.memory_limit, used, now),
        # Nodes that take all that the pool may have lack nothing.
        lacks=_lacks(placed.lacks) if placed.fits < most else (),
        refusal=_unseen(told) or bound.refusal,
        waits=bound.fits is None,
        leaving=len(target.leaving_from),
    )


def _bound(by_nodes: int | None, target: Target, allowed: Allowed, running: int) -> _Bound:
    """Return what is left of the replicas that nodes take once quotas have had their say.

    Quotas count every pod that there is, also those that have no node yet. They take nothing away:
    their count and the pods come by different watches, and what is there was let in.
    """
    if allowed.fits is None:
        return _Bound(by_nodes, None)
    let_in = max(len(target.pods) + allowed.fits, target.replicas) - running
    free = max(let_in, 0)
    if by_nodes is not None and by_nodes <= free:
        return _Bound(by_nodes, None)
    return _Bound(free, allowed.why)


def _unseen(rules: Reading[NamespaceRules] | None) -> str | None:
    """Say that quotas are not known; None if they are, or are not asked for."""
    if isinstance(rules, Unavailable):
        return f"what its namespace lets it ask for is unknown: {rules.message}"
    return None


def _lacks(by_node: Mapping[str, str]) -> tuple[Lack, ...]:
    """Return what is lacking, by what it is: what most nodes lack comes first."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for node, what in sorted(by_node.items()):
        found[what].append(node)
    ordered = sorted(found.items(), key=lambda one: (-len(one[1]), one[0]))
    return tuple(Lack(what, tuple(names)) for what, names in ordered)


def _trouble(pods: Sequence[Pod], limit: int | None, used: int, now: float) -> str | None:
    """Return why no replica may be added although there is room, with what it would take."""
    killed = [
        pod.name
        for pod in pods
        if pod.oom_killed_at is not None and pod.oom_killed_at > now - OOM_KILL_SECONDS
    ]
    needed = ceil(max(used, limit or 0) / NEAR_LIMIT / LIMIT_STEP) * LIMIT_STEP // MEBIBYTE
    if killed:
        proposed = f" of {needed}Mi or more" if needed else ""
        return f"{killed[0]} was OOM-killed: set a memory limit{proposed}"
    if limit and used > NEAR_LIMIT * limit:
        return (
            f"pods use {used / MEBIBYTE:,.0f}Mi of their {limit / MEBIBYTE:,.0f}Mi limit: "
            f"set a memory limit of {needed}Mi or more"
        )
    stuck = [pod for pod in pods if pod.unschedulable is not None]
    if stuck:
        return f"{stuck[0].name} cannot be scheduled: {stuck[0].unschedulable}"
    return None
