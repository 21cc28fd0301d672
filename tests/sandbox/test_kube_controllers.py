"""What the stand-in's controllers do when the change that matters is one of another object."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.waiting import until
from scanpool_sandbox.kube import KubeEmulator, Node, Simulated
from scanpool_sandbox.kube.controllers.deployments import deployments
from scanpool_sandbox.kube.controllers.events import emit
from scanpool_sandbox.kube.objects import find_condition, parse_time
from scanpool_sandbox.kube.store import Change
from scanpool_sandbox.kube.writing.deletion import DeleteOptions
from scanpool_sandbox.kube.writing.patching import MERGE_PATCH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Obj = dict[str, Any]
HOLD = "example.com/hold"


@pytest.fixture
async def kube() -> AsyncIterator[KubeEmulator]:
    async with KubeEmulator([Node("node-a")], {"*": Simulated()}) as emulator:
        yield emulator


def make_map(kube: KubeEmulator, name: str, **metadata: Any) -> Obj:
    maps = kube.api.resource("configmaps")
    return kube.api.create(maps, "default", {"metadata": {"name": name, **metadata}})


def find_map(kube: KubeEmulator, name: str) -> Obj | None:
    return kube.store.get(("", "configmaps"), "default", name)


def patch_map(kube: KubeEmulator, name: str, **metadata: Any) -> None:
    maps = kube.api.resource("configmaps")
    kube.api.patch(maps, "default", name, MERGE_PATCH, {"metadata": metadata})


def delete_map(kube: KubeEmulator, name: str, policy: str = "Background") -> None:
    maps = kube.api.resource("configmaps")
    kube.api.delete(maps, "default", name, DeleteOptions(propagation_policy=policy))


def reference(owner: Obj, **more: Any) -> Obj:
    metadata = owner["metadata"]
    return {
        "apiVersion": "v1", "kind": "ConfigMap", "name": metadata["name"], "uid": metadata["uid"],
        **more,
    }  # fmt: skip


async def test_what_is_made_for_an_owner_that_is_not_there_goes(kube: KubeEmulator) -> None:
    owner = make_map(kube, "owner")
    delete_map(kube, "owner")
    make_map(kube, "late", ownerReferences=[reference(owner)])
    await until(lambda: find_map(kube, "late") is None)


async def test_what_has_two_owners_goes_with_the_last(kube: KubeEmulator) -> None:
    owners = [make_map(kube, name) for name in ("one", "two")]
    make_map(kube, "both", ownerReferences=list(map(reference, owners)))
    make_map(kube, "first", ownerReferences=[reference(owners[0])])
    delete_map(kube, "one")
    await until(lambda: find_map(kube, "first") is None)
    assert find_map(kube, "both") is not None
    delete_map(kube, "two")
    await until(lambda: find_map(kube, "both") is None)


async def test_what_loses_its_last_reference_that_holds_goes(kube: KubeEmulator) -> None:
    owners = [make_map(kube, name) for name in ("one", "two")]
    make_map(kube, "both", ownerReferences=list(map(reference, owners)))
    delete_map(kube, "one")
    patch_map(kube, "both", ownerReferences=[reference(owners[0])])
    await until(lambda: find_map(kube, "both") is None)


@pytest.mark.parametrize(
    "release",
    [
        pytest.param({"finalizers": None}, id="it goes"),
        pytest.param({"ownerReferences": None}, id="it has the owner no longer"),
        pytest.param({"ownerReferences": [{}]}, id="it blocks no longer"),
    ],
)
async def test_an_owner_waits_for_what_blocks_it(kube: KubeEmulator, release: Obj) -> None:
    owner = make_map(kube, "owner")
    blocking = reference(owner, blockOwnerDeletion=True)
    make_map(kube, "held", finalizers=[HOLD], ownerReferences=[blocking])
    delete_map(kube, "owner", "Foreground")
    await until(lambda: "deletionTimestamp" in (find_map(kube, "held") or {})["metadata"])
    assert find_map(kube, "owner") is not None
    if release.get("ownerReferences"):
        release = {"ownerReferences": [reference(owner)]}
    patch_map(kube, "held", **release)
    await until(lambda: find_map(kube, "owner") is None)


def workload(name: str, **spec: Any) -> Obj:
    labels = {"app": name}
    container = {"name": "main", "image": "any:1"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    return {
        "metadata": {"name": name},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template, **spec},
    }


@pytest.mark.parametrize("plural", ["deployments", "statefulsets"])
async def test_a_pod_is_available_when_it_has_been_ready_for_long_enough(
    kube: KubeEmulator, plural: str
) -> None:
    resource = kube.api.resource(plural, "apps")
    spec = {"serviceName": "w"} if plural == "statefulsets" else {}
    kube.api.create(resource, "default", workload("w", minReadySeconds=3, **spec))

    def count(field: str) -> int:
        status = kube.api.find(resource, "default", "w").get("status") or {}
        return int(status.get(field, 0))

    await until(lambda: count("availableReplicas") == 1)
    (pod,) = kube.api.list(kube.api.resource("pods"), "default")
    ready = find_condition(pod, "Ready") or {}
    assert datetime.now(UTC) - parse_time(ready["lastTransitionTime"]) >= timedelta(seconds=3)


async def test_pods_are_recreated_once_the_last_old_one_has_ended(kube: KubeEmulator) -> None:
    resource, pods = kube.api.resource("deployments", "apps"), kube.api.resource("pods")
    kube.api.create(resource, "default", workload("w", strategy={"type": "Recreate"}))
    old = (await until(lambda: kube.api.list(pods, "default")))[0]
    name = old["metadata"]["name"]
    kube.api.patch(pods, "default", name, MERGE_PATCH, {"metadata": {"finalizers": [HOLD]}})

    changed = workload("w")["spec"]["template"]
    changed["metadata"]["annotations"] = {"changed": "yes"}
    kube.api.patch(resource, "default", "w", MERGE_PATCH, {"spec": {"template": changed}})
    await until(lambda: "deletionTimestamp" in kube.api.find(pods, "default", name)["metadata"])

    def has_none() -> bool:
        return "replicas" not in kube.api.find(resource, "default", "w")["status"]

    await until(has_none)
    assert len(kube.api.list(pods, "default")) == 1

    kube.api.patch(pods, "default", name, MERGE_PATCH, {"metadata": {"finalizers": None}})

    def renewed() -> bool:
        there = kube.api.list(pods, "default")
        return bool(there) and all("annotations" in pod["metadata"] for pod in there)

    await until(renewed)


async def test_what_a_deployment_waits_for_concerns_it(kube: KubeEmulator) -> None:
    kube.api.create(kube.api.resource("deployments", "apps"), "default", workload("w"))
    (pod,) = await until(lambda: kube.api.list(kube.api.resource("pods"), "default"))
    freed = {**pod, "metadata": {**pod["metadata"], "ownerReferences": []}}
    concerned = deployments(kube.api).concerned["", "pods"]
    for kind, after, named in (
        ("DELETED", pod, [("default", "w")]),
        ("MODIFIED", freed, [("default", "w")]),
        ("MODIFIED", pod, []),
    ):
        assert list(concerned(Change(1, kind, ("", "pods"), after, pod))) == named


async def test_an_event_that_says_the_same_is_counted_up(kube: KubeEmulator) -> None:
    about = make_map(kube, "about")
    for message in ("same", "same", "other"):
        emit(kube.api, about, "Normal", "Told", message, "test")
    events = kube.api.list(kube.api.resource("events"), "default")
    assert sorted((e["message"], e["count"]) for e in events) == [("other", 1), ("same", 2)]


async def test_a_namespace_gets_back_what_every_one_has(kube: KubeEmulator) -> None:
    maps = kube.api.resource("configmaps")
    kube.api.create(kube.api.resource("namespaces"), "", {"metadata": {"name": "other"}})
    await until(lambda: kube.api.list(maps, "other"))
    kube.api.delete(maps, "other", "kube-root-ca.crt")
    await until(lambda: kube.api.list(maps, "other"))
