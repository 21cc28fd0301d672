from dataclasses import replace

import pytest

from builders import MEBIBYTE, NOW, TEMPLATE, node, observe, pods, seen, target, unseen
from scanpool.decide.room import accepts, memory_ceiling, remember_working_set, working_set
from scanpool.models.decision import Ceiling, MemoryReport
from scanpool.models.memory import Memory, WorkingSet
from scanpool.models.observation import Node, Pod, PodTemplate, Taint, Toleration
from scanpool.models.spec import MemoryTarget

# 85% of 4096Mi is 3481.6Mi: six replicas of 512Mi, and seven at 100%.
NODE = node()
GPU = Taint("gpu", "yes", "NoSchedule")


def using(mebibytes: int) -> Memory:
    return Memory(working_sets=(WorkingSet(NOW, mebibytes * MEBIBYTE),))


def measure(
    *nodes: Node,
    running: tuple[Pod, ...] = (),
    replicas: int | None = None,
    template: PodTemplate = TEMPLATE,
    memory: Memory | None = None,
    percent: int = 85,
) -> tuple[Ceiling, MemoryReport]:
    current = len(running) if replicas is None else replicas
    observation = observe(target=target(current, running, template), nodes=seen(nodes))
    found = memory_ceiling(
        MemoryTarget(target_utilization_percent=percent), observation, memory or Memory(), NOW
    )
    assert found is not None
    return found


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
        pytest.param(measure(NODE, memory=using(800)), 4, id="by-working-set-above-requests"),
        pytest.param(measure(NODE, memory=using(256)), 6, id="by-requests-above-working-set"),
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
def test_what_fits_beside_what_is_there(found: tuple[Ceiling, MemoryReport], fits: int) -> None:
    ceiling, report = found

    assert report.fits == fits
    assert (ceiling.replicas, ceiling.keeps) == (fits, fits)


def test_two_nodes_do_not_lend_each_other_the_rest_of_a_replica() -> None:
    """300Mi free on each of two nodes are no room for a replica of 512Mi."""
    full = node(memory_requested=(3_481 - 300) * MEBIBYTE)

    assert measure(full, replace(full, name="node-b"))[1].fits == 0


def test_running_replicas_count_beside_what_fits() -> None:
    ceiling, report = measure(node(memory_requested=1_024 * MEBIBYTE), running=pods(2))

    assert (ceiling.replicas, report.fits, report.nodes) == (6, 4, 1)
    assert ceiling.reason == "2 running, and 4 more of 512Mi (requests) fit on 1 of 1 nodes at 85%"


def test_replicas_that_found_no_node_are_given_up_where_nothing_fits() -> None:
    waiting = pods(3, node=None, ready=False)

    ceiling, _ = measure(node(cpu_requested=2_000), running=(*pods(2), *waiting))
    assert ceiling.allows(5) == 2


def test_a_running_replica_is_never_given_up() -> None:
    pressed = node(memory_pressure=True, memory_requested=9_000 * MEBIBYTE)

    assert measure(pressed, running=pods(5))[0].allows(5) == 5


@pytest.mark.parametrize("nodes", [None, seen(())])
def test_a_cluster_that_shows_no_node_has_no_memory_ceiling(nodes: None) -> None:
    observation = observe(target=target(3), nodes=nodes)

    assert memory_ceiling(MemoryTarget(), observation, Memory(), NOW) is None


def test_unknown_nodes_are_an_unknown_ceiling_rather_than_no_room() -> None:
    observation = observe(target=target(3), nodes=unseen())
    found = memory_ceiling(MemoryTarget(), observation, using(700), NOW)

    assert found is not None
    ceiling, report = found
    assert (ceiling.replicas, ceiling.keeps, ceiling.allows(3)) == (None, None, 3)
    assert report == MemoryReport(700 * MEBIBYTE, "working set", None, 0)


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

    assert accepts(node(labels=labels), template) is accepted


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
    ],
)
def test_taints_and_tolerations(
    taint: Taint, toleration: Toleration | None, accepted: bool
) -> None:
    template = replace(TEMPLATE, tolerations=() if toleration is None else (toleration,))

    assert accepts(node(taints=(taint,)), template) is accepted


def test_every_taint_has_to_be_tolerated() -> None:
    template = replace(TEMPLATE, tolerations=(Toleration("gpu", "Exists", "", ""),))

    assert accepts(node(taints=(GPU,)), template)
    assert not accepts(node(taints=(GPU, Taint("spot", "yes", "NoSchedule"))), template)


@pytest.mark.parametrize(
    ("sizes", "percentile"),
    [([], None), ([5], 5), (range(1, 21), 19), (range(1, 101), 95), ([1] * 50 + [9], 1)],
)
def test_the_working_set_is_the_95th_percentile(sizes: list[int], percentile: int | None) -> None:
    memory = Memory(working_sets=tuple(WorkingSet(NOW, size) for size in sizes))

    assert working_set(memory) == percentile


def test_the_largest_working_set_of_each_tick_is_remembered_for_ten_minutes() -> None:
    past = (WorkingSet(NOW - 600, 9), WorkingSet(NOW - 599, 8))
    there = [*pods(1, memory_used=3), *pods(1, memory_used=7), *pods(1)]

    memory = remember_working_set(Memory(working_sets=past), there, NOW)
    assert memory.working_sets == (WorkingSet(NOW - 599, 8), WorkingSet(NOW, 7))


def test_a_tick_without_metrics_remembers_nothing_rather_than_zero() -> None:
    assert remember_working_set(Memory(), pods(2), NOW).working_sets == ()


@pytest.mark.parametrize(
    ("troubled", "memory", "words"),
    [
        pytest.param(
            pods(3, oom_killed_at=NOW - 599),
            Memory(),
            # 1024Mi / 0.9 = 1137.8Mi, in steps of 64Mi
            "scan-worker-0 was OOM-killed: set a memory limit of 1152Mi or more",
            id="oom-killed",
        ),
        pytest.param(
            pods(3, oom_killed_at=NOW - 1),
            using(1_800),
            "scan-worker-0 was OOM-killed: set a memory limit of 2048Mi or more",
            id="oom-killed-far-above-its-limit",
        ),
        pytest.param(
            pods(3),
            using(950),
            "pods use 950Mi of their 1,024Mi limit: set a memory limit of 1152Mi or more",
            id="above-90%-of-the-limit",
        ),
        pytest.param(
            pods(3, unschedulable="0/2 nodes are available: 2 Insufficient cpu."),
            Memory(),
            "scan-worker-0 cannot be scheduled: 0/2 nodes are available: 2 Insufficient cpu.",
            id="unschedulable",
        ),
    ],
)
def test_trouble_stops_growth_although_there_is_room_and_says_what_it_would_take(
    troubled: tuple[Pod, ...], memory: Memory, words: str
) -> None:
    ceiling, report = measure(NODE, running=troubled, memory=memory)

    assert report.fits is not None
    assert report.fits > 0
    assert (ceiling.replicas, ceiling.keeps) == (3, 3)
    assert ceiling.reason == words


@pytest.mark.parametrize(
    ("calm", "memory", "limit"),
    [
        pytest.param(pods(3, oom_killed_at=NOW - 600), Memory(), 1_024, id="killed-long-ago"),
        pytest.param(pods(3), using(921), 1_024, id="just-below-90%-of-the-limit"),
        pytest.param(pods(3), using(3_000), None, id="without-a-limit"),
    ],
)
def test_what_is_no_trouble(calm: tuple[Pod, ...], memory: Memory, limit: int | None) -> None:
    template = replace(TEMPLATE, memory_limit=None if limit is None else limit * MEBIBYTE)

    ceiling, _ = measure(NODE, running=calm, memory=memory, template=template)
    assert ceiling.reason.startswith("3 running")


def test_an_oom_kill_without_a_limit_proposes_none_it_cannot_know() -> None:
    """The node ran out of memory, and no metrics say how much the pod had."""
    unlimited = replace(TEMPLATE, memory_limit=None)

    ceiling, _ = measure(NODE, running=pods(1, oom_killed_at=NOW), template=unlimited)
    assert " 0Mi" not in ceiling.reason


def test_trouble_gives_up_the_replicas_that_found_no_node() -> None:
    stuck = pods(2, node=None, ready=False, unschedulable="0/1 nodes are available")

    ceiling, _ = measure(node(cpu_requested=2_000), running=(*pods(3), *stuck))
    assert ceiling.allows(5) == 3
