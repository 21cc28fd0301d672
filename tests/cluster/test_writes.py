"""Creates, updates and patches: what they change, and when they are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cluster.access import JSON_PATCH, MERGE, STRATEGIC

if TYPE_CHECKING:
    from cluster.access import Cluster, Obj


def _deployment(name: str) -> Obj:
    return {
        "metadata": {"name": name},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "containers": [
                        {
                            "name": "main",
                            "image": "registry.example.com/main:1",
                            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                            "args": ["one", "two"],
                        }
                    ]
                },
            },
        },
    }


@pytest.fixture
def deployment(cluster: Cluster) -> str:
    """The path of a Deployment without replicas."""
    path = cluster.apps("deployments")
    cluster.delete(f"{path}/main")
    assert cluster.post(path, _deployment("main")).code == 201
    return f"{path}/main"


def test_a_new_object_has_its_system_fields(cluster: Cluster) -> None:
    metadata = cluster.make_widget("w")["metadata"]
    assert metadata["generation"] == 1
    assert metadata["uid"]
    assert metadata["creationTimestamp"].endswith("Z")
    assert int(metadata["resourceVersion"]) > 0


def test_generate_name_makes_a_name(cluster: Cluster) -> None:
    body = cluster.widget("", generateName="gen-")
    names = {cluster.post(cluster.widgets, body).body["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("gen-") for name in names)


def test_creating_twice_is_a_conflict(cluster: Cluster) -> None:
    cluster.make_widget("w")
    answer = cluster.post(cluster.widgets, cluster.widget("w"))
    assert (answer.code, answer.body["reason"]) == (409, "AlreadyExists")
    assert answer.message == f'widgets.{cluster.group} "w" already exists'


def test_what_does_not_exist_is_not_found(cluster: Cluster) -> None:
    answer = cluster.get(f"{cluster.widgets}/none")
    assert (answer.code, answer.body["reason"]) == (404, "NotFound")
    assert answer.message == f'widgets.{cluster.group} "none" not found'
    elsewhere = cluster.widgets.replace(cluster.namespace, "nowhere")
    answer = cluster.post(elsewhere, cluster.widget("w"))
    assert (answer.code, answer.message) == (404, 'namespaces "nowhere" not found')


def test_names_are_checked(cluster: Cluster) -> None:
    answer = cluster.post(cluster.widgets, cluster.widget("No_Good"))
    assert answer.code == 422
    assert 'metadata.name: Invalid value: "No_Good": a lowercase RFC 1123' in answer.message


def test_generation_counts_changes_of_the_spec_alone(cluster: Cluster) -> None:
    path = f"{cluster.widgets}/w"
    cluster.make_widget("w")

    def generation() -> int:
        return int(cluster.get(path).body["metadata"]["generation"])

    cluster.patch(path, {"metadata": {"labels": {"a": "b"}}})
    assert generation() == 1
    cluster.patch(f"{path}/status", {"status": {"replicas": 3}})
    assert generation() == 1
    cluster.patch(path, {"spec": {"size": 2}})
    assert generation() == 2


def test_a_write_that_changes_nothing_is_none(cluster: Cluster) -> None:
    path = f"{cluster.widgets}/w"
    before = cluster.make_widget("w", {"size": 4})
    for answer in (
        cluster.patch(path, {"spec": {"size": 4}}),
        cluster.put(path, before),
        cluster.patch(f"{path}/status", {}),
        cluster.patch(path, [{"op": "test", "path": "/spec/size", "value": 4}], JSON_PATCH),
    ):
        assert answer.code == 200
        assert answer.version == before["metadata"]["resourceVersion"]


def test_the_main_endpoint_leaves_the_status_alone(cluster: Cluster) -> None:
    path = f"{cluster.widgets}/w"
    created = cluster.post(cluster.widgets, {**cluster.widget("w"), "status": {"replicas": 9}})
    assert "status" not in created.body
    cluster.patch(f"{path}/status", {"status": {"replicas": 3}})
    changed = cluster.patch(path, {"status": {"replicas": 5}, "spec": {"size": 7}}).body
    assert changed["status"] == {"replicas": 3}
    assert changed["spec"]["size"] == 7


def test_the_status_endpoint_leaves_all_else_alone(cluster: Cluster) -> None:
    path = f"{cluster.widgets}/w/status"
    cluster.make_widget("w")
    patch = {
        "metadata": {"labels": {"a": "b"}, "finalizers": ["example.com/x"]},
        "spec": {"size": 7},
        "status": {"replicas": 2},
    }
    changed = cluster.patch(path, patch).body
    assert changed["status"] == {"replicas": 2}
    assert changed["spec"]["size"] == 1
    assert "labels" not in changed["metadata"]
    assert "finalizers" not in changed["metadata"]
    assert cluster.get(path).body["status"] == {"replicas": 2}


def test_an_update_from_an_old_version_is_a_conflict(cluster: Cluster) -> None:
    path = f"{cluster.widgets}/w"
    old = cluster.make_widget("w")
    cluster.patch(path, {"spec": {"size": 2}})
    answer = cluster.put(path, old)
    assert (answer.code, answer.body["reason"]) == (409, "Conflict")
    assert "the object has been modified; please apply your changes" in answer.message
    unversioned = {**old, "metadata": {"name": "w"}}
    assert cluster.put(path, unversioned).code == 422


@pytest.mark.parametrize("subresource", ["", "/status", "/scale"])
def test_a_patch_with_a_resource_version_is_a_precondition(
    cluster: Cluster, subresource: str
) -> None:
    cluster.make_widget("w", {"size": 5, "replicas": 1})
    path = f"{cluster.widgets}/w{subresource}"
    version = cluster.get(path).version
    cluster.patch(f"{cluster.widgets}/w", {"metadata": {"labels": {"a": "b"}}})
    patch = {
        "metadata": {"resourceVersion": version},
        "spec": {"replicas": 2},
        "status": {"replicas": 2},
    }
    answer = cluster.patch(path, patch)
    assert (answer.code, answer.body["reason"]) == (409, "Conflict")
    patch["metadata"]["resourceVersion"] = cluster.get(path).version
    assert cluster.patch(path, patch).code == 200


def test_a_merge_patch_removes_with_null_and_replaces_lists(cluster: Cluster) -> None:
    cluster.make_widget("w", {"size": 1, "code": "abc", "tags": ["a", "b"]})
    patch = {"spec": {"code": None, "tags": ["c"]}}
    changed = cluster.patch(f"{cluster.widgets}/w", patch, MERGE).body["spec"]
    assert "code" not in changed
    assert changed["tags"] == ["c"]


def test_a_json_patch_is_all_or_nothing(cluster: Cluster) -> None:
    path = f"{cluster.widgets}/w"
    cluster.make_widget("w", {"size": 1, "tags": ["a"]})
    add = {"op": "add", "path": "/spec/tags/-", "value": "b"}
    failing = {"op": "test", "path": "/spec/size", "value": 99}
    assert cluster.patch(path, [add, failing], JSON_PATCH).code == 422
    assert cluster.get(path).body["spec"]["tags"] == ["a"]
    assert cluster.patch(path, [add], JSON_PATCH).body["spec"]["tags"] == ["a", "b"]


def test_custom_objects_take_no_strategic_patch(cluster: Cluster) -> None:
    cluster.make_widget("w")
    answer = cluster.patch(f"{cluster.widgets}/w", {"spec": {"size": 2}}, STRATEGIC)
    assert answer.code == 415


def test_a_strategic_patch_merges_lists_by_key(cluster: Cluster, deployment: str) -> None:
    container = {
        "name": "main",
        "image": "registry.example.com/main:2",
        "env": [{"name": "B", "value": "3"}, {"name": "A", "$patch": "delete"}],
        "args": ["three"],
    }
    patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
    answer = cluster.patch(deployment, patch, STRATEGIC)
    assert answer.code == 200, answer.body
    (changed,) = answer.body["spec"]["template"]["spec"]["containers"]
    assert changed["image"] == "registry.example.com/main:2"
    assert changed["env"] == [{"name": "B", "value": "3"}]
    assert changed["args"] == ["three"]
    assert changed["imagePullPolicy"] == "IfNotPresent"


def test_strategic_directives_replace_and_order(cluster: Cluster, deployment: str) -> None:
    def env(patch: Obj) -> list[Obj]:
        container = {"name": "main", **patch}
        body = {"spec": {"template": {"spec": {"containers": [container]}}}}
        answer = cluster.patch(deployment, body, STRATEGIC)
        assert answer.code == 200, answer.body
        spec = answer.body["spec"]["template"]["spec"]
        return list(spec["containers"][0]["env"])

    added = env(
        {
            "env": [{"name": "C", "value": "3"}],
            "$setElementOrder/env": [{"name": "C"}, {"name": "A"}, {"name": "B"}],
        }
    )
    assert [variable["name"] for variable in added] == ["C", "A", "B"]
    replaced = env({"env": [{"$patch": "replace"}, {"name": "Z", "value": "9"}]})
    assert replaced == [{"name": "Z", "value": "9"}]


def test_dry_run_answers_and_stores_nothing(cluster: Cluster) -> None:
    answer = cluster.post(cluster.widgets, cluster.widget("w"), dryRun="All")
    assert (answer.code, answer.body["spec"]["max"]) == (201, 100)
    assert cluster.get(f"{cluster.widgets}/w").code == 404
    cluster.make_widget("w")
    path = f"{cluster.widgets}/w"
    assert cluster.patch(path, {"spec": {"size": 9}}, dryRun="All").body["spec"]["size"] == 9
    assert cluster.get(path).body["spec"]["size"] == 1
    assert cluster.delete(path, dryRun="All").code == 200
    assert cluster.get(path).code == 200


def test_strict_validation_refuses_unknown_fields_and_warn_tells(
    cluster: Cluster, has_rules: bool
) -> None:
    if not has_rules:
        pytest.skip("this server is older than fieldValidation")
    body = cluster.widget("w", {"size": 1, "sise": 2})
    answer = cluster.post(cluster.widgets, body, fieldValidation="Strict")
    assert (answer.code, answer.body["reason"]) == (400, "BadRequest")
    assert 'strict decoding error: unknown field "spec.sise"' in answer.message
    answer = cluster.post(cluster.widgets, body, fieldValidation="Warn")
    assert answer.code == 201
    assert answer.headers["Warning"] == '299 - "unknown field \\"spec.sise\\""'
    path = f"{cluster.widgets}/w"
    patch = {"spec": {"sise": 3}}
    answer = cluster.patch(path, patch, fieldValidation="Strict")
    assert answer.code in (400, 422)
    assert 'unknown field "spec.sise"' in answer.message
    assert "Warning" not in cluster.patch(path, patch, fieldValidation="Ignore").headers


def test_strict_validation_knows_the_fields_of_built_in_kinds(
    cluster: Cluster, has_rules: bool
) -> None:
    if not has_rules:
        pytest.skip("this server is older than fieldValidation")
    body = _deployment("odd")
    body["spec"]["template"]["spec"]["containers"][0]["imag"] = "x"
    path = cluster.apps("deployments")
    answer = cluster.post(path, body, fieldValidation="Strict", dryRun="All")
    assert answer.code == 400
    assert 'unknown field "spec.template.spec.containers[0].imag"' in answer.message


def test_scale_shows_and_sets_replicas_of_custom_objects(cluster: Cluster) -> None:
    cluster.make_widget("w", {"size": 9, "replicas": 1})
    cluster.patch(f"{cluster.widgets}/w/status", {"status": {"replicas": 4, "selector": "a=b"}})
    path = f"{cluster.widgets}/w/scale"
    scale = cluster.get(path).body
    assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert scale["spec"] == {"replicas": 1}
    assert scale["status"] == {"replicas": 4, "selector": "a=b"}
    scale["spec"]["replicas"] = 3
    assert cluster.put(path, scale).body["spec"] == {"replicas": 3}
    assert cluster.get(f"{cluster.widgets}/w").body["spec"]["replicas"] == 3
    assert cluster.put(path, scale).code == 409
    assert cluster.patch(path, {"spec": {"replicas": -1}}).code == 422


def test_scale_shows_and_sets_replicas_of_deployments(cluster: Cluster, deployment: str) -> None:
    scale = cluster.get(f"{deployment}/scale").body
    assert scale["status"]["selector"] == "app=main"
    generation = cluster.get(deployment).body["metadata"]["generation"]
    changed = cluster.patch(f"{deployment}/scale", {"spec": {"replicas": 1}}).body
    assert changed["spec"] == {"replicas": 1}
    after = cluster.get(deployment).body
    assert after["spec"]["replicas"] == 1
    assert after["metadata"]["generation"] == generation + 1


def test_secrets_fold_string_data(cluster: Cluster) -> None:
    path = cluster.core("secrets")
    cluster.delete(f"{path}/s")
    body = {"metadata": {"name": "s"}, "data": {"a": "MQ=="}, "stringData": {"b": "2"}}
    created = cluster.post(path, body).body
    assert created["data"] == {"a": "MQ==", "b": "Mg=="}
    assert "stringData" not in created
    assert created["type"] == "Opaque"


def test_the_selector_of_a_deployment_is_immutable_and_matches_its_template(
    cluster: Cluster, deployment: str
) -> None:
    answer = cluster.patch(deployment, {"spec": {"selector": {"matchLabels": {"app": "x"}}}})
    assert answer.code == 422
    assert "field is immutable" in answer.message
    wrong = _deployment("wrong")
    wrong["spec"]["selector"]["matchLabels"] = {"app": "other"}
    answer = cluster.post(cluster.apps("deployments"), wrong)
    assert "`selector` does not match template `labels`" in answer.message


def test_events_are_one_store_in_two_groups(cluster: Cluster) -> None:
    cluster.delete(f"{cluster.core('events')}/e")
    body = {
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Widget", "name": "w", "namespace": cluster.namespace},
        "reason": "Tested",
        "message": "it was tested",
        "type": "Normal",
    }
    assert cluster.post(cluster.core("events"), body).code == 201
    path = f"/apis/events.k8s.io/v1/namespaces/{cluster.namespace}/events/e"
    event = cluster.get(path).body
    assert event["note"] == "it was tested"
    assert event["regarding"]["name"] == "w"
    selected = cluster.get(
        cluster.core("events"), fieldSelector="involvedObject.name=w,reason=Tested"
    )
    assert [item["metadata"]["name"] for item in selected.body["items"]] == ["e"]
