"""Targets beside Deployments: a StatefulSet, and a kind of somebody's own."""

from sandbox.kube_client import Obj
from sandbox.scene import Scene

GROUP, KIND, PLURAL = "workers.example.com", "WorkerGroup", "workergroups"
API = f"/apis/{GROUP}/v1"
GRANT = "manifests/samples/targets/workergroups.yaml"
_REPLICAS = {"type": "object", "properties": {"instances": {"type": "integer"}}}
_STATUS = {
    "type": "object",
    "properties": {"instances": {"type": "integer"}, "pods": {"type": "string"}},
}
CRD: Obj = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"{PLURAL}.{GROUP}"},
    "spec": {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {"plural": PLURAL, "kind": KIND},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {"spec": _REPLICAS, "status": _STATUS},
                    }
                },
                # Nothing is where a Deployment has it.
                "subresources": {
                    "status": {},
                    "scale": {
                        "specReplicasPath": ".spec.instances",
                        "statusReplicasPath": ".status.instances",
                        "labelSelectorPath": ".status.pods",
                    },
                },
            }
        ],
    },
}


def pod_template(name: str) -> Obj:
    requests = {"cpu": "10m", "memory": "64Mi"}
    container = {"name": "worker", "image": "worker", "resources": {"requests": requests}}
    return {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}


def create_stateful_set(scene: Scene, name: str, replicas: int = 1) -> str:
    """Make one; return its path."""
    sets = f"/apis/apps/v1/namespaces/{scene.namespace}/statefulsets"
    spec = {
        "replicas": replicas,
        "serviceName": name,
        "selector": {"matchLabels": {"app": name}},
        "template": pod_template(name),
    }
    scene.kube.post(sets, {"metadata": {"name": name}, "spec": spec})
    return f"{sets}/{name}"


def create_worker_group(scene: Scene, name: str, instances: int = 1) -> str:
    """Make one, whose controller is the test: it says which pods are its own."""
    groups = f"{API}/namespaces/{scene.namespace}/{PLURAL}"
    body = {
        "apiVersion": f"{GROUP}/v1",
        "kind": KIND,
        "metadata": {"name": name},
        "spec": {"instances": instances},
    }
    scene.kube.post(groups, body)
    scene.kube.patch(f"{groups}/{name}/status", {"status": {"pods": f"app={name}"}})
    return f"{groups}/{name}"


def create_pod(scene: Scene, group: str, number: int) -> None:
    """Make a pod of a group, as its controller would."""
    name = f"{group}-{number}"
    template = pod_template(group)
    body = {"metadata": {**template["metadata"], "name": name}, "spec": template["spec"]}
    scene.kube.post(f"/api/v1/namespaces/{scene.namespace}/pods", body)
