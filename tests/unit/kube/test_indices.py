from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanpool.kube.indices import Nodes, Pods, Taken, Workloads
from scanpool.kube.objects import workload
from scanpool.models.placement import HostPort

MEBIBYTE = 1024 * 1024


def pod(name: str, namespace: str = "scan", **changes: Any) -> dict[str, Any]:
    requests = {"memory": changes.pop("memory", "10Mi"), "cpu": "100m"}
    return {
        "metadata": {
            "namespace": namespace,
            "name": name,
            "creationTimestamp": "2026-01-28T08:20:00Z",
            "labels": changes.pop("labels", {"app": "scan"}),
        },
        "spec": {
            "nodeName": changes.pop("node", "node-a"),
            "containers": [{"name": "c", "resources": {"requests": requests}}],
        },
        "status": {"phase": changes.pop("phase", "Running")},
    }


def deployment(name: str = "worker", namespace: str = "scan", **selector: Any) -> dict[str, Any]:
    return {
        "metadata": {"namespace": namespace, "name": name, "uid": f"{namespace}/{name}"},
        "spec": {
            "replicas": 2,
            "selector": selector or {"matchLabels": {"app": "scan"}},
            "template": {"spec": {"containers": [{"name": "c"}]}},
        },
    }


def names(pods: Pods, of: dict[str, Any]) -> list[str]:
    return [one.pod.name for one in pods.of(workload(of)) if one.stays]


LABELLED = {
    "a": {"app": "scan", "track": "stable"},
    "b": {"app": "scan", "track": "canary"},
    "c": {"app": "scan"},
    "d": {"app": "other", "track": "stable"},
    "e": {},
}


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        pytest.param({"matchLabels": {"app": "scan"}}, "abc", id="a-label"),
        pytest.param({"matchLabels": {"app": "scan", "track": "stable"}}, "a", id="two-labels"),
        pytest.param({"matchLabels": {"app": "nobody"}}, "", id="nobody"),
        pytest.param(
            {"matchExpressions": [{"key": "track", "operator": "In", "values": ["stable"]}]},
            "ad",
            id="in",
        ),
        pytest.param(
            {
                "matchLabels": {"app": "scan"},
                "matchExpressions": [{"key": "track", "operator": "NotIn", "values": ["stable"]}],
            },
            "bc",
            id="not-in-or-without",
        ),
        pytest.param(
            {"matchExpressions": [{"key": "track", "operator": "Exists"}]}, "abd", id="exists"
        ),
        pytest.param(
            {"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, "e", id="not-there"
        ),
        pytest.param(
            {"matchExpressions": [{"key": "app", "operator": "Like"}]}, "", id="unknown-operator"
        ),
    ],
)
async def test_pods_are_found_by_the_selector(selector: dict[str, Any], selected: str) -> None:
    pods = Pods()
    await pods.replace("", [pod(name, labels=labels) for name, labels in LABELLED.items()])
    await pods.put(pod("elsewhere", namespace="other", labels=LABELLED["a"]))

    assert "".join(names(pods, deployment(**selector))) == selected


async def test_pods_that_go_and_change_are_found_as_they_are() -> None:
    pods = Pods()
    await pods.replace("", [pod("a"), pod("b"), pod("c")])

    await pods.put(pod("a", labels={"app": "other"}))
    await pods.drop(pod("b"))
    await pods.put(pod("c", phase="Failed"))
    await pods.put(pod("d"))

    assert names(pods, deployment()) == ["d"]
    assert pods.taken == {"node-a": Taken(20 * MEBIBYTE, 200, 2)}


@pytest.mark.parametrize(("namespace", "left"), [("", []), ("scan", ["theirs"])])
async def test_a_list_of_a_namespace_replaces_what_was_of_it(
    namespace: str, left: list[str]
) -> None:
    pods, deployments = Pods(), Workloads()
    await pods.replace("", [pod("mine"), pod("theirs", namespace="other")])
    await deployments.replace("", [deployment(), deployment(namespace="other")])

    await pods.replace(namespace, [])
    await deployments.replace(namespace, [])

    assert names(pods, deployment()) == []
    assert names(pods, deployment(namespace="other")) == left
    assert await deployments.get("scan", "worker") is None
    assert (await deployments.get("other", "worker") is not None) == bool(left)


PLACES = st.tuples(
    st.sampled_from("abc"),
    st.sampled_from(["node-a", "node-b", ""]),
    st.sampled_from(["Running", "Pending", "Succeeded"]),
    st.sampled_from(["1Mi", "5Mi"]),
    st.booleans(),
)


@given(st.lists(PLACES, max_size=20))
async def test_what_nodes_hold_is_what_the_pods_on_them_request(
    events: list[tuple[str, str, str, str, bool]],
) -> None:
    """However pods came, moved and went."""
    pods, there = Pods(), dict[str, dict[str, Any]]()
    for name, on, phase, memory, is_gone in events:
        obj = pod(name, node=on, phase=phase, memory=memory)
        if is_gone:
            await pods.drop(obj)
            there.pop(name, None)
        else:
            await pods.put(obj)
            there[name] = obj
    anew = Pods()
    await anew.replace("", there.values())

    assert pods.taken == anew.taken
    assert names(pods, deployment()) == names(anew, deployment())


async def test_nodes_come_with_what_is_taken_of_them() -> None:
    nodes, pods = Nodes(), Pods()
    await nodes.replace("", [{"metadata": {"name": name}} for name in ("node-a", "node-b")])
    await pods.put(pod("a"))
    await nodes.put({"metadata": {"name": "node-c"}})
    await nodes.drop({"metadata": {"name": "node-b"}})

    found = {
        one.name: (one.memory_requested, one.cpu_requested, one.pods_running)
        for one in nodes.with_pods(pods)
    }

    assert found == {"node-a": (10 * MEBIBYTE, 100, 1), "node-c": (0, 0, 0)}


async def test_extended_resources_are_taken_by_whoever_asks_for_them() -> None:
    nodes, pods = Nodes(), Pods()
    gpu = "nvidia.com/gpu"
    allocatable = {"memory": "1Gi", "cpu": "1", "pods": "9", gpu: "4"}
    await nodes.put({"metadata": {"name": "node-a"}, "status": {"allocatable": allocatable}})
    greedy = pod("a")
    greedy["spec"]["containers"][0]["resources"]["limits"] = {gpu: "3"}
    await pods.put(greedy)
    await pods.put(pod("b"))

    assert [one.extended_free for one in nodes.with_pods(pods)] == [{gpu: 1}]
    await pods.drop(greedy)
    assert [one.extended_free for one in nodes.with_pods(pods)] == [{gpu: 4}]


async def test_host_ports_are_taken_until_the_last_pod_that_has_them_is_gone() -> None:
    nodes, pods = Nodes(), Pods()
    await nodes.put({"metadata": {"name": "node-a"}})
    port = {"containerPort": 80, "hostPort": 8080}
    holders = [pod("a"), pod("b", phase="Succeeded")]
    for one in holders:
        one["spec"]["containers"][0]["ports"] = [port]
        await pods.put(one)
    # It is told to go, and has the port until it does.
    holders[0]["metadata"]["deletionTimestamp"] = "2026-01-28T08:21:00Z"
    await pods.put(holders[0])
    await pods.put(pod("c"))

    assert [one.ports for one in nodes.with_pods(pods)] == [{HostPort(8080)}]
    await pods.drop(holders[0])
    assert [one.ports for one in nodes.with_pods(pods)] == [frozenset()]


async def test_what_was_written_counts_until_the_watch_tells_more() -> None:
    deployments = Workloads()
    await deployments.put(deployment())
    deployments.scaled("scan", "worker", 5)
    deployments.scaled("scan", "unknown", 5)

    written = await deployments.get("scan", "worker")
    await deployments.put(deployment())
    told = await deployments.get("scan", "worker")

    assert (written and written.replicas, told and told.replicas) == (5, 2)
    assert await deployments.get("scan", "unknown") is None


async def test_nodes_hold_what_the_pods_take_now_and_are_made_once_for_each_change() -> None:
    nodes, pods = Nodes(), Pods()
    await nodes.put({"metadata": {"name": "node-a"}})
    before = nodes.with_pods(pods)
    assert nodes.with_pods(pods) is before

    await pods.put(pod("a"))
    (held,) = after = nodes.with_pods(pods)
    assert held.pods_running == 1
    assert nodes.with_pods(pods) is after

    await nodes.put({"metadata": {"name": "node-b"}})
    assert [one.pods_running for one in nodes.with_pods(pods)] == [1, 0]
    await pods.drop(pod("a"))
    await nodes.drop({"metadata": {"name": "node-b"}})
    assert [one.pods_running for one in nodes.with_pods(pods)] == [0]
    await nodes.replace("", [])
    assert nodes.with_pods(pods) == ()
