"""Deleting: finalizers, preconditions, owners, namespaces and collections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cluster.access import eventually

if TYPE_CHECKING:
    from cluster.access import Cluster, Obj

FINALIZER = "example.com/held"


def _map(name: str, **metadata: object) -> Obj:
    return {"metadata": {"name": name, **metadata}}


def test_deleting_answers_with_a_status(cluster: Cluster) -> None:
    uid = cluster.make_widget("w")["metadata"]["uid"]
    answer = cluster.delete(f"{cluster.widgets}/w")
    assert answer.body["status"] == "Success"
    assert answer.body["details"] == {
        "name": "w",
        "group": cluster.group,
        "kind": "widgets",
        "uid": uid,
    }
    assert cluster.get(f"{cluster.widgets}/w").code == 404


def test_a_finalizer_holds_the_object_until_it_is_removed(cluster: Cluster) -> None:
    path = f"{cluster.widgets}/w"
    cluster.make_widget("w", finalizers=[FINALIZER])
    held = cluster.delete(path).body
    assert held["metadata"]["deletionTimestamp"]
    assert held["metadata"]["generation"] == 2
    version = cluster.get(path).version
    assert cluster.delete(path).code in (200, 409)
    assert cluster.get(path).version == version
    refused = cluster.patch(path, {"metadata": {"finalizers": [FINALIZER, "example.com/new"]}})
    assert refused.code == 422
    assert "no new finalizers can be added if the object is being deleted" in refused.message
    assert cluster.patch(path, {"metadata": {"finalizers": []}}).code == 200
    assert cluster.get(path).code == 404


@pytest.mark.parametrize("field", ["uid", "resourceVersion"])
def test_preconditions_guard_a_delete(cluster: Cluster, field: str) -> None:
    created = cluster.make_widget("w")
    wrong = {"preconditions": {field: "0"}}
    assert cluster.delete(f"{cluster.widgets}/w", wrong).code == 409
    right = {"preconditions": {field: created["metadata"][field]}}
    assert cluster.delete(f"{cluster.widgets}/w", right).code == 200


def test_a_collection_is_deleted_by_selector(cluster: Cluster) -> None:
    cluster.make_widget("a", labels={"x": "1"})
    cluster.make_widget("b", labels={"x": "2"})
    assert cluster.delete(cluster.widgets, labelSelector="x=1").code == 200
    left = cluster.get(cluster.widgets).body["items"]
    assert [item["metadata"]["name"] for item in left] == ["b"]


def _owned_map(cluster: Cluster, owner: Obj) -> str:
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "blockOwnerDeletion": True,
    }
    path = cluster.core("configmaps")
    cluster.delete(f"{path}/owned")
    created = cluster.post(path, _map("owned", ownerReferences=[reference]))
    assert created.code == 201, created.body
    return f"{path}/owned"


@pytest.mark.controllers
@pytest.mark.parametrize("policy", ["Background", "Foreground"])
def test_dependents_go_with_their_owner(cluster: Cluster, policy: str) -> None:
    owned = _owned_map(cluster, cluster.make_widget("w"))
    cluster.delete(f"{cluster.widgets}/w", {"propagationPolicy": policy})
    eventually(lambda: cluster.get(owned).code == 404)
    eventually(lambda: cluster.get(f"{cluster.widgets}/w").code == 404)


@pytest.mark.controllers
def test_orphans_stay(cluster: Cluster) -> None:
    owned = _owned_map(cluster, cluster.make_widget("w"))
    cluster.delete(f"{cluster.widgets}/w", {"propagationPolicy": "Orphan"})
    eventually(lambda: cluster.get(f"{cluster.widgets}/w").code == 404)
    assert "ownerReferences" not in cluster.get(owned).body["metadata"]


@pytest.mark.controllers
def test_a_namespace_goes_with_all_that_is_in_it(cluster: Cluster) -> None:
    name = f"{cluster.namespace}-gone"
    cluster.post("/api/v1/namespaces", {"metadata": {"name": name}})
    inside = f"/apis/{cluster.group}/v1/namespaces/{name}/widgets"
    eventually(lambda: cluster.post(inside, cluster.widget("w")).code in (201, 409))
    cluster.patch(f"{inside}/w", {"metadata": {"finalizers": [FINALIZER]}})
    marked = cluster.delete(f"/api/v1/namespaces/{name}").body
    assert marked["status"]["phase"] == "Terminating"
    refused = cluster.post(inside, cluster.widget("late"))
    assert (refused.code, refused.body["reason"]) == (403, "Forbidden")
    assert "because it is being terminated" in refused.message
    eventually(lambda: "deletionTimestamp" in cluster.get(f"{inside}/w").body["metadata"])
    cluster.patch(f"{inside}/w", {"metadata": {"finalizers": None}})
    eventually(lambda: cluster.get(f"/api/v1/namespaces/{name}").code == 404)
