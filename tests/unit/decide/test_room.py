"""What fits on the nodes, and the memory ceiling that this makes."""

from dataclasses import replace

import pytest

from builders import (
    NOW,
    TEMPLATE,
    memory,
    node,
    observe,
    pods,
    pool,
    seen,
    signals,
    target,
    unseen,
    workers,
)
from scanpool.decide import assess
from scanpool.decide.assess.placement import obstacle
from scanpool.decide.assess.room import room
from scanpool.decide.decision import Ceiling
from scanpool.decide.memory import Memory
from scanpool.decide.room_ceiling import ceiling
from scanpool.decide.signals import Room
from scanpool.decide.working_sets import WorkingSet, WorkingSets, step
from scanpool.models.observation import Node, Pod, PodTemplate, Taint, Toleration
from scanpool.models.reading import Available
from scanpool.models.spec import MemoryTarget
from scanpool.models.units import MEBIBYTE

# 85% of 4096Mi is 3481.6Mi: six replicas of 512Mi, and seven at 100%.
NODE = node()
GPU = Taint("gpu", "yes", "NoSchedule")
SLA = Taint("sla", "950", "NoSchedule")


def measure(
    *nodes: Node,
    running: tuple[Pod, ...] = (),
    template: PodTemplate = TEMPLATE,
    used: int = 0,
    percent: int = 85,
) -> tuple[Ceiling, Room]:
    """Return the ceiling and the room for pods that were seen to use so many MiB."""
    observation = observe(target=target(len(running), running, template), nodes=seen(nodes))
    on_nodes = MemoryTarget(target_utilization_percent=percent)
    found = room(pool(memory=on_nodes), observation, used * MEBIBYTE, NOW)
    there = signals(workers=workers(len(running)), room=found)
    made = ceiling(pool(memory=on_nodes), there, Memory())
    assert found is not None
    assert made is not None
    return made, found


@pytest.mark.parametrize(
    ("found", "fits"),
    [
        pytest.param(measure(NODE), 6, id="memory-to-85%"),
        pytest.param(measure(NODE, percent=100), 8, id="memory-to-100%"),
        pytest.param(
            measure(node(memory_requested=1_000 * MEBIBYTE)), 4, id="less-what-is-requested"
        ),
        pytest.param(
            measure(node(memory_requested=1, memory_used=1_000 * MEBIBYTE)),
            4,
            id="less-what-is-used-where-that-is-more",
        ),
        pytest.param(
            measure(node(memory_requested=1_000 * MEBIBYTE, memory_used=1)),
            4,
            id="less-what-is-requested-where-that-is-more",
        ),
        pytest.param(measure(node(memory_requested=4_000 * MEBIBYTE)), 0, id="never-below-zero"),
        pytest.param(measure(NODE, used=800), 4, id="by-working-set-above-requests"),
        pytest.param(measure(NODE, used=256), 6, id="by-requests-above-working-set"),
        pytest.param(measure(node(cpu_requested=1_000)), 4, id="cpu-bound"),
        pytest.param(measure(node(cpu_requested=1_999)), 0, id="no-cpu-left"),
        pytest.param(measure(node(pods_running=108)), 2, id="pod-slots"),
        pytest.param(measure(node(pods_running=110)), 0, id="no-pod-slot-left"),
        pytest.param(measure(NODE, node("node-b")), 12, id="two-nodes-add-up"),
        pytest.param(measure(node(memory_pressure=True)), 0, id="memory-pressure"),
        pytest.param(measure(node(ready=False)), 0, id="not-ready"),
        pytest.param(measure(node(schedulable=False)), 0, id="cordoned"),
        pytest.param(measure(node(taints=(GPU,))), 0, id="tainted"),
        pytest.param(measure(NODE, node("node-b", memory_pressure=True)), 6, id="one-of-two"),
        pytest.param(
            measure(
                node(cpu_requested=2_000), template=replace(TEMPLATE, cpu_request=0)
            ),
            6,
            id="no-cpu-request-needs-no-cpu",
        ),
        pytest.param(
            measure(NODE, template=PodTemplate(0, 0, None)), 110, id="no-requests-but-pod-slots"
        ),
    ],
)  # fmt: skip
def test_what_fits_beside_what_is_there(found: tuple[Ceiling, Room], fits: int) -> None:
    made, there = found

    assert there.fits == fits
    assert (made.replicas, made.keeps) == (fits, fits)


def test_two_nodes_do_not_lend_each_other_the_rest_of_a_replica() -> None:
    """300Mi free on each of two nodes are no room for a replica of 512Mi."""
    full = node(memory_requested=(3_481 - 300) * MEBIBYTE)

    assert measure(full, replace(full, name="node-b"))[1].fits == 0


def test_running_replicas_count_beside_what_fits() -> None:
    made, found = measure(node(memory_requested=1_024 * MEBIBYTE), running=pods(2))

    assert (made.replicas, found.fits, found.nodes) == (6, 4, 1)
    assert made.reason == (
        "2 running, and 4 more of 512Mi (requests) fit on 1 of 1 nodes at 85%; "
        "one more needs, on node-a: memory"
    )


def test_replicas_that_found_no_node_are_given_up_where_nothing_fits() -> None:
    waiting = pods(3, node=None, ready=False)

    made, _ = measure(node(cpu_requested=2_000), running=(*pods(2), *waiting))
    assert made.allows(5) == 2


def test_a_running_replica_is_never_given_up() -> None:
    pressed = node(memory_pressure=True, memory_requested=9_000 * MEBIBYTE)

    assert measure(pressed, running=pods(5))[0].allows(5) == 5


@pytest.mark.parametrize("nodes", [None, seen(())])
def test_a_cluster_that_shows_no_node_has_no_memory_ceiling(
    nodes: Available[tuple[Node, ...]] | None,
) -> None:
    on_nodes = pool(memory=MemoryTarget())
    assert room(on_nodes, observe(target=target(3), nodes=nodes), 0, NOW) is None
    assert ceiling(pool(memory=MemoryTarget()), signals(room=None), Memory()) is None


def test_unknown_nodes_are_an_unknown_ceiling_rather_than_no_room() -> None:
    observation = observe(target=target(3), nodes=unseen())
    found = room(pool(memory=MemoryTarget()), observation, 700 * MEBIBYTE, NOW)
    assert found is not None
    assert (found.per_replica, found.source) == (700 * MEBIBYTE, "working set")
    assert (found.fits, found.total, found.nodes) == (None, None, 0)

    unknown = ceiling(pool(memory=MemoryTarget()), signals(room=found), Memory())
    assert unknown is not None
    assert (unknown.replicas, unknown.keeps, unknown.allows(3)) == (None, None, 3)
    assert unknown.reason == f"the nodes are unknown: {unseen().message}"


@pytest.mark.parametrize(
    ("labels", "selector", "accepted"),
    [
        ({}, {}, True),
        ({"pool": "scan"}, {}, True),
        ({"pool": "scan"}, {"pool": "scan"}, True),
        ({"pool": "scan", "zone": "a"}, {"pool": "scan", "zone": "b"}, False),
        ({"pool": "web"}, {"pool": "scan"}, False),
        ({}, {"pool": "scan"}, False),
    ],
)
def test_the_node_selector(
    labels: dict[str, str], selector: dict[str, str], accepted: bool
) -> None:
    template = replace(TEMPLATE, node_selector=selector)

    assert (obstacle(node(labels=labels), template) is None) is accepted


@pytest.mark.parametrize(
    ("taint", "toleration", "accepted"),
    [
        (GPU, None, False),
        (Taint("gpu", "yes", "NoExecute"), None, False),
        (Taint("gpu", "yes", "PreferNoSchedule"), None, True),
        (GPU, Toleration("gpu", "Equal", "yes", "NoSchedule"), True),
        (GPU, Toleration("gpu", "Equal", "yes", ""), True),
        (GPU, Toleration("gpu", "", "yes", ""), True),
        (GPU, Toleration("gpu", "Exists", "", "NoSchedule"), True),
        (GPU, Toleration("", "Exists", "", ""), True),
        (GPU, Toleration("gpu", "Equal", "no", "NoSchedule"), False),
        (GPU, Toleration("gpu", "Equal", "yes", "NoExecute"), False),
        (GPU, Toleration("fpga", "Exists", "", ""), False),
        (SLA, Toleration("sla", "Gt", "750", ""), True),
        (SLA, Toleration("sla", "Gt", "950", ""), False),
        (SLA, Toleration("sla", "Lt", "1000", "NoSchedule"), True),
        (SLA, Toleration("sla", "Lt", "950", ""), False),
        (GPU, Toleration("gpu", "Gt", "1", ""), False),
    ],
)
def test_taints_and_tolerations(
    taint: Taint, toleration: Toleration | None, accepted: bool
) -> None:
    template = replace(TEMPLATE, tolerations=() if toleration is None else (toleration,))

    assert (obstacle(node(taints=(taint,)), template) is None) is accepted


@pytest.mark.parametrize(
    ("toleration", "accepted"),
    [
        (None, False),
        (Toleration("", "Exists", "", ""), True),
        (Toleration("node.kubernetes.io/unschedulable", "Exists", "", "NoSchedule"), True),
        (Toleration("node.kubernetes.io/unschedulable", "Exists", "", "NoExecute"), False),
    ],
)
def test_a_cordoned_node_takes_those_that_tolerate_it(
    toleration: Toleration | None, accepted: bool
) -> None:
    template = replace(TEMPLATE, tolerations=() if toleration is None else (toleration,))

    assert (obstacle(node(schedulable=False), template) is None) is accepted


def test_every_taint_has_to_be_tolerated() -> None:
    template = replace(TEMPLATE, tolerations=(Toleration("gpu", "Exists", "", ""),))

    assert obstacle(node(taints=(GPU,)), template) is None
    assert obstacle(node(taints=(GPU, Taint("spot", "yes", "NoSchedule"))), template) is not None


@pytest.mark.parametrize(
    ("sizes", "percentile"),
    [([], None), ([5], 5), (range(1, 21), 19), (range(1, 101), 95), ([1] * 50 + [9], 1)],
)
def test_the_working_set_is_the_95th_percentile(sizes: list[int], percentile: int | None) -> None:
    sets = WorkingSets(tuple(WorkingSet(NOW, size) for size in sizes))

    assert sets.percentile == percentile


def test_the_largest_working_set_of_each_tick_is_remembered_for_ten_minutes() -> None:
    past = WorkingSets((WorkingSet(NOW - 600, 9), WorkingSet(NOW - 599, 8)))
    there = [*pods(1, memory_used=3), *pods(1, memory_used=7), *pods(1)]

    found = assess(pool(), observe(target=target(3, there)), memory(working_sets=past), NOW)
    assert found.working_sets.samples == (WorkingSet(NOW - 599, 8), WorkingSet(NOW, 7))


def test_a_tick_without_metrics_remembers_nothing_rather_than_zero() -> None:
    assert step(WorkingSets(), None, NOW).samples == ()
    assert assess(pool(), observe(2), memory(), NOW).working_sets.samples == ()


def test_the_remembered_working_set_counts_for_the_room() -> None:
    """The 95th percentile of what was seen, the latest tick among it, is above the requests."""
    past = WorkingSets((WorkingSet(NOW - 60, 700 * MEBIBYTE),))
    observation = observe(target=target(1, pods(1, memory_used=MEBIBYTE)), nodes=seen((NODE,)))

    found = assess(pool(memory=MemoryTarget()), observation, memory(working_sets=past), NOW).room
    assert found is not None
    assert (found.per_replica, found.source) == (700 * MEBIBYTE, "working set")


@pytest.mark.parametrize(
    ("troubled", "used", "words"),
    [
        pytest.param(
            pods(3, oom_killed_at=NOW - 599),
            0,
            # 1024Mi / 0.9 = 1137.8Mi, in steps of 64Mi
            "scan-worker-0 was OOM-killed: set a memory limit of 1152Mi or more",
            id="oom-killed",
        ),
        pytest.param(
            pods(3, oom_killed_at=NOW - 1),
            1_800,
            "scan-worker-0 was OOM-killed: set a memory limit of 2048Mi or more",
            id="oom-killed-far-above-its-limit",
        ),
        pytest.param(
            pods(3),
            950,
            "pods use 950Mi of their 1,024Mi limit: set a memory limit of 1152Mi or more",
            id="above-90%-of-the-limit",
        ),
        pytest.param(
            pods(3, unschedulable="0/2 nodes are available: 2 Insufficient cpu."),
            0,
            "scan-worker-0 cannot be scheduled: 0/2 nodes are available: 2 Insufficient cpu.",
            id="unschedulable",
        ),
    ],
)
def test_trouble_stops_growth_although_there_is_room_and_says_what_it_would_take(
    troubled: tuple[Pod, ...], used: int, words: str
) -> None:
    made, found = measure(NODE, running=troubled, used=used)

    assert found.fits is not None
    assert found.fits > 0
    assert (made.replicas, made.keeps) == (3, 3)
    assert made.reason == words


@pytest.mark.parametrize(
    ("calm", "used", "limit"),
    [
        pytest.param(pods(3, oom_killed_at=NOW - 600), 0, 1_024, id="killed-long-ago"),
        pytest.param(pods(3), 921, 1_024, id="just-below-90%-of-the-limit"),
        pytest.param(pods(3), 3_000, None, id="without-a-limit"),
    ],
)
def test_what_is_no_trouble(calm: tuple[Pod, ...], used: int, limit: int | None) -> None:
    template = replace(TEMPLATE, memory_limit=None if limit is None else limit * MEBIBYTE)

    made, _ = measure(NODE, running=calm, used=used, template=template)
    assert made.reason.startswith("3 running")


def test_an_oom_kill_without_a_limit_proposes_none_it_cannot_know() -> None:
    """The node ran out of memory, and no metrics say how much the pod had."""
    unlimited = replace(TEMPLATE, memory_limit=None)

    made, _ = measure(NODE, running=pods(1, oom_killed_at=NOW), template=unlimited)
    assert " 0Mi" not in made.reason


def test_trouble_gives_up_the_replicas_that_found_no_node() -> None:
    stuck = pods(2, node=None, ready=False, unschedulable="0/1 nodes are available")

    made, _ = measure(node(cpu_requested=2_000), running=(*pods(3), *stuck))
    assert made.allows(5) == 3
