"""Where replicas may run: whichever rule is the reason, no more than the nodes take."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import (
    NOW,
    TEMPLATE,
    node,
    observe,
    pods,
    pool,
    seen,
    settled,
    signals,
    target,
    unseen,
    workers,
)
from scanpool.decide import assess
from scanpool.decide.assess.namespace_rules import allowed
from scanpool.decide.assess.placement import Ask, Own, obstacle, place
from scanpool.decide.assess.room import room
from scanpool.decide.memory import Memory
from scanpool.decide.room_ceiling import ceiling
from scanpool.kube.objects import placed
from scanpool.models.conditions import Reason
from scanpool.models.observation import Node, PodTemplate, Taint
from scanpool.models.placement import (
    Container,
    Expression,
    HostPort,
    LimitRange,
    NamespaceRules,
    NodeTerm,
    Placement,
    Quota,
    Spread,
)
from scanpool.models.spec import MemoryTarget, PoolSpec, Unschedulable
from scanpool.models.units import MEBIBYTE

HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
GPU = "nvidia.com/gpu"
SMALL = PodTemplate(memory_request=MEBIBYTE, cpu_request=1, memory_limit=None)
SPEC = pool(memory=MemoryTarget())


def at(name: str, zone: str = "a", **changes: Any) -> Node:
    """Build a node with its name and zone among its labels."""
    labels = {HOST: name, ZONE: zone, **changes.pop("labels", {})}
    return node(name, labels=labels, **changes)


def needing(**rules: Any) -> PodTemplate:
    return replace(SMALL, placement=Placement(**rules))


FOUR = tuple(at(f"node-{one}", zone="ab"[one % 2]) for one in range(4))
GPUS = tuple(at(f"node-{one}", extended_free={GPU: 2}) for one in range(2))
WEB, UDP = HostPort(8080), HostPort(8080, "UDP")


def most(
    nodes: tuple[Node, ...], template: PodTemplate, there: Mapping[str, int] | None = None
) -> int:
    """Return how many replicas a pool may have that has those on these nodes."""
    found = [
        replace(one, node=name) for name, count in (there or {}).items() for one in pods(count)
    ]
    seen_now = observe(target=target(len(found), found, template), nodes=seen(nodes))
    signal = room(SPEC, seen_now, 0, NOW)
    made = ceiling(SPEC, signals(workers=workers(len(found)), room=signal), Memory())
    assert made is not None
    assert made.replicas is not None
    return made.replicas


def affine(*expressions: Expression, names: tuple[str, ...] = ()) -> PodTemplate:
    fields = (Expression("metadata.name", "In", names),) if names else ()
    return needing(terms=(NodeTerm(expressions, fields),), apart=(HOST,))


@pytest.mark.parametrize(
    ("nodes", "template", "there", "holds"),
    [
        pytest.param(FOUR, needing(apart=(HOST,)), {}, 4, id="apart-by-host"),
        pytest.param(FOUR, needing(apart=(HOST,)), {"node-0": 1, "node-1": 1}, 4, id="some-there"),
        pytest.param(FOUR, needing(apart=(ZONE,)), {}, 2, id="apart-by-zone"),
        pytest.param(FOUR, needing(apart=(ZONE,)), {"node-0": 1}, 2, id="of-a-zone-one-is-there"),
        pytest.param(
            FOUR, affine(Expression(ZONE, "In", ("a",))), {}, 2, id="affinity-to-a-zone"
        ),
        pytest.param(
            FOUR, affine(Expression(ZONE, "NotIn", ("a",))), {}, 2, id="affinity-against-a-zone"
        ),
        pytest.param(FOUR, affine(Expression("ssd", "Exists")), {}, 0, id="nobody-has-the-label"),
        pytest.param(FOUR, affine(names=("node-3",)), {}, 1, id="affinity-by-name"),
        pytest.param(FOUR, needing(terms=(NodeTerm(),)), {}, 0, id="a-term-of-nothing"),
        pytest.param(FOUR, needing(terms=()), {}, 0, id="no-term-at-all"),
        pytest.param(
            GPUS,
            needing(containers=(Container({GPU: 1}, {GPU: 1}),)),
            {},
            4,
            id="extended-resources",
        ),
        pytest.param(
            GPUS,
            needing(containers=(Container({GPU: 2}, {}), Container({GPU: 1}, {}))),
            {},
            0,
            id="more-of-it-than-a-node-has",
        ),
        pytest.param(
            (at("node-0", "a"), at("node-1", "b", cpu_requested=1_999)),
            needing(spreads=(Spread(ZONE, 2),)),
            {},
            # One in zone b, and so no more than three in a.
            4,
            id="spread-over-zones-of-which-one-is-full",
        ),
        pytest.param(
            (at("node-0", "a"), at("node-1", "b", taints=(Taint("x", "", "NoSchedule"),))),
            needing(spreads=(Spread(ZONE, 4),)),
            {},
            4,
            id="a-tainted-zone-counts",
        ),
        pytest.param(
            (at("node-0", "a"), at("node-1", "b", taints=(Taint("x", "", "NoSchedule"),))),
            needing(spreads=(Spread(ZONE, 4, honors_taints=True),)),
            {},
            10,
            id="unless-taints-are-honored",
        ),
        pytest.param(
            (at("node-0", "a"), at("node-1", "b")),
            needing(spreads=(Spread(ZONE, 4),), terms=(NodeTerm((Expression(ZONE, "In", "a"),)),)),
            {},
            10,
            id="a-zone-outside-the-affinity-does-not-count",
        ),
        pytest.param(
            (at("node-0", "a"),), needing(spreads=(Spread(ZONE, 4, min_domains=2),)), {}, 4,
            id="too-few-zones",
        ),
        pytest.param(
            (node("node-0"), at("node-1", "b", cpu_requested=1_996)),
            needing(spreads=(Spread(ZONE, 1),)), {}, 4,
            id="a-node-without-the-label-takes-none",
        ),
        pytest.param(
            (at("node-0", "a"), at("node-1", "b", ready=False)),
            needing(spreads=(Spread(HOST, 1), Spread(ZONE, 1))), {"node-0": 1, "node-1": 0}, 1,
            id="two-spreads",
        ),
        pytest.param(FOUR, needing(ports=(WEB,)), {}, 4, id="one-host-port"),
        pytest.param(
            (at("node-0", ports=frozenset({WEB})), at("node-1", ports=frozenset({UDP}))),
            needing(ports=(WEB,)), {}, 1,
            id="a-host-port-that-somebody-has",
        ),
        pytest.param(
            (at("node-0", ports=frozenset({UDP})), at("node-1", ports=frozenset({WEB}))),
            needing(ports=(UDP, WEB)), {}, 0,
            id="a-port-of-two-protocols",
        ),
        pytest.param(
            (at("node-0", ports=frozenset({HostPort(9090)})), at("node-1")),
            needing(ports=(WEB, HostPort(9090))), {}, 1,
            id="one-of-two-host-ports",
        ),
        pytest.param(
            FOUR, needing(ports=(WEB,), spreads=(Spread(ZONE, 4),)), {}, 4,
            id="a-host-port-and-a-spread",
        ),
    ],
)  # fmt: skip
def test_a_pool_is_never_larger_than_the_nodes_take(
    nodes: tuple[Node, ...], template: PodTemplate, there: dict[str, int], holds: int
) -> None:
    assert most(nodes, template, there) == holds


@pytest.mark.parametrize(
    ("requirement", "labels", "holds"),
    [
        (Expression("a", "In", ("1", "2")), {"a": "2"}, True),
        (Expression("a", "In", ("1", "2")), {}, False),
        (Expression("a", "NotIn", ("1",)), {}, True),
        (Expression("a", "NotIn", ("1",)), {"a": "1"}, False),
        (Expression("a", "Exists"), {"a": ""}, True),
        (Expression("a", "DoesNotExist"), {"a": ""}, False),
        (Expression("a", "Gt", ("5",)), {"a": "6"}, True),
        (Expression("a", "Gt", ("5",)), {"a": "5"}, False),
        (Expression("a", "Lt", ("5",)), {"a": "4"}, True),
        (Expression("a", "Lt", ("5",)), {"a": "few"}, False),
        (Expression("a", "Gt", ("5",)), {}, False),
        (Expression("a", "Near", ("5",)), {"a": "5"}, False),
    ],
)
def test_expressions_of_a_selector(
    requirement: Expression, labels: dict[str, str], *, holds: bool
) -> None:
    assert requirement.holds(labels) is holds


@pytest.mark.parametrize(
    ("one", "template", "lack"),
    [
        (at("n", ready=False), SMALL, "it is not ready"),
        (at("n", schedulable=False), SMALL, "it is cordoned"),
        (at("n", memory_pressure=True), SMALL, "it has memory pressure"),
        (at("n"), replace(SMALL, node_selector={"a": "b"}), "label a=b of the nodeSelector"),
        (at("n"), needing(terms=()), "labels of the required node affinity"),
        (at("n", taints=(Taint("x", "", "NoExecute"),)), SMALL, "a toleration of its taint x"),
        (at("n", memory_requested=4096 * MEBIBYTE), SMALL, "memory"),
        (at("n", cpu_requested=2_000), SMALL, "CPU"),
        (at("n", pods_running=110), SMALL, "pod slots"),
        (at("n"), needing(containers=(Container({GPU: 1}, {}),)), GPU),
        (at("n"), needing(ports=(WEB,)), "host port 8080"),
        (at("n"), needing(apart=(HOST,)), f"anti-affinity: a replica has its {HOST}"),
        (node("n"), needing(spreads=(Spread(ZONE, 1),)), f"label {ZONE} of the topology spread"),
        (
            at("n"),
            needing(spreads=(Spread(ZONE, 3, min_domains=2),)),
            f"topology spread: {ZONE}=a is 3 ahead",
        ),
    ],
)
def test_the_status_says_what_each_node_lacks(one: Node, template: PodTemplate, lack: str) -> None:
    found = room(SPEC, observe(target=target(0, (), template), nodes=seen((one,))), 0, NOW)

    assert found is not None
    assert [(each.what, each.nodes) for each in found.lacks] == [(lack, ("n",))]
    made = ceiling(SPEC, signals(room=found), Memory())
    assert made is not None
    assert made.reason.endswith(f"one more needs, on n: {lack}")


@pytest.mark.parametrize(
    ("rules", "staying", "leaving", "grows_to"),
    [
        # One of four has gone already, one is going.
        pytest.param({"apart": (HOST,)}, 2, ("node-2",), 3, id="apart"),
        pytest.param({"apart": (HOST,)}, 2, (), 4, id="apart-and-nobody-goes"),
        pytest.param({"apart": (HOST,)}, 2, ("node-2", "node-3"), 2, id="apart-and-two-go"),
        pytest.param({"apart": (ZONE,)}, 0, ("node-0", "node-2"), 1, id="apart-by-zone"),
        # The scheduler leaves out of a spread what goes away.
        pytest.param({"spreads": (Spread(HOST, 1, 9),)}, 2, ("node-2",), 4, id="a-spread"),
    ],
)
def test_a_replica_that_goes_away_has_its_place_until_it_is_gone(
    rules: dict[str, Any], staying: int, leaving: tuple[str, ...], grows_to: int
) -> None:
    there = tuple(replace(one, node=f"node-{number}") for number, one in enumerate(pods(staying)))
    going = replace(target(staying, there, needing(**rules)), leaving_from=leaving)
    found = room(SPEC, observe(target=going, nodes=seen(FOUR)), 0, NOW)
    made = ceiling(SPEC, signals(workers=workers(staying), room=found), Memory())

    assert made is not None
    assert made.replicas == made.allows(staying) == grows_to
    # The replica that follows each of them is not taken away for waiting.
    assert made.allows(grows_to + len(leaving)) == grows_to + len(leaving)
    assert made.allows(grows_to + len(leaving) + 1) == grows_to


def test_a_replica_that_waits_for_one_to_go_stays() -> None:
    """The scheduler says that it cannot be placed, which is so for as long as the other drains."""
    pending = pods(1, node=None, ready=False, unschedulable="0/4 nodes are available")
    there = tuple(replace(one, node=f"node-{number}") for number, one in enumerate(pods(3)))
    going = replace(target(4, (*there, *pending), needing(apart=(HOST,))), leaving_from=("node-3",))
    found = room(SPEC, observe(target=going, nodes=seen(FOUR)), 0, NOW)
    made = ceiling(SPEC, signals(workers=workers(3, 1), room=found), Memory())

    assert made is not None
    assert made.allows(4) == made.replicas == 4
    gone = room(SPEC, observe(target=replace(going, leaving_from=()), nodes=seen(FOUR[:3])), 0, NOW)
    made = ceiling(SPEC, signals(workers=workers(3, 1), room=gone), Memory())
    assert made is not None
    assert made.allows(4) == 3


def test_of_many_nodes_a_few_are_named() -> None:
    nodes = tuple(at(f"node-{one}", cpu_requested=2_000) for one in range(5))
    found = room(SPEC, observe(target=target(0), nodes=seen(nodes)), 0, NOW)

    made = ceiling(SPEC, signals(room=found), Memory())
    assert made is not None
    assert made.reason.endswith("one more needs, on node-0, node-1, node-2 and 2 more: CPU")


BOX = Container({"memory": 512 * MEBIBYTE, "cpu": 250}, {"memory": 1024 * MEBIBYTE})
BARE = Container({}, {})
OF_VOLUMES, CROSSING = "VolumeAttributesClass", "CrossNamespacePodAffinity"
EPHEMERAL = Container({"ephemeral-storage": 1}, {})


def counted(hard: dict[str, int], used: dict[str, int] | None = None, *scopes: Expression) -> Any:
    there = dict.fromkeys(hard, 0) if used is None else used
    return NamespaceRules(quotas=(Quota("team", hard, there, scopes),))


def limited(kind: str = "Container", **parts: Mapping[str, float]) -> Any:
    return NamespaceRules(ranges=(LimitRange("team", kind, **parts),))


GIB = 1024 * MEBIBYTE


@pytest.mark.parametrize(
    ("rules", "container", "holds", "words"),
    [
        (counted({"pods": 4}), BOX, 4, "ResourceQuota team leaves pods for 4 more"),
        (counted({"count/pods": 4}, {"count/pods": 1}), BOX, 3, "leaves count/pods for 3 more"),
        (counted({"memory": 2 * GIB}), BOX, 4, "leaves memory for 4 more"),
        (counted({"requests.cpu": 1_000}), BOX, 4, "leaves requests.cpu for 4 more"),
        (counted({"limits.memory": 4 * GIB}), BOX, 4, "leaves limits.memory for 4 more"),
        (counted({"limits.cpu": 9_000}), BOX, 0, "team wants limits.cpu of every container"),
        (counted({"pods": 4}, {"pods": 9}), BOX, 0, "leaves pods for 0 more"),
        (counted({"services": 0}), BOX, 10, ""),
        (counted({"pods": 4}, None, Expression("BestEffort", "Exists")), BOX, 10, ""),
        (counted({"pods": 4}, None, Expression("BestEffort", "Exists")), BARE, 4, "pods"),
        (counted({"pods": 4}, None, Expression("NotBestEffort", "Exists")), BOX, 4, "pods"),
        (counted({"pods": 4}, None, Expression("Terminating", "Exists")), BOX, 10, ""),
        (counted({"pods": 4}, None, Expression("PriorityClass", "In", ("x",))), BOX, 10, ""),
        (counted({"pods": 4}, None, Expression("PriorityClass", "DoesNotExist")), BOX, 4, "pods"),
        (NamespaceRules(quotas=(Quota("new", {"pods": 9}, None),)), BOX, 0, "is not counted yet"),
        # What it asks for beyond its own two GiB: the quota sees what is filled in.
        (limited(default_request={"memory": 900 * MEBIBYTE}), BARE, 3, "memory"),
        (limited(default={"memory": 900 * MEBIBYTE}), BARE, 3, "memory"),
        (limited(largest={"memory": 512 * MEBIBYTE}), BOX, 0, "LimitRange team allows less memory"),
        (limited(largest={"cpu": 500}), BOX, 0, "LimitRange team allows less cpu"),
        (limited(smallest={"cpu": 500}), BOX, 0, "LimitRange team wants more cpu"),
        (limited("Pod", smallest={"cpu": 500}), BOX, 0, "LimitRange team wants more cpu"),
        (limited("PersistentVolumeClaim", smallest={"cpu": 500}), BOX, 6, "memory"),
        (limited(largest_ratio={"memory": 1.5}), BOX, 0, "more than 1.5 times its request"),
        (limited(largest_ratio={"memory": 2}), BOX, 6, "memory"),
        (limited(largest_ratio={"cpu": 2}), BOX, 0, "wants a limit and a request of cpu"),
        (limited("Pod", largest_ratio={"memory": 1.5}), BOX, 0, "more than 1.5 times its request"),
        # A scope is of pods that are best effort in CPU and memory, whatever else they take.
        (counted({"pods": 4}, None, Expression("BestEffort", "Exists")), EPHEMERAL, 4, "pods"),
        # None of these is of the pool's pods.
        (counted({"pods": 0}, None, Expression(CROSSING, "Exists")), BOX, 10, ""),
        (counted({"pods": 0}, None, Expression(OF_VOLUMES, "In", ("x",))), BOX, 10, ""),
        (counted({"pods": 4}, None, Expression("Unheard", "Exists")), BOX, 4, "pods"),
    ],
)
def test_a_namespace_bounds_its_pods(
    rules: NamespaceRules, container: Container, holds: int, words: str
) -> None:
    big = at(
        "node-a",
        memory_allocatable=64 * GIB if rules.quotas else 4 * GIB,
        cpu_allocatable=64_000,
        extended_free={"ephemeral-storage": 100},
    )
    template = replace(SMALL, placement=Placement(containers=(container,)))
    seen_now = observe(target=target(0, (), template), nodes=seen((big,)), rules=seen(rules))
    found = room(SPEC, seen_now, 0, NOW)

    made = ceiling(SPEC, signals(workers=workers(0), room=found), Memory())
    assert made is not None
    assert min(made.replicas or 0, 10) == holds
    assert words in made.reason


def test_a_quota_of_pods_that_look_at_other_namespaces() -> None:
    rules = counted({"pods": 4}, None, Expression(CROSSING, "Exists"))

    assert allowed(Placement(crosses_namespaces=True), rules).fits == 4
    assert allowed(Placement(), rules).fits is None


def test_a_limit_range_of_pods_sees_no_sum_of_which_a_container_is_missing() -> None:
    rules = limited("Pod", largest={"cpu": 9_000})
    bound = Container({"cpu": 1}, {"cpu": 1})

    assert allowed(Placement(containers=(bound, bound)), rules).fits is None
    assert allowed(Placement(containers=(bound, BARE)), rules).fits == 0


def test_a_quota_sees_what_a_pod_asks_for_as_a_whole() -> None:
    rules = counted({"requests.memory": 4 * GIB, "limits.memory": 4 * GIB})
    whole = Container({"memory": GIB}, {"memory": 2 * GIB})

    assert allowed(Placement(containers=(BARE, BARE), whole=whole), rules).fits == 2
    assert allowed(Placement(containers=(BARE, BARE)), rules).fits == 0


def test_what_a_replica_was_seen_to_ask_for_counts_beyond_its_template() -> None:
    """A RuntimeClass adds its overhead, and a webhook its sidecars, when a pod is made."""
    there = replace(target(0, (), SMALL), asked={"memory": GIB, GPU: 1})
    box = at("node-a", memory_allocatable=64 * GIB, cpu_allocatable=64_000, extended_free={GPU: 3})
    found = room(SPEC, observe(target=there, nodes=seen((box,))), 0, NOW)

    assert found is not None
    assert found.fits == 3
    assert found.per_replica == GIB
    ported = replace(there, ports=(WEB,))
    found = room(SPEC, observe(target=ported, nodes=seen((box,))), 0, NOW)
    assert found is not None
    assert found.fits == 1


def test_a_quota_counts_pods_that_no_node_has_taken_yet() -> None:
    """Three of four are there, one of them pending; the fourth is yet to be made."""
    rules = counted({"pods": 4}, {"pods": 3})
    there = (*pods(2), *pods(1, node=None, ready=False))
    seen_now = observe(target=target(4, there), nodes=seen((at("node-a"),)), rules=seen(rules))
    made = ceiling(SPEC, signals(workers=workers(4), room=room(SPEC, seen_now, 0, NOW)), Memory())

    assert made is not None
    assert made.allows(4) == 4
    assert made.replicas == 4


def test_a_quota_takes_no_replica_away() -> None:
    """Its count came before the pods that it counts."""
    rules = counted({"pods": 4}, {"pods": 4})
    seen_now = observe(target=target(4, pods(2)), nodes=seen((at("node-a"),)), rules=seen(rules))
    made = ceiling(SPEC, signals(workers=workers(4), room=room(SPEC, seen_now, 0, NOW)), Memory())

    assert made is not None
    assert made.allows(4) == made.replicas == 4


@pytest.mark.parametrize(
    ("reason", "holds"),
    [(Reason.KUBERNETES_FORBIDDEN, False), (Reason.KUBERNETES_UNAVAILABLE, True)],
)
def test_quotas_that_may_not_be_seen_hold_nothing_and_are_told(
    reason: Reason, *, holds: bool
) -> None:
    seen_now = observe(2, 50, nodes=seen((at("node-a"),)), rules=unseen(reason))
    signal = assess(SPEC, seen_now, settled(2), NOW)

    assert signal.holds is holds
    assert signal.room is not None
    assert signal.room.refusal is not None
    assert "what its namespace lets it ask for is unknown" in signal.room.refusal


def test_nodes_that_take_all_that_a_pool_may_have_lack_nothing() -> None:
    """Whatever fills up on them then is no news."""
    big = at("node-a", memory_allocatable=64 * GIB, cpu_allocatable=64_000)
    found = room(SPEC, observe(target=target(0), nodes=seen((big,))), 0, NOW)

    assert found is not None
    assert found.lacks == ()


def test_what_pods_of_a_lower_priority_hold_is_no_room() -> None:
    """They would be preempted, and their work taken from somebody."""
    low = {
        "metadata": {
            "name": "low",
            "namespace": "other",
            "creationTimestamp": "2026-01-28T08:20:00Z",
        },
        "spec": {
            "nodeName": "node-a",
            "priority": -10,
            "containers": [{"resources": {"requests": {"memory": "4Gi", GPU: "2"}}}],
        },
    }
    held = placed(low)
    one = at("node-a", memory_requested=held.memory_requested)
    template = replace(SMALL, placement=Placement(priority_class="high"))

    assert held.extended_requested == {GPU: 2}
    assert most((one,), template) == 0


def waiting(**changes: Any) -> PoolSpec:
    return pool(memory=MemoryTarget(unschedulable=Unschedulable.WAIT, **changes))


def test_where_nodes_come_with_the_pods_they_are_no_bound() -> None:
    full = observe(target=target(2), nodes=seen((at("node-a", cpu_requested=2_000),)))
    spec = waiting()

    assert ceiling(spec, signals(room=room(spec, full, 0, NOW)), Memory()) is None


def test_pending_replicas_are_waited_for_and_not_given_up() -> None:
    pending = pods(2, node=None, ready=False, unschedulable="0/1 nodes are available")
    there = (*pods(3), *pending)
    full = observe(target=target(5, there), nodes=seen((at("node-a", cpu_requested=2_000),)))
    for spec, kept in ((waiting(), 5), (SPEC, 3)):
        made = ceiling(spec, signals(workers=workers(5), room=room(spec, full, 0, NOW)), Memory())
        assert made is not None
        assert (made.allows(5), made.replicas) == (kept, kept)


def test_a_quota_bounds_a_pool_that_waits_for_nodes() -> None:
    rules = seen(counted({"pods": 4}))
    seen_now = observe(target=target(0), nodes=seen((at("node-a"),)), rules=rules)
    spec = waiting()

    made = ceiling(spec, signals(room=room(spec, seen_now, 0, NOW)), Memory())
    assert made is not None
    assert made.replicas == 4
    assert made.reason == "0 running, and 4 more; ResourceQuota team leaves pods for 4 more"


counts = st.integers(0, 4)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), counts, counts), min_size=1, max_size=5),
    st.sets(st.sampled_from([HOST, ZONE])),
    st.lists(st.builds(Spread, st.sampled_from([HOST, ZONE]), st.integers(1, 3)), max_size=2),
    st.lists(st.sampled_from([f"node-{one}" for one in range(5)]), max_size=3),
    st.integers(0, 12),
)
def test_rules_among_the_nodes_only_take_room(
    drawn: list[tuple[str, int, int]],
    apart: set[str],
    spreads: list[Spread],
    leaving: list[str],
    asked: int,
) -> None:
    nodes = tuple(
        at(f"node-{one}", zone, pods_allocatable=room_left)
        for one, (zone, room_left, _) in enumerate(drawn)
    )
    staying = Counter({f"node-{one}": count for one, (_, _, count) in enumerate(drawn)})
    there = Own(staying, Counter(leaving))
    ask = Ask(memory=0, cpu=0, extended={}, share=1.0)
    free = place(nodes, SMALL, ask, there, asked)
    ruled = needing(apart=tuple(sorted(apart)), spreads=tuple(spreads))

    found = place(nodes, ruled, ask, there, asked)
    assert 0 <= found.fits <= free.fits
    assert set(found.lacks) == {one.name for one in nodes}
    if apart or spreads:
        assert found.fits <= asked
    if HOST in apart:
        holds = there.staying + there.leaving
        assert found.fits <= sum(not holds[one.name] and one.pods_allocatable > 0 for one in nodes)
    ported = place(nodes, SMALL, replace(ask, ports=(WEB,)), there, asked)
    assert ported.fits == sum(one.pods_allocatable > 0 for one in nodes), "one on each node"


def test_the_usual_template_has_no_rules() -> None:
    assert obstacle(at("node-a"), TEMPLATE) is None
