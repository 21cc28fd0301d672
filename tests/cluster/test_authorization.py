"""RBAC, as an impersonated ServiceAccount meets it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.access import Cluster

RBAC = "/apis/rbac.authorization.k8s.io/v1"


@pytest.fixture
def account(cluster: Cluster) -> Iterator[str]:
    """A ServiceAccount that may read widgets, write one's status, and see /metrics."""
    home = f"{RBAC}/namespaces/{cluster.namespace}"
    name = f"{cluster.namespace}-reader"
    subject = {"kind": "ServiceAccount", "name": "reader", "namespace": cluster.namespace}
    group = "rbac.authorization.k8s.io"
    rules = [
        {"apiGroups": [cluster.group], "resources": ["widgets"], "verbs": ["get", "list"]},
        {
            "apiGroups": [cluster.group],
            "resources": ["widgets/status"],
            "resourceNames": ["mine"],
            "verbs": ["patch"],
        },
    ]
    made = [
        (f"{home}/roles", {"metadata": {"name": name}, "rules": rules}),
        (
            f"{home}/rolebindings",
            {
                "metadata": {"name": name},
                "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
                "subjects": [subject],
            },
        ),
        (
            f"{RBAC}/clusterroles",
            {
                "metadata": {"name": name},
                "rules": [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}],
            },
        ),
        (
            f"{RBAC}/clusterrolebindings",
            {
                "metadata": {"name": name},
                "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
                "subjects": [subject],
            },
        ),
    ]
    for path, body in made:
        assert cluster.post(path, body).code == 201
    yield f"system:serviceaccount:{cluster.namespace}:reader"
    for path, _ in made:
        cluster.delete(f"{path}/{name}")


def test_what_is_granted_is_allowed(cluster: Cluster, account: str) -> None:
    cluster.make_widget("mine")
    assert cluster.get(cluster.widgets, user=account).code == 200
    assert cluster.get(f"{cluster.widgets}/mine", user=account).code == 200
    status = {"status": {"replicas": 1}}
    assert cluster.patch(f"{cluster.widgets}/mine/status", status, user=account).code == 200
    assert cluster.get("/metrics", user=account).code != 403


@pytest.mark.parametrize(
    ("method", "suffix", "verb", "resource"),
    [
        ("DELETE", "/mine", "delete", "widgets"),
        ("PATCH", "/mine", "patch", "widgets"),
        ("PATCH", "/other/status", "patch", "widgets/status"),
        ("GET", "/mine/scale", "get", "widgets/scale"),
        ("POST", "", "create", "widgets"),
    ],
)
def test_what_is_not_granted_is_forbidden(
    cluster: Cluster, account: str, method: str, suffix: str, verb: str, resource: str
) -> None:
    cluster.make_widget("mine")
    cluster.make_widget("other")
    answer = cluster.request(
        method,
        cluster.widgets + suffix,
        {} if method == "PATCH" else cluster.widget("new"),
        "application/merge-patch+json" if method == "PATCH" else "application/json",
        user=account,
    )
    assert (answer.code, answer.body["reason"]) == (403, "Forbidden")
    assert (
        f'User "{account}" cannot {verb} resource "{resource}" in API group "{cluster.group}" '
        f'in the namespace "{cluster.namespace}"'
    ) in answer.message


def test_a_role_does_not_reach_other_namespaces_or_the_cluster(
    cluster: Cluster, account: str
) -> None:
    everywhere = f"/apis/{cluster.group}/v1/widgets"
    answer = cluster.get(everywhere, user=account)
    assert answer.code == 403
    assert answer.message.endswith("at the cluster scope")


def test_discovery_is_open_to_every_account(cluster: Cluster, account: str) -> None:
    for path in ("/version", "/api", "/apis", f"/apis/{cluster.group}/v1", "/openapi/v2"):
        assert cluster.get(path, user=account).code == 200


def test_a_paths_refusal_names_it(cluster: Cluster, account: str) -> None:
    answer = cluster.get("/logs", user=account)
    assert answer.code == 403
    assert f'User "{account}" cannot get path "/logs"' in answer.message


def test_can_i(cluster: Cluster, account: str) -> None:
    def can_i(*words: str) -> str:
        said = cluster.kubectl("auth", "can-i", *words, f"--as={account}", check=False)
        return said.strip().splitlines()[-1]

    assert can_i("list", f"widgets.{cluster.group}") == "yes"
    assert can_i("delete", f"widgets.{cluster.group}") == "no"
    assert can_i("get", "/metrics") == "yes"
