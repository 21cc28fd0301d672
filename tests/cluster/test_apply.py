"""Server-side apply: fields have managers, and managers have conflicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from cluster.access import Cluster, Obj


@pytest.fixture
def path(cluster: Cluster) -> str:
    return f"{cluster.widgets}/w"


def _managers(obj: Obj) -> dict[tuple[str, str], Any]:
    """Fields by manager and operation; whether a struct is listed itself differs by release."""
    entries = obj["metadata"]["managedFields"]
    return {(e["manager"], e["operation"]): _members(e["fieldsV1"]) for e in entries}


def _members(fields: Obj) -> Obj:
    return {name: _members(below) for name, below in fields.items() if name != "."}


def test_apply_creates_and_records_its_fields(cluster: Cluster, path: str) -> None:
    body = cluster.widget("w", {"size": 2, "items": [{"name": "a", "weight": 3}]})
    answer = cluster.apply(path, body, "one")
    assert answer.code == 201
    assert _managers(answer.body)["one", "Apply"] == {
        "f:spec": {
            "f:size": {},
            "f:items": {'k:{"name":"a"}': {"f:name": {}, "f:weight": {}}},
        }
    }


def test_applying_the_same_again_changes_nothing(cluster: Cluster, path: str) -> None:
    body = cluster.widget("w", {"size": 2})
    first = cluster.apply(path, body, "one")
    again = cluster.apply(path, body, "one")
    assert (again.code, again.version) == (200, first.version)


def test_a_field_no_longer_applied_is_removed_or_defaulted(cluster: Cluster, path: str) -> None:
    cluster.apply(path, cluster.widget("w", {"size": 2, "code": "abc", "max": 50}), "one")
    spec = cluster.apply(path, cluster.widget("w", {"size": 2}), "one").body["spec"]
    assert "code" not in spec
    assert spec["max"] == 100


def test_a_field_somebody_else_owns_stays(cluster: Cluster, path: str) -> None:
    body = cluster.widget("w", {"size": 2, "code": "abc"})
    cluster.apply(path, body, "one")
    cluster.apply(path, body, "two")
    spec = cluster.apply(path, cluster.widget("w", {"size": 2}), "one").body["spec"]
    assert spec["code"] == "abc"


def test_another_value_for_an_owned_field_is_a_conflict(cluster: Cluster, path: str) -> None:
    cluster.apply(path, cluster.widget("w", {"size": 2}), "one")
    answer = cluster.apply(path, cluster.widget("w", {"size": 3}), "two")
    assert (answer.code, answer.body["reason"]) == (409, "Conflict")
    assert answer.message == 'Apply failed with 1 conflict: conflict with "one": .spec.size'
    (cause,) = answer.body["details"]["causes"]
    assert cause == {
        "reason": "FieldManagerConflict",
        "message": 'conflict with "one"',
        "field": ".spec.size",
    }


def test_force_takes_the_field_over(cluster: Cluster, path: str) -> None:
    cluster.apply(path, cluster.widget("w", {"size": 2, "code": "a"}), "one")
    answer = cluster.apply(path, cluster.widget("w", {"size": 3}), "two", force="true")
    assert answer.body["spec"]["size"] == 3
    managers = _managers(answer.body)
    assert managers["one", "Apply"] == {"f:spec": {"f:code": {}}}
    assert managers["two", "Apply"] == {"f:spec": {"f:size": {}}}


def test_an_update_owns_what_it_changed(cluster: Cluster, path: str) -> None:
    cluster.apply(path, cluster.widget("w", {"size": 2}), "one")
    cluster.patch(path, {"spec": {"size": 5}}, fieldManager="hand")
    answer = cluster.apply(path, cluster.widget("w", {"size": 2}), "one")
    assert answer.code == 409
    assert 'conflict with "hand" using' in answer.message


def test_list_items_are_merged_by_key(cluster: Cluster, path: str) -> None:
    cluster.apply(path, cluster.widget("w", {"size": 2, "items": [{"name": "a"}]}), "one")
    body = cluster.widget("w", {"size": 2, "items": [{"name": "b", "weight": 5}]})
    spec = cluster.apply(path, body, "two").body["spec"]
    assert spec["items"] == [{"name": "a", "weight": 1}, {"name": "b", "weight": 5}]
    spec = cluster.apply(path, cluster.widget("w", {"size": 2}), "two").body["spec"]
    assert spec["items"] == [{"name": "a", "weight": 1}]


def test_status_is_applied_through_its_own_endpoint(cluster: Cluster, path: str) -> None:
    cluster.apply(path, cluster.widget("w", {"size": 2}), "one")
    body = {**cluster.widget("w"), "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    del body["spec"]
    answer = cluster.apply(f"{path}/status", body, "controller")
    assert answer.code == 200, answer.body
    assert answer.body["status"]["conditions"] == [{"type": "Ready", "status": "True"}]
    assert answer.body["spec"]["size"] == 2


def test_apply_needs_a_manager(cluster: Cluster, path: str) -> None:
    answer = cluster.patch(path, cluster.widget("w"), "application/apply-patch+yaml")
    assert answer.code in (400, 422)
    assert "fieldManager" in answer.message


def test_built_in_lists_are_merged_by_key_too(cluster: Cluster) -> None:
    path = f"{cluster.apps('deployments')}/applied"
    cluster.delete(path)

    def body(env: list[Obj]) -> Obj:
        container = {"name": "main", "image": "registry.example.com/main:1", "env": env}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "applied"},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": {"app": "applied"}},
                "template": {
                    "metadata": {"labels": {"app": "applied"}},
                    "spec": {"containers": [container]},
                },
            },
        }

    def env_of(answer: Any) -> list[Obj]:
        assert answer.code in (200, 201), answer.body
        return list(answer.body["spec"]["template"]["spec"]["containers"][0].get("env", []))

    cluster.apply(path, body([{"name": "A", "value": "1"}]), "one")
    env = env_of(cluster.apply(path, body([{"name": "B", "value": "2"}]), "two"))
    assert env == [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    assert env_of(cluster.apply(path, body([]), "one")) == [{"name": "B", "value": "2"}]
