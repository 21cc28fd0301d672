"""What a person at a terminal does, with kubectl as it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cluster.access import eventually

if TYPE_CHECKING:
    from cluster.access import Cluster, Obj


def _manifest(cluster: Cluster, spec: Obj) -> str:
    return json.dumps(cluster.widget("w", spec))


@pytest.mark.parametrize("side", [[], ["--server-side"]], ids=["client-side", "server-side"])
def test_apply_twice_changes_nothing(cluster: Cluster, side: list[str]) -> None:
    manifest = _manifest(cluster, {"size": 3, "tags": ["a"]})
    cluster.kubectl("apply", *side, "-f", "-", stdin=manifest)
    before = cluster.get(f"{cluster.widgets}/w").version
    said = cluster.kubectl("apply", *side, "-f", "-", stdin=manifest)
    assert said.strip().endswith("serverside-applied" if side else "unchanged")
    assert cluster.get(f"{cluster.widgets}/w").version == before


def test_apply_removes_what_is_no_longer_there(cluster: Cluster) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=_manifest(cluster, {"size": 3, "code": "abc"}))
    said = cluster.kubectl("apply", "-f", "-", stdin=_manifest(cluster, {"size": 4}))
    assert said.strip().endswith("configured")
    spec = cluster.get(f"{cluster.widgets}/w").body["spec"]
    assert spec["size"] == 4
    assert "code" not in spec


def test_apply_shows_why_an_object_is_refused(cluster: Cluster) -> None:
    said = cluster.kubectl(
        "apply", "-f", "-", stdin=_manifest(cluster, {"size": 0, "mode": "Odd"}), check=False
    )
    assert 'The Widget "w" is invalid' in said
    assert "* spec.size: Invalid value: 0" in said
    assert '* spec.mode: Unsupported value: "Odd"' in said


def test_apply_finds_a_misspelled_field(cluster: Cluster, has_rules: bool) -> None:
    if not has_rules:
        pytest.skip("this server is older than fieldValidation")
    manifest = _manifest(cluster, {"size": 3, "sise": 4})
    said = cluster.kubectl("apply", "-f", "-", stdin=manifest, check=False)
    assert 'unknown field "spec.sise"' in said


def test_get_prints_the_columns_of_the_definition(cluster: Cluster) -> None:
    cluster.make_widget("w", {"size": 3})
    conditions = [{"type": "Other", "status": "False"}, {"type": "Ready", "status": "True"}]
    cluster.patch(f"{cluster.widgets}/w/status", {"status": {"conditions": conditions}})
    head, row = (line.split() for line in cluster.kubectl("get", "wdg").splitlines())
    assert head == ["NAME", "SIZE", "READY", "AGE"]
    assert row[:3] == ["w", "3", "True"]
    head, row = (line.split() for line in cluster.kubectl("get", "wdg", "-o", "wide").splitlines())
    assert head == ["NAME", "SIZE", "READY", "MODE", "AGE"]
    assert row[3] == "Fast"


def test_describe_shows_the_object_and_its_events(cluster: Cluster) -> None:
    uid = cluster.make_widget("w", {"size": 3})["metadata"]["uid"]
    event = {
        "metadata": {"generateName": "w-"},
        "involvedObject": {
            "kind": "Widget",
            "name": "w",
            "namespace": cluster.namespace,
            "uid": uid,
        },
        "reason": "Polished",
        "message": "it shines",
        "type": "Normal",
    }
    assert cluster.post(cluster.core("events"), event).code == 201
    said = cluster.kubectl("describe", "widget", "w")
    assert "Size:" in said
    assert "Polished" in said
    assert "it shines" in said


def test_wait_for_a_condition_and_delete(cluster: Cluster) -> None:
    cluster.make_widget("w")
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    cluster.patch(f"{cluster.widgets}/w/status", ready)
    said = cluster.kubectl("wait", "--for=condition=Ready", "wdg/w", "--timeout=10s")
    assert "condition met" in said
    cluster.kubectl("delete", "wdg", "w")
    assert cluster.get(f"{cluster.widgets}/w").code == 404


def test_wait_for_a_value(cluster: Cluster, kubectl_minor: int) -> None:
    if kubectl_minor < 23:
        pytest.skip("this kubectl cannot wait for a value")
    cluster.make_widget("w")
    cluster.kubectl("wait", "--for=jsonpath={.spec.size}=1", "wdg/w", "--timeout=10s")


def test_scale_and_patch(cluster: Cluster) -> None:
    cluster.make_widget("w", {"size": 9, "replicas": 1})
    cluster.kubectl("scale", "wdg/w", "--replicas=4")
    cluster.kubectl("patch", "wdg", "w", "--type=merge", '-p={"spec":{"mode":"Slow"}}')
    cluster.kubectl(
        "patch", "wdg", "w", "--type=json", '-p=[{"op":"add","path":"/spec/code","value":"x"}]'
    )
    spec = cluster.get(f"{cluster.widgets}/w").body["spec"]
    assert (spec["replicas"], spec["mode"], spec["code"]) == (4, "Slow", "x")


def test_explain_tells_what_the_schema_says(
    cluster: Cluster, has_rules: bool, kubectl_minor: int
) -> None:
    if not has_rules or kubectl_minor < 27:
        pytest.skip("this server or this kubectl is older than OpenAPI v3")
    said = cluster.kubectl("explain", "wdg.spec")
    assert "What the widget should be." in said
    assert "How large it is." in said
    assert "mode" in said
    assert "Deployment" in cluster.kubectl("explain", "deployment.spec.replicas")


def test_labels_and_annotations(cluster: Cluster) -> None:
    cluster.make_widget("w")
    cluster.kubectl("label", "wdg", "w", "a=b")
    cluster.kubectl("annotate", "wdg", "w", "example.com/c=d")
    metadata = cluster.get(f"{cluster.widgets}/w").body["metadata"]
    assert metadata["labels"] == {"a": "b"}
    assert metadata["annotations"] == {"example.com/c": "d"}
    assert cluster.kubectl("get", "wdg", "-l", "a=b", "-o", "name").strip().endswith("/w")


def test_typed_creates(cluster: Cluster) -> None:
    names = ("configmap/typed", "secret/typed", "serviceaccount/typed")
    cluster.kubectl("delete", "--ignore-not-found", *names)
    cluster.kubectl("create", "configmap", "typed", "--from-literal=a=b")
    cluster.kubectl("create", "secret", "generic", "typed", "--from-literal=a=b")
    cluster.kubectl("create", "serviceaccount", "typed")
    assert cluster.get(f"{cluster.core('configmaps')}/typed").body["data"] == {"a": "b"}
    assert cluster.get(f"{cluster.core('secrets')}/typed").body["data"] == {"a": "Yg=="}
    cluster.kubectl("delete", *names)


@pytest.mark.controllers
def test_a_deployment_is_rolled_out_scaled_and_rolled_on(cluster: Cluster) -> None:
    container = {"name": "main", "image": "registry.k8s.io/pause:3.9"}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "rolled"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "rolled"}},
            "template": {
                "metadata": {"labels": {"app": "rolled"}},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
            },
        },
    }
    manifest = json.dumps(deployment)
    cluster.kubectl("apply", "-f", "-", stdin=manifest)
    said = cluster.kubectl("apply", "-f", "-", stdin=manifest)
    assert said.strip() == "deployment.apps/rolled unchanged"
    cluster.kubectl("rollout", "status", "deployment/rolled", "--timeout=60s")
    cluster.kubectl("scale", "deployment/rolled", "--replicas=2")
    cluster.kubectl("set", "env", "deployment/rolled", "A=1")
    cluster.kubectl("rollout", "status", "deployment/rolled", "--timeout=60s")
    status = cluster.get(f"{cluster.apps('deployments')}/rolled").body["status"]
    assert (status["readyReplicas"], status["updatedReplicas"]) == (2, 2)
    assert "NewReplicaSet:" in cluster.kubectl("describe", "deployment", "rolled")
    cluster.kubectl("delete", "deployment", "rolled")
    selector = {"labelSelector": "app=rolled"}
    eventually(lambda: not cluster.get(cluster.core("pods"), **selector).body["items"])
