"""The memory ceiling: how many replicas the nodes that exist can hold.

    ceiling = running + sum over nodes of what fits beside what is requested or used there

CPU requests and pod slots count too: a replica that cannot be scheduled is no replica.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import ceil

from scanpool.models.decision import Ceiling, MemoryReport
from scanpool.models.memory import Memory, WorkingSet
from scanpool.models.observation import Node, Observation, Pod, PodTemplate, Taint, Toleration
from scanpool.models.reading import Available
from scanpool.models.spec import MemoryTarget

MEBIBYTE = 1024 * 1024
# Working sets are remembered this long: several rounds of a worker's longest tasks.
WORKING_SET_WINDOW_SECONDS = 600
WORKING_SET_PERCENTILE = 0.95
# A container this near to its limit is killed by its next large task.
NEAR_LIMIT = 0.9
# An OOM kill this recent says that the limit is too low for today's load.
OOM_KILL_SECONDS = 600
# Proposed memory limits are rounded up to what people write.
LIMIT_STEP = 64 * MEBIBYTE


def remember_working_set(memory: Memory, pods: Sequence[Pod], now: float) -> Memory:
    """Return the memory with the largest working set of this tick, where metrics show one."""
    used = [pod.memory_used for pod in pods if pod.memory_used is not None]
    kept = tuple(one for one in memory.working_sets if one.at > now - WORKING_SET_WINDOW_SECONDS)
    if used:
        kept = (*kept, WorkingSet(now, max(used)))
    return replace(memory, working_sets=kept)


def working_set(memory: Memory) -> int | None:
    """Return the 95th percentile of the remembered working sets, in bytes; None without any."""
    if not memory.working_sets:
        return None
    ordered = sorted(one.memory for one in memory.working_sets)
    return ordered[ceil(WORKING_SET_PERCENTILE * len(ordered)) - 1]


def memory_ceiling(
    target: MemoryTarget, observation: Observation, memory: Memory, now: float
) -> tuple[Ceiling, MemoryReport] | None:
    """Return the most replicas that the nodes hold, with its report; None if it does not apply.

    It does not apply to a cluster that shows no node at all: there, nodes come with the pods.
    """
    nodes = observation.nodes
    if nodes is None or (isinstance(nodes, Available) and not nodes.value):
        return None
    template = observation.target.template
    used = working_set(memory) or 0
    per_replica = max(template.memory_request, used)
    source = "working set" if used > template.memory_request else "requests"
    if not isinstance(nodes, Available):
        report = MemoryReport(per_replica, source, None, 0)
        return Ceiling(None, None, f"the nodes are unknown: {nodes.message}"), report
    open_nodes = [node for node in nodes.value if accepts(node, template)]
    share = target.target_utilization_percent / 100
    fits = sum(_fits(node, template, per_replica, share) for node in open_nodes)
    report = MemoryReport(per_replica, source, fits, len(open_nodes))
    running = sum(pod.node is not None for pod in observation.target.pods)
    if (trouble := _trouble(observation, used, now)) is not None:
        held = min(running + fits, observation.target.replicas)
        return Ceiling(held, held, trouble), report
    room = (
        f"{running} running, and {fits} more of {per_replica / MEBIBYTE:,.0f}Mi ({source}) fit on "
        f"{len(open_nodes)} of {len(nodes.value)} nodes at {target.target_utilization_percent}%"
    )
    return Ceiling(running + fits, running + fits, room), report


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


def _trouble(observation: Observation, used: int, now: float) -> str | None:
    """Return why no replica may be added although there is room, with what it would take."""
    pods, limit = observation.target.pods, observation.target.template.memory_limit
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
