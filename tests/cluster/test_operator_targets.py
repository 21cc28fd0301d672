"""What the operator scales beside Deployments, with RBAC enforced, on any API server."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from cluster.operating import Operating, made, rbac

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cluster.access import Cluster

NAME = "numbered"
LABEL = re.compile(r"the label (\S+): \"(\S+)\"")
RULE = re.compile(r"\{apiGroups: .*?\}")


@pytest.fixture
def stateful_set(cluster: Cluster) -> Iterator[str]:
    """The path of a StatefulSet of one replica."""
    labels = {"app": NAME}
    container = {"name": "main", "image": "registry.k8s.io/pause:3.9"}
    pod = {"containers": [container], "terminationGracePeriodSeconds": 1}
    spec = {
        "replicas": 1,
        "serviceName": NAME,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    sets = cluster.apps("statefulsets")
    made(cluster.post(sets, {"metadata": {"name": NAME}, "spec": spec}))
    yield f"{sets}/{NAME}"
    cluster.delete(f"{sets}/{NAME}")


def widget(cluster: Cluster, name: str = "w") -> tuple[str, dict[str, str]]:
    """Make an object of the suite's own kind; return its path and how a pool names it.

    Its controller is the test: it writes where the pods are.
    """
    cluster.make_widget(name, {"size": 8, "replicas": 1})
    path = f"{cluster.widgets}/{name}"
    status = {"status": {"replicas": 1, "selector": f"widget={name}"}}
    made(cluster.patch(f"{path}/status", status))
    return path, {"apiVersion": f"{cluster.group}/v1", "kind": "Widget", "name": name}


@pytest.fixture
def granting(cluster: Cluster) -> Iterator[Callable[..., None]]:
    """Grant the operator rules: by a label, or bound by hand where no controller gathers them."""
    name = f"{cluster.namespace}-widgets"
    done: list[str] = []

    def grant(rules: list[Any], labels: dict[str, str]) -> None:
        role = {"metadata": {"name": name, "labels": labels}, "rules": rules}
        made(cluster.post(rbac(cluster, "ClusterRole"), role))
        done.append(f"{rbac(cluster, 'ClusterRole')}/{name}")
        if labels:
            return
        account = {"kind": "ServiceAccount", "name": "scanpool", "namespace": cluster.namespace}
        group = "rbac.authorization.k8s.io"
        binding = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
            "subjects": [account],
        }
        made(cluster.post(rbac(cluster, "ClusterRoleBinding"), binding))
        done.append(f"{rbac(cluster, 'ClusterRoleBinding')}/{name}")

    yield grant
    for path in done:
        cluster.delete(path)


def test_a_stateful_set_is_scaled_up_and_down(operating: Operating, stateful_set: str) -> None:
    operating.queues.publish("scan", 30)
    operating.create_pool("scan", {"kind": "StatefulSet", "name": NAME})
    operating.wait_replicas(stateful_set, 3)
    assert operating.wait_condition("scan", "Ready", "True") == f"StatefulSet {NAME} is scaled"

    operating.queues.work_off("scan", 25)

    operating.wait_replicas(stateful_set, 1)
    operating.wait_status("scan", selector=f"app={NAME}")


@pytest.mark.parametrize("gathered", [pytest.param(True, marks=pytest.mark.controllers), False])
def test_a_kind_that_nobody_granted_says_which_rules_to_add_and_is_scaled_with_them(
    cluster: Cluster, operating: Operating, granting: Callable[..., None], gathered: bool
) -> None:
    path, ref = widget(cluster)
    operating.queues.publish("scan", 40)
    operating.create_pool("scan", ref)
    told = operating.wait_condition("scan", "Ready", "False", "KubernetesForbidden")
    assert f"widgets.{cluster.group}" in told
    assert operating.replicas(path) == 1

    # Copied from the message, as a person would.
    rules = [yaml.safe_load(rule) for rule in RULE.findall(told)]
    (label,) = LABEL.findall(told)
    granting(rules, dict([label]) if gathered else {})

    operating.wait_replicas(path, 4)
    assert operating.wait_condition("scan", "Ready", "True") == "Widget w is scaled"
    operating.wait_status("scan", replicas=4, selector="widget=w")


def test_the_right_to_see_a_kind_is_not_that_to_scale_it(
    cluster: Cluster, operating: Operating, granting: Callable[..., None]
) -> None:
    path, ref = widget(cluster)
    group = {"apiGroups": [cluster.group]}
    see = {**group, "resources": ["widgets"], "verbs": ["list", "watch"]}
    read = {**group, "resources": ["widgets/scale"], "verbs": ["get"]}
    granting([see, read], {})
    operating.queues.publish("scan", 40)
    operating.create_pool("scan", ref)

    told = operating.wait_condition("scan", "ScalingActive", "False", "KubernetesForbidden")

    assert 'resources: ["widgets/scale"], verbs: [get, patch]' in told
    assert operating.replicas(path) == 1


@pytest.mark.parametrize(
    ("api_version", "kind", "reason", "words"),
    [
        ("nobody.example.com/v1", "Worker", "KindNotFound", "serves no nobody.example.com/v1"),
        ("apps/v1", "Rollout", "KindNotFound", "apps/v1 has no kind Rollout"),
        ("v1", "ConfigMap", "ScaleNotFound", "ConfigMap of v1 has no /scale"),
        ("apps/v1", "Deployment", "TargetNotFound", "/gone does not exist"),
        ("apps/v1", "StatefulSet", "TargetNotFound", "/gone does not exist"),
    ],
)
def test_what_cannot_be_scaled_says_why(
    operating: Operating, api_version: str, kind: str, reason: str, words: str
) -> None:
    operating.create_pool("scan", {"apiVersion": api_version, "kind": kind, "name": "gone"})
    assert words in operating.wait_condition("scan", "Ready", "False", reason)


def test_of_two_pools_on_one_target_the_younger_leaves_it_alone_whatever_its_kind(
    cluster: Cluster, operating: Operating, stateful_set: str
) -> None:
    operating.queues.publish("a", 30)
    operating.queues.publish("b", 60)
    ref = {"kind": "StatefulSet", "name": NAME}
    operating.create_pool("a", ref)
    operating.wait_replicas(stateful_set, 3)
    # The same name is another target where the kind is another.
    deployment = cluster.get(stateful_set).body
    spec = {name: deployment["spec"][name] for name in ("replicas", "selector", "template")}
    made(cluster.post(cluster.apps("deployments"), {"metadata": {"name": NAME}, "spec": spec}))
    operating.create_pool("b", ref)
    operating.create_pool("c", {"name": NAME})

    told = operating.wait_condition("b", "Contested", "True", "ContestedByPool")

    assert f"has scaled StatefulSet {NAME} since" in told
    operating.wait_condition("c", "Contested", "False")
    operating.operator.wait_ticks(6)
    assert operating.replicas(stateful_set) == 3
    cluster.delete(f"{cluster.apps('deployments')}/{NAME}")
