"""The official Python client, as the product uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from kubernetes import client, config, watch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.access import Cluster


@pytest.fixture
def api(cluster: Cluster) -> Iterator[client.ApiClient]:
    settings = client.Configuration()
    config.load_kube_config(str(cluster.kubeconfig), client_configuration=settings)
    with client.ApiClient(settings) as api:
        yield api


def test_typed_objects_come_back_as_they_went(api: client.ApiClient, cluster: Cluster) -> None:
    core = client.CoreV1Api(api)
    body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="typed"), data={"a": "b"})
    core.create_namespaced_config_map(cluster.namespace, body)
    read = core.read_namespaced_config_map("typed", cluster.namespace)
    assert read.data == {"a": "b"}
    core.delete_namespaced_config_map("typed", cluster.namespace)
    with pytest.raises(client.ApiException) as refused:
        core.read_namespaced_config_map("typed", cluster.namespace)
    assert refused.value.status == 404


@pytest.mark.controllers
def test_nodes_and_their_quantities(api: client.ApiClient) -> None:
    (node, *_) = client.CoreV1Api(api).list_node().items
    assert node.status.allocatable["memory"]
    assert {c.type for c in node.status.conditions} >= {"Ready", "MemoryPressure"}


def test_the_scale_of_a_deployment(api: client.ApiClient, cluster: Cluster) -> None:
    apps = client.AppsV1Api(api)
    labels = {"app": "scaled"}
    container = client.V1Container(name="main", image="registry.k8s.io/pause:3.9")
    apps.create_namespaced_deployment(
        cluster.namespace,
        client.V1Deployment(
            metadata=client.V1ObjectMeta(name="scaled"),
            spec=client.V1DeploymentSpec(
                replicas=0,
                selector=client.V1LabelSelector(match_labels=labels),
                template=client.V1PodTemplateSpec(
                    metadata=client.V1ObjectMeta(labels=labels),
                    spec=client.V1PodSpec(containers=[container]),
                ),
            ),
        ),
    )
    read = apps.read_namespaced_deployment_scale("scaled", cluster.namespace)
    assert (read.spec.replicas or 0) == 0
    patch = {"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 1}}
    with pytest.raises(client.ApiException) as refused:
        apps.patch_namespaced_deployment_scale("scaled", cluster.namespace, patch)
    assert refused.value.status == 409
    apps.delete_namespaced_deployment("scaled", cluster.namespace)


def test_a_watch_of_custom_objects(api: client.ApiClient, cluster: Cluster) -> None:
    custom = client.CustomObjectsApi(api)
    where = (cluster.group, "v1", cluster.namespace, "widgets")
    cluster.make_widget("a")
    watcher = watch.Watch()
    seen = []
    events = watcher.stream(custom.list_namespaced_custom_object, *where, timeout_seconds=20)
    for event in events:
        seen.append((event["type"], event["object"]["metadata"]["name"]))
        if len(seen) == 1:
            cluster.make_widget("b")
        else:
            watcher.stop()
    assert seen == [("ADDED", "a"), ("ADDED", "b")]
