from typing import Any

import pytest

from builders import MEBIBYTE
from scanpool.kube import objects
from scanpool.models.observation import Taint, Toleration
from scanpool.models.units import epoch

EPOCH_0810 = 1_769_588_400.0  # 2026-01-28T08:20:00Z
DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "scan-worker", "namespace": "scan", "uid": "d-1", "generation": 4},
    "spec": {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "scan-worker"}},
        "template": {
            "metadata": {"labels": {"app": "scan-worker"}},
            "spec": {
                "containers": [
                    {
                        "name": "worker",
                        "image": "scan:1",
                        "resources": {
                            "requests": {"cpu": "250m", "memory": "512Mi"},
                            "limits": {"cpu": "1", "memory": "1Gi"},
                        },
                    }
                ]
            },
        },
    },
    "status": {"replicas": 3, "readyReplicas": 2},
}


def resources(
    memory: str | None = None, cpu: str | None = None, *, limit: str | None = None
) -> dict[str, Any]:
    requests = {name: quantity for name, quantity in (("memory", memory), ("cpu", cpu)) if quantity}
    limits = {"memory": limit} if limit else {}
    return {
        name: quantities
        for name, quantities in (("requests", requests), ("limits", limits))
        if quantities
    }


def container(
    memory: str | None = None,
    cpu: str | None = None,
    *,
    limit: str | None = None,
    restart: str | None = None,
) -> dict[str, Any]:
    found: dict[str, Any] = {"name": "c", "resources": resources(memory, cpu, limit=limit)}
    return {**found, "restartPolicy": restart} if restart else found


def pod_spec(*containers: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {"containers": list(containers), **rest}


def deployment(spec: dict[str, Any], **changes: Any) -> dict[str, Any]:
    whole = {**DEPLOYMENT["spec"], "template": {"spec": spec}, **changes}
    return {**DEPLOYMENT, "spec": whole}


def pod(name: str = "scan-worker-a", **parts: Any) -> dict[str, Any]:
    metadata = {"namespace": "scan", "name": name, "creationTimestamp": "2026-01-28T08:20:00Z"}
    return {
        "metadata": {**metadata, **parts.pop("metadata", {})},
        "spec": {
            "nodeName": "node-a",
            **pod_spec(container("512Mi", "250m")),
            **parts.pop("spec", {}),
        },
        **parts,
    }


def running(*conditions: dict[str, Any], **status: Any) -> dict[str, Any]:
    return {"phase": "Running", "conditions": list(conditions), **status}


READY = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-28T08:20:31Z"}


def template_of(spec: dict[str, Any]) -> Any:
    return objects.workload(deployment(spec)).template


@pytest.mark.parametrize(
    ("spec", "memory", "cpu"),
    [
        pytest.param(pod_spec(container("512Mi", "250m")), 512 * MEBIBYTE, 250, id="one"),
        pytest.param(
            pod_spec(container("512Mi", "250m"), container("64Mi", "1.5")),
            576 * MEBIBYTE,
            1_750,
            id="several",
        ),
        pytest.param(pod_spec(container("1G", "1")), 10**9, 1_000, id="decimal-gigabyte"),
        pytest.param(pod_spec(container("128974848", "0.1")), 128_974_848, 100, id="plain-numbers"),
        pytest.param(pod_spec(container("1e9")), 10**9, 0, id="exponent"),
        pytest.param(pod_spec({"name": "c"}), 0, 0, id="asks-for-nothing"),
        pytest.param(
            pod_spec(container(limit="1Gi")), 1_024 * MEBIBYTE, 0, id="a-limit-alone-is-the-request"
        ),
        pytest.param(
            pod_spec(container("100Mi"), initContainers=[container("300Mi"), container("200Mi")]),
            300 * MEBIBYTE,
            0,
            id="init-containers-run-one-by-one-before",
        ),
        pytest.param(
            pod_spec(container("400Mi"), initContainers=[container("300Mi")]),
            400 * MEBIBYTE,
            0,
            id="a-smaller-init-container-costs-nothing",
        ),
        pytest.param(
            pod_spec(
                container("400Mi", "100m"),
                initContainers=[container("50Mi", "10m", restart="Always")],
            ),
            450 * MEBIBYTE,
            110,
            id="a-sidecar-runs-beside",
        ),
        pytest.param(
            pod_spec(
                container("100Mi"),
                initContainers=[container("50Mi", restart="Always"), container("300Mi")],
            ),
            350 * MEBIBYTE,
            0,
            id="an-init-container-runs-beside-the-sidecars-before-it",
        ),
        pytest.param(
            pod_spec(
                container("100Mi"),
                initContainers=[container("300Mi"), container("50Mi", restart="Always")],
            ),
            300 * MEBIBYTE,
            0,
            id="an-init-container-runs-before-the-sidecars-after-it",
        ),
        pytest.param(
            pod_spec(container("100Mi", "100m"), overhead={"memory": "120Mi", "cpu": "250m"}),
            220 * MEBIBYTE,
            350,
            id="overhead-of-the-runtime-class",
        ),
    ],
)
def test_a_replica_requests_what_the_scheduler_sets_aside(
    spec: dict[str, Any], memory: int, cpu: int
) -> None:
    template = template_of(spec)

    assert (template.memory_request, template.cpu_request) == (memory, cpu)


def test_a_sidecar_counts_towards_the_limit_as_it_does_towards_the_working_set() -> None:
    sidecar = container("50Mi", limit="100Mi", restart="Always")
    once = container("1Gi", limit="2Gi")
    spec = pod_spec(container(limit="1Gi"), initContainers=[sidecar, once])

    assert template_of(spec).memory_limit == 1_124 * MEBIBYTE


@pytest.mark.parametrize(
    ("containers", "limit"),
    [
        pytest.param([container("1Mi", limit="1Gi")], 1_024 * MEBIBYTE, id="one"),
        pytest.param(
            [container(limit="1Gi"), container(limit="512Mi")], 1_536 * MEBIBYTE, id="sum"
        ),
        pytest.param([container(limit="1Gi"), container("1Mi")], None, id="one-is-unbounded"),
        pytest.param([container()], None, id="none"),
    ],
)
def test_a_replica_is_bounded_only_if_every_container_is(
    containers: list[dict[str, Any]], limit: int | None
) -> None:
    assert template_of(pod_spec(*containers)).memory_limit == limit


def test_a_replica_carries_its_placement() -> None:
    template = template_of(
        pod_spec(
            container("1Mi"),
            nodeSelector={"pool": "workers"},
            tolerations=[
                {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"},
                {"key": "team", "value": "scan"},
                {"operator": "Exists"},
            ],
        )
    )

    assert template.node_selector == {"pool": "workers"}
    assert template.tolerations == (
        Toleration("gpu", "Exists", "", "NoSchedule"),
        Toleration("team", "Equal", "scan", ""),
        Toleration("", "Exists", "", ""),
    )


def test_a_deployment_without_replicas_runs_one() -> None:
    spec = {key: value for key, value in DEPLOYMENT["spec"].items() if key != "replicas"}

    assert objects.workload({**DEPLOYMENT, "spec": spec}).replicas == 1
    assert objects.workload(deployment(pod_spec(container()), replicas=0)).replicas == 0


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        ({"matchLabels": {"app": "scan", "tier": "llm"}}, "app=scan,tier=llm"),
        (
            {
                "matchLabels": {"app": "scan"},
                "matchExpressions": [
                    {"key": "track", "operator": "In", "values": ["stable", "canary"]},
                    {"key": "env", "operator": "NotIn", "values": ["test"]},
                    {"key": "release", "operator": "Exists"},
                    {"key": "legacy", "operator": "DoesNotExist"},
                ],
            },
            "app=scan,track in (stable,canary),env notin (test),release,!legacy",
        ),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, "app"),
    ],
)
def test_a_selector_is_written_as_a_list_request_takes_it(
    selector: dict[str, Any], text: str
) -> None:
    assert objects.selector(selector) == text


def pods_of(*pods: dict[str, Any]) -> Any:
    return [found.pod for one in pods if (found := objects.placed(one)).stays]


def test_a_ready_pod_says_since_when() -> None:
    (found,) = pods_of(pod(status=running(READY)))

    assert (found.name, found.node, found.ready) == ("scan-worker-a", "node-a", True)
    assert (found.created_at, found.ready_at) == (EPOCH_0810, EPOCH_0810 + 31)


def test_a_pod_that_is_not_ready_has_no_time_of_becoming_so() -> None:
    (found,) = pods_of(pod(status=running({**READY, "status": "False"})))

    assert (found.ready, found.ready_at) == (False, None)


def test_a_pod_without_a_status_is_a_pod_that_is_pending() -> None:
    fresh = pod()
    del fresh["spec"]["nodeName"]

    (found,) = pods_of(fresh)

    assert (found.node, found.ready, found.unschedulable, found.oom_killed_at) == (
        None, False, None, None,
    )  # fmt: skip


def test_pods_that_are_finished_or_going_away_do_not_count() -> None:
    gone = {"deletionTimestamp": "2026-01-28T08:21:00Z"}

    assert [one.name for one in pods_of(
        pod("stays", status=running(READY)),
        pod("evicted", status={"phase": "Failed", "reason": "Evicted"}),
        pod("done", status={"phase": "Succeeded"}),
        pod("terminating", metadata=gone, status=running(READY)),
        pod("pending", status={"phase": "Pending"}),
    )] == ["stays", "pending"]  # fmt: skip


def test_a_pod_that_no_node_takes_says_what_the_scheduler_says() -> None:
    words = "0/2 nodes are available: 2 Insufficient memory."
    (stuck,) = pods_of(
        pod(
            spec={"nodeName": None},
            status={
                "phase": "Pending",
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": words,
                    }
                ],
            },
        )
    )
    (scheduled,) = pods_of(pod(status=running({"type": "PodScheduled", "status": "True"}, READY)))

    assert stuck.unschedulable == words
    assert scheduled.unschedulable is None


def killed(at: str, reason: str = "OOMKilled") -> dict[str, Any]:
    return {"terminated": {"exitCode": 137, "reason": reason, "finishedAt": at}}


@pytest.mark.parametrize(
    ("statuses", "at"),
    [
        pytest.param(
            [{"name": "c", "state": killed("2026-01-28T08:20:05Z")}], EPOCH_0810 + 5, id="just-now"
        ),
        pytest.param(
            [
                {
                    "name": "c",
                    "state": {"running": {"startedAt": "2026-01-28T08:20:09Z"}},
                    "lastState": killed("2026-01-28T08:20:07Z"),
                }
            ],
            EPOCH_0810 + 7,
            id="before-its-restart",
        ),
        pytest.param(
            [
                {"name": "a", "lastState": killed("2026-01-28T08:20:07Z"), "state": {}},
                {"name": "b", "state": killed("2026-01-28T08:20:40Z")},
            ],
            EPOCH_0810 + 40,
            id="the-latest-of-all-containers",
        ),
        pytest.param(
            [{"name": "c", "lastState": killed("2026-01-28T08:20:07Z", "Error")}],
            None,
            id="failed-by-itself",
        ),
        pytest.param([{"name": "c", "state": {"waiting": {}}}], None, id="waiting"),
    ],
)
def test_an_oom_kill_is_dated_by_the_container_that_it_ended(
    statuses: list[dict[str, Any]], at: float | None
) -> None:
    (found,) = pods_of(pod(status=running(containerStatuses=statuses)))

    assert found.oom_killed_at == at


def ended(exit_code: int, reason: str = "Error") -> dict[str, Any]:
    """The last state of a container that was started again."""
    terminated = {"exitCode": exit_code, "reason": reason, "finishedAt": "2026-01-28T08:20:07Z"}
    return {"terminated": terminated}


@pytest.mark.parametrize(
    ("last", "probe", "times"),
    [
        pytest.param(ended(137), {"exec": {}}, (EPOCH_0810 + 7,), id="killed-after-its-grace"),
        pytest.param(ended(143), {"exec": {}}, (EPOCH_0810 + 7,), id="by-the-signal"),
        pytest.param(ended(0, "Completed"), {"exec": {}}, (EPOCH_0810 + 7,), id="warm-shutdown"),
        pytest.param(ended(137, "OOMKilled"), {"exec": {}}, (), id="for-want-of-memory"),
        pytest.param(ended(1), {"exec": {}}, (), id="by-its-own-fault"),
        pytest.param(ended(137), None, (), id="no-probe"),
        pytest.param({}, {"exec": {}}, (), id="never"),
    ],
)
def test_a_worker_that_its_liveness_probe_stops_is_one_that_was_restarted(
    last: dict[str, Any], probe: dict[str, Any] | None, times: tuple[float, ...]
) -> None:
    container = {"name": "c", **({} if probe is None else {"livenessProbe": probe})}
    statuses = [{"name": "c", "state": {"running": {}}, "lastState": last}]
    listed = pod(status=running(containerStatuses=statuses))
    listed["spec"]["containers"] = [container]

    (found,) = pods_of(listed)
    assert found.restarted_at == times


def test_a_sidecar_that_is_oom_killed_is_a_pod_that_is() -> None:
    sidecars = [{"name": "proxy", "state": {}, "lastState": killed("2026-01-28T08:20:07Z")}]

    (found,) = pods_of(pod(status=running(initContainerStatuses=sidecars)))

    assert found.oom_killed_at == EPOCH_0810 + 7


def test_a_pods_working_set_is_the_sum_over_its_containers() -> None:
    metrics = [
        {
            "metadata": {"namespace": "scan", "name": "scan-worker-a"},
            "containers": [
                {"name": "worker", "usage": {"cpu": "901234567n", "memory": "614400Ki"}},
                {"name": "proxy", "usage": {"cpu": "1m", "memory": "20Mi"}},
            ],
        }
    ]

    assert objects.pods_used(metrics) == {("scan", "scan-worker-a"): 620 * MEBIBYTE}


def node(name: str = "node-a", **parts: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, **parts.pop("metadata", {})},
        "spec": parts.pop("spec", {}),
        "status": {
            "allocatable": {"cpu": "1930m", "memory": "3917824Ki", "pods": "17"},
            "conditions": [
                {"type": "MemoryPressure", "status": "False"},
                {"type": "Ready", "status": "True"},
            ],
            **parts.pop("status", {}),
        },
    }


def test_a_node_has_what_it_can_give() -> None:
    found = objects.node(node(metadata={"labels": {"pool": "workers"}}))

    assert (found.memory_allocatable, found.cpu_allocatable, found.pods_allocatable) == (
        3_826 * MEBIBYTE, 1_930, 17,
    )  # fmt: skip
    assert (found.memory_requested, found.cpu_requested, found.pods_running) == (0, 0, 0)
    assert found.labels == {"pool": "workers"}


@pytest.mark.parametrize(
    ("changes", "room"),
    [
        pytest.param({"status": running(READY)}, True, id="ready"),
        pytest.param({"status": running({**READY, "status": "False"})}, True, id="not-ready"),
        pytest.param({"spec": {"nodeName": ""}, "status": {"phase": "Pending"}}, False, id="none"),
        pytest.param({"status": {"phase": "Succeeded"}}, False, id="finished"),
    ],
)
def test_a_pod_holds_room_while_it_is_on_a_node_and_not_finished(
    changes: dict[str, Any], room: bool
) -> None:
    found = objects.placed(pod(**changes))

    assert (found.room, found.memory_requested, found.cpu_requested) == (room, 512 * MEBIBYTE, 250)


def test_what_is_in_use_of_nodes_is_told_by_their_names() -> None:
    used = {"metadata": {"name": "node-a"}, "usage": {"cpu": "1", "memory": "2Gi"}}

    assert objects.nodes_used([used]) == {"node-a": 2_048 * MEBIBYTE}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, (True, True, False), id="healthy"),
        pytest.param({"spec": {"unschedulable": True}}, (True, False, False), id="cordoned"),
        pytest.param(
            {"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}},
            (False, True, False),
            id="its-kubelet-is-silent",
        ),
        pytest.param({"status": {"conditions": []}}, (False, True, False), id="just-joined"),
        pytest.param(
            {
                "status": {
                    "conditions": [
                        {"type": "Ready", "status": "True"},
                        {"type": "MemoryPressure", "status": "True"},
                    ]
                }
            },
            (True, True, True),
            id="under-memory-pressure",
        ),
    ],
)
def test_a_node_says_whether_it_takes_pods(
    changes: dict[str, Any], expected: tuple[bool, bool, bool]
) -> None:
    found = objects.node(node(**changes))

    assert (found.ready, found.schedulable, found.memory_pressure) == expected


def test_a_nodes_taints_may_have_no_value() -> None:
    taints = [
        {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"},
        {"key": "team", "value": "scan", "effect": "NoSchedule"},
    ]

    found = objects.node(node(spec={"taints": taints}))

    assert found.taints == (
        Taint("node.kubernetes.io/not-ready", "", "NoExecute"),
        Taint("team", "scan", "NoSchedule"),
    )


def test_a_node_without_a_status_offers_nothing() -> None:
    found = objects.node({"metadata": {"name": "new"}})

    assert (found.memory_allocatable, found.cpu_allocatable, found.pods_allocatable) == (0, 0, 0)
    assert not found.ready


def test_a_node_for_a_thousand_pods_says_so_in_canonical_form() -> None:
    allocatable = {"cpu": "96", "memory": "1Ti", "pods": "1k"}

    found = objects.node(node(status={"allocatable": allocatable}))

    assert found.pods_allocatable == 1_000


@pytest.mark.parametrize(
    ("timestamp", "at"),
    [
        ("2026-01-28T08:20:00Z", EPOCH_0810),
        ("2026-01-28T08:20:00.5Z", EPOCH_0810 + 0.5),
        ("2026-01-28T08:20:00.123456Z", EPOCH_0810 + 0.123456),
        ("2026-01-28T08:20:00.123456789Z", EPOCH_0810 + 0.123456),
        ("2026-01-28T09:20:00+01:00", EPOCH_0810),
    ],
)
def test_times_are_read_in_every_form_of_rfc_3339(timestamp: str, at: float) -> None:
    assert epoch(timestamp) == pytest.approx(at, abs=1e-6)


def test_pods_that_go_away_drain_until_they_are_finished_or_gone() -> None:
    gone = {"deletionTimestamp": "2026-01-28T08:21:00Z"}
    there = (
        pod("stays", status=running(READY)),
        pod("terminating", metadata=gone, status=running(READY)),
        pod("through", metadata=gone, status={"phase": "Succeeded"}),
        pod("never-started", metadata=gone, status={"phase": "Pending"}),
    )

    assert [objects.placed(one).drains for one in there] == [False, True, False, True]


def test_a_pod_tells_its_address_and_what_it_costs_to_delete() -> None:
    cost = {"controller.kubernetes.io/pod-deletion-cost": "-100"}
    one = pod(metadata={"annotations": cost}, status=running(READY, podIP="10.0.0.7"))

    found = [(each.address, each.deletion_cost) for each in pods_of(one, pod())]
    assert found == [("10.0.0.7", "-100"), (None, None)]


@pytest.mark.parametrize(
    ("owners", "goes_by_cost"),
    [
        (None, False),
        ([], False),
        ([{"kind": "ReplicaSet", "name": "r", "controller": True}], True),
        ([{"kind": "ReplicaSet", "name": "r"}], False),
        ([{"kind": "StatefulSet", "name": "s", "controller": True}], False),
        ([{"kind": "WorkerGroup", "name": "w", "controller": True}], False),
    ],
)
def test_only_pods_of_a_replica_set_go_by_their_cost(
    owners: list[dict[str, Any]] | None, goes_by_cost: bool
) -> None:
    (found,) = pods_of(pod(metadata={} if owners is None else {"ownerReferences": owners}))
    assert found.goes_by_cost is goes_by_cost
