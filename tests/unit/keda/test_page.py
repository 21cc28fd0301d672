"""The page on KEDA's external scaler against the code, the Service and the chart."""

import re
from typing import Any

import pytest
import yaml

from documents import ROOT
from helm import rendered
from scanpool.keda.scaler import METRIC, POOL, TARGET
from scanpool.models.spec import Mode, PoolSpec

PAGE = (ROOT / "docs" / "keda-scaler.md").read_text()
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
THE_POOL, SCALED_OBJECT, VALUES = map(yaml.safe_load, BLOCKS)


def test_the_pool_is_valid_and_leaves_the_deployment_to_keda() -> None:
    spec = PoolSpec.model_validate(THE_POOL["spec"])
    assert spec.mode is Mode.OBSERVE
    wanted = SCALED_OBJECT["spec"]
    assert wanted["scaleTargetRef"]["name"] == spec.scale_target_ref.name
    bounds = (wanted["minReplicaCount"], wanted["maxReplicaCount"])
    assert bounds == (spec.min_replicas, spec.max_replicas)


def test_the_scaled_object_asks_the_service_for_that_pool() -> None:
    (asked,) = (one for one in SCALED_OBJECT["spec"]["triggers"] if one["type"] == "external")
    service = yaml.safe_load((ROOT / "manifests/overlays/keda/service.yaml").read_text())
    metadata, (port,) = service["metadata"], service["spec"]["ports"]
    address = f"{metadata['name']}.{metadata['namespace']}.svc:{port['port']}"
    assert asked["metadata"] == {"scalerAddress": address, POOL: THE_POOL["metadata"]["name"]}
    assert SCALED_OBJECT["metadata"]["namespace"] == THE_POOL["metadata"]["namespace"]


def test_the_formula_caps_the_queue_in_replicas() -> None:
    modifiers = SCALED_OBJECT["spec"]["advanced"]["scalingModifiers"]
    (queue,) = THE_POOL["spec"]["rabbitmq"]["queues"]
    names = {one["name"] for one in SCALED_OBJECT["spec"]["triggers"]}
    assert set(re.findall(r"[a-z]+", modifiers["formula"])) == {"min", *names}
    assert modifiers["formula"] == f"min(queue / {queue['messagesPerReplica']}, {METRIC})"
    assert modifiers == {"formula": modifiers["formula"], "target": str(TARGET)}


def test_the_values_make_objects() -> None:
    made: dict[str, Any] = {one["kind"]: one for one in rendered(VALUES)}
    assert len(made["NetworkPolicy"]["spec"]["ingress"]) == 2


@pytest.mark.parametrize(
    "code", ["UNAVAILABLE", "FAILED_PRECONDITION", "PERMISSION_DENIED", "NOT_FOUND"]
)
def test_every_refusal_is_explained(code: str) -> None:
    scaler = (ROOT / "operator/scanpool/keda/scaler.py").read_text()
    assert f"grpc.StatusCode.{code}" in scaler
    assert f"`{code}`" in PAGE
