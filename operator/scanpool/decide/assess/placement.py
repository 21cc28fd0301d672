"""How many more replicas the nodes take, one after the other, and what each node lacks for more.

Node by node as the scheduler filters: state, nodeSelector, required node affinity and taints; then
what is left of it. Then among the nodes: replicas that must be apart, or be spread.
What pods of a lower priority hold is no room: it would be taken from somebody.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from scanpool.models.observation import Node, PodTemplate, Taint, Toleration
from scanpool.models.placement import Expression, HostPort, NodeTerm, Spread

HARD_EFFECTS = ("NoSchedule", "NoExecute")
# What a node is taken to have once it is cordoned.
CORDONED = Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")
# A taint's value that is more, or less, than the toleration's (alpha in Kubernetes 1.35).
NUMERIC = frozenset({"Gt", "Lt"})
MEMORY, CPU, SLOTS = "memory", "CPU", "pod slots"


@dataclass(frozen=True, slots=True)
class Ask:
    """What one more replica takes of a node, up to a share of the node's memory."""

    memory: int
    cpu: int
    extended: Mapping[str, int]
    share: float
    ports: tuple[HostPort, ...] = ()


class Own(NamedTuple):
    """The replicas that there are, by node: those that stay, and those that are going away.

    Until these are gone they are in the way of replicas that must be apart. For a spread they count
    no longer, as the scheduler has it.
    """

    staying: Counter[str]
    leaving: Counter[str]


@dataclass(frozen=True, slots=True)
class Placed:
    """How many more replicas fit, on how many nodes, and what keeps each node from one more."""

    fits: int
    open_nodes: int
    lacks: Mapping[str, str]


def place(nodes: Sequence[Node], template: PodTemplate, ask: Ask, there: Own, most: int) -> Placed:
    """Place up to `most` more replicas beside those that are `there`.

    Without a rule among the nodes it is the sum of what each takes, however many are asked for.
    """
    lacks, left = {}, {}
    for node in nodes:
        wrong = obstacle(node, template)
        if wrong is not None:
            lacks[node.name] = wrong
            continue
        rooms = _rooms(node, ask)
        scarce = min(rooms, key=lambda name: rooms[name])
        left[node.name] = max(rooms[scarce], 0)
        lacks[node.name] = scarce
    rules = template.placement
    if not (rules.apart or rules.spreads):
        return Placed(sum(left.values()), len(left), lacks)
    placed = _one_by_one(nodes, template, left, there, most)
    # What is full is full, whatever else is in the way.
    lacks |= {name: why for name, why in placed.blocked.items() if left[name] > 0}
    return Placed(placed.count, len(left), lacks)


def obstacle(node: Node, template: PodTemplate) -> str | None:
    """Return why the scheduler would put no replica on a node, room aside; None if it would."""
    states = (
        (node.ready, "it is not ready"),
        (node.schedulable or _is_tolerated(CORDONED, template), "it is cordoned"),
        (not node.memory_pressure, "it has memory pressure"),
    )
    for is_well, why in states:
        if not is_well:
            return why
    for key, value in template.node_selector.items():
        if node.labels.get(key) != value:
            return f"label {key}={value} of the nodeSelector"
    if not _has_affinity(node, template.placement.terms):
        return "labels of the required node affinity"
    taint = _untolerated(node, template)
    if taint is not None:
        return f"a toleration of its taint {taint.key}"
    return None


@dataclass(slots=True)
class _Placing:
    count: int
    blocked: dict[str, str]


def _one_by_one(
    nodes: Sequence[Node],
    template: PodTemplate,
    left: dict[str, int],
    there: Own,
    most: int,
) -> _Placing:
    """Place replicas where fewest are, as far as every rule among the nodes lets them."""
    rules = template.placement
    labels = {node.name: node.labels for node in nodes}
    counts = {
        spread: _by_domain(spread, nodes, template, there.staying) for spread in rules.spreads
    }
    taken = {
        (key, labels[name][key])
        for key in rules.apart
        for name in there.staying + there.leaving
        if key in labels.get(name, {})
    }
    placing = _Placing(0, {})
    while True:
        fewest = {
            spread: 0 if len(count) < spread.min_domains else min(count.values())
            for spread, count in counts.items()
        }
        placing.blocked = {}
        free = []
        for name, room in left.items():
            why = _rule(labels[name], rules.apart, taken, counts, fewest)
            if why is not None:
                placing.blocked[name] = why
            elif room > 0:
                rank = [
                    count[labels[name][spread.topology_key]] for spread, count in counts.items()
                ]
                free.append((rank, -room, name))
        if not free or placing.count >= most:
            return placing
        chosen = min(free)[2]
        left[chosen] -= 1
        placing.count += 1
        taken |= {(key, labels[chosen][key]) for key in rules.apart if key in labels[chosen]}
        for spread, count in counts.items():
            count[labels[chosen][spread.topology_key]] += 1


def _rule(
    labels: Mapping[str, str],
    apart: Sequence[str],
    taken: set[tuple[str, str]],
    counts: Mapping[Spread, Counter[str]],
    fewest: Mapping[Spread, int],
) -> str | None:
    """Return which rule among the nodes keeps a replica from one; None if none does."""
    for key in apart:
        # Without the label a node is in no domain, and nothing there is in the way.
        if (key, labels.get(key)) in taken:
            return f"anti-affinity: a replica has its {key}"
    for spread, count in counts.items():
        domain = labels.get(spread.topology_key)
        if domain is None or domain not in count:
            return f"label {spread.topology_key} of the topology spread"
        if count[domain] + 1 - fewest[spread] > spread.max_skew:
            return f"topology spread: {spread.topology_key}={domain} is {spread.max_skew} ahead"
    return None


def _by_domain(
    spread: Spread, nodes: Sequence[Node], template: PodTemplate, held: Counter[str]
) -> Counter[str]:
    """Return the replicas in each domain that counts for a spread, empty ones among them."""
    found: Counter[str] = Counter()
    for node in nodes:
        domain = node.labels.get(spread.topology_key)
        if domain is None or not _counts(spread, node, template):
            continue
        found[domain] += held[node.name]
    return found


def _counts(spread: Spread, node: Node, template: PodTemplate) -> bool:
    if spread.honors_affinity:
        selector = template.node_selector.items()
        if any(node.labels.get(key) != value for key, value in selector):
            return False
        if not _has_affinity(node, template.placement.terms):
            return False
    if not spread.honors_taints:
        return True
    is_open = node.schedulable or _is_tolerated(CORDONED, template)
    return is_open and node.ready and _untolerated(node, template) is None


def _rooms(node: Node, ask: Ask) -> dict[str, int]:
    """Return how many replicas fit on a node by each thing that they take."""
    rooms = {SLOTS: node.pods_allocatable - node.pods_running}
    if ask.memory:
        taken = max(node.memory_requested, node.memory_used or 0)
        rooms[MEMORY] = int((node.memory_allocatable * ask.share - taken) // ask.memory)
    if ask.cpu:
        rooms[CPU] = (node.cpu_allocatable - node.cpu_requested) // ask.cpu
    for name, amount in ask.extended.items():
        if amount:
            rooms[name] = node.extended_free.get(name, 0) // amount
    for port in ask.ports:
        name, is_taken = f"host port {port.number}", any(map(port.clashes, node.ports))
        # Of TCP and UDP both have to be free.
        rooms[name] = 0 if is_taken else rooms.get(name, 1)
    return rooms


def _has_affinity(node: Node, terms: Sequence[NodeTerm] | None) -> bool:
    """Tell whether any term holds; one that names nothing holds for no node."""
    if terms is None:
        return True
    named = {"metadata.name": node.name}
    return any(
        (term.labels or term.names)
        and all(one.holds(node.labels) for one in term.labels)
        and all(one.holds(named) for one in term.names)
        for term in terms
    )


def _untolerated(node: Node, template: PodTemplate) -> Taint | None:
    for taint in node.taints:
        if taint.effect in HARD_EFFECTS and not _is_tolerated(taint, template):
            return taint
    return None


def _is_tolerated(taint: Taint, template: PodTemplate) -> bool:
    return any(_tolerates(one, taint) for one in template.tolerations)


def _tolerates(toleration: Toleration, taint: Taint) -> bool:
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    if toleration.operator in NUMERIC:
        bound = Expression(taint.key, toleration.operator, (toleration.value,))
        return bound.holds({taint.key: taint.value})
    return toleration.operator == "Exists" or toleration.value == taint.value
