"""How many more replicas the nodes that exist can hold.

CPU requests and pod slots count too: a replica that cannot be scheduled is no replica.
"""

from math import ceil

from scanpool.decide.signals import Room
from scanpool.models.observation import Node, Observation, PodTemplate, Taint, Target, Toleration
from scanpool.models.reading import Available
from scanpool.models.spec import MemoryTarget
from scanpool.models.units import MEBIBYTE, WHOLE_PERCENT

# A container this near to its limit is killed by its next large task.
NEAR_LIMIT = 0.9
# An OOM kill this recent says that the limit is too low for today's load.
OOM_KILL_SECONDS = 600
# Proposed memory limits are rounded up to what people write.
LIMIT_STEP = 64 * MEBIBYTE


def room(spec: MemoryTarget, observation: Observation, used: int, now: float) -> Room | None:
    """Return the room for replicas that were seen to use so many bytes; None if nodes are no bound.

    They are none where the pool does not ask, nor in a cluster that shows no node at all: there,
    nodes come with the pods.
    """
    nodes, target = observation.nodes, observation.target
    if nodes is None or (isinstance(nodes, Available) and not nodes.value):
        return None
    template = target.template
    per_replica = max(template.memory_request, used)
    source = "working set" if used > template.memory_request else "requests"
    running = sum(pod.node is not None for pod in target.pods)
    if not isinstance(nodes, Available):
        unknown = f"the nodes are unknown: {nodes.message}"
        return Room(per_replica, source, running, trouble=unknown)
    open_nodes = [node for node in nodes.value if accepts(node, template)]
    share = spec.target_utilization_percent / WHOLE_PERCENT
    fits = sum(_fits(node, template, per_replica, share) for node in open_nodes)
    return Room(
        per_replica,
        source,
        running,
        nodes=len(open_nodes),
        total=len(nodes.value),
        fits=fits,
        trouble=_trouble(target, used, now),
    )


def accepts(node: Node, template: PodTemplate) -> bool:
    """Tell whether the scheduler would put one more replica on the node, room aside."""
    return (
        node.ready
        and node.schedulable
        and not node.memory_pressure
        and all(node.labels.get(key) == value for key, value in template.node_selector.items())
        and all(
            any(_tolerates(toleration, taint) for toleration in template.tolerations)
            for taint in node.taints
            if taint.effect in ("NoSchedule", "NoExecute")
        )
    )


def _tolerates(toleration: Toleration, taint: Taint) -> bool:
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    return toleration.operator == "Exists" or toleration.value == taint.value


def _fits(node: Node, template: PodTemplate, per_replica: int, share: float) -> int:
    """Return how many replicas fit on the node by memory, CPU requests and pod slots."""
    rooms = [node.pods_allocatable - node.pods_running]
    if per_replica:
        taken = max(node.memory_requested, node.memory_used or 0)
        rooms.append(int((node.memory_allocatable * share - taken) // per_replica))
    if template.cpu_request:
        rooms.append((node.cpu_allocatable - node.cpu_requested) // template.cpu_request)
    return max(min(rooms), 0)


def _trouble(target: Target, used: int, now: float) -> str | None:
    """Return why no replica may be added although there is room, with what it would take."""
    pods, limit = target.pods, target.template.memory_limit
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
