"""StatefulSets, scales that say nothing, and ClusterRoles that gather the rules of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cluster.access import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.access import Cluster

NAME = "numbered"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


@pytest.fixture
def stateful_set(cluster: Cluster) -> Iterator[str]:
    """The path of a StatefulSet of two replicas."""
    labels = {"app": NAME}
    container = {"name": "main", "image": "registry.k8s.io/pause:3.9"}
    spec = {
        "replicas": 2,
        "serviceName": NAME,
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
        },
    }
    sets = cluster.apps("statefulsets")
    assert cluster.post(sets, {"metadata": {"name": NAME}, "spec": spec}).code == 201
    yield f"{sets}/{NAME}"
    cluster.delete(f"{sets}/{NAME}")


def pods(cluster: Cluster) -> list[dict[str, Any]]:
    listed = cluster.get(cluster.core("pods"), labelSelector=f"app={NAME}").body["items"]
    return [pod for pod in listed if "deletionTimestamp" not in pod["metadata"]]


def are_ready(cluster: Cluster, stateful_set: str) -> bool:
    status = cluster.get(stateful_set).body.get("status", {})
    return bool(status.get("readyReplicas") == 2)


def names(cluster: Cluster) -> list[str]:
    return sorted(pod["metadata"]["name"] for pod in pods(cluster))


def test_the_scale_of_a_stateful_set(cluster: Cluster, stateful_set: str) -> None:
    made = cluster.get(stateful_set).body["spec"]
    assert made["podManagementPolicy"] == "OrderedReady"
    assert made["updateStrategy"]["type"] == "RollingUpdate"
    scale = cluster.get(f"{stateful_set}/scale").body
    assert scale["spec"] == {"replicas": 2}
    assert scale["status"]["selector"] == f"app={NAME}"

    changed = cluster.patch(f"{stateful_set}/scale", {"spec": {"replicas": 0}}).body

    # Zero is left out.
    assert changed["spec"] == {}
    assert cluster.get(stateful_set).body["spec"]["replicas"] == 0


@pytest.mark.controllers
def test_a_stateful_set_numbers_its_pods_and_takes_the_last_one_away_first(
    cluster: Cluster, stateful_set: str
) -> None:
    eventually(lambda: names(cluster) == [f"{NAME}-0", f"{NAME}-1"])
    cost = {"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "-100"}}}
    cluster.patch(f"{cluster.core('pods')}/{NAME}-0", cost)
    owner = pods(cluster)[0]["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["controller"]) == ("StatefulSet", True)
    eventually(lambda: are_ready(cluster, stateful_set))

    cluster.patch(f"{stateful_set}/scale", {"spec": {"replicas": 1}})

    eventually(lambda: names(cluster) == [f"{NAME}-0"])


@pytest.mark.controllers
def test_a_stateful_set_renews_its_pods(cluster: Cluster, stateful_set: str) -> None:
    eventually(lambda: are_ready(cluster, stateful_set))
    template = {"metadata": {"annotations": {"renewed": "yes"}}}

    cluster.patch(stateful_set, {"spec": {"template": template}})

    def renewed() -> list[bool]:
        return ["renewed" in (pod["metadata"].get("annotations") or {}) for pod in pods(cluster)]

    eventually(lambda: renewed() == [True, True])


def test_a_scale_without_replicas_cannot_be_read(cluster: Cluster) -> None:
    cluster.make_widget("w")
    answer = cluster.get(f"{cluster.widgets}/w/scale")
    assert (answer.code, answer.body["reason"]) == (500, "InternalError")
    assert 'the spec replicas field ".spec.replicas" does not exist' in answer.message
    # It may be given some.
    written = cluster.patch(f"{cluster.widgets}/w/scale", {"spec": {"replicas": 1}})
    assert written.body["spec"] == {"replicas": 1}


@pytest.mark.controllers
def test_a_cluster_role_gathers_the_rules_of_those_with_a_label(cluster: Cluster) -> None:
    label = {f"{cluster.group}/gathered": "true"}
    roles, whole, part = f"{RBAC}/clusterroles", f"{cluster.namespace}-a", f"{cluster.namespace}-b"
    rules = [{"apiGroups": [cluster.group], "resources": ["widgets"], "verbs": ["list"]}]
    gathering = {
        "metadata": {"name": whole},
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": label}]},
    }
    assert cluster.post(roles, gathering).code == 201
    assert not cluster.get(f"{roles}/{whole}").body.get("rules")

    cluster.post(roles, {"metadata": {"name": part, "labels": label}, "rules": rules})
    eventually(lambda: cluster.get(f"{roles}/{whole}").body.get("rules") == rules)

    cluster.delete(f"{roles}/{part}")
    eventually(lambda: not cluster.get(f"{roles}/{whole}").body.get("rules"))
    cluster.delete(f"{roles}/{whole}")
