"""ScaledObjects of whatever has a scale, as KEDA's may name it."""

from typing import Any

import pytest

from keda_shapes import (
    HTTP_URL,
    SHOP,
    deployment,
    depth,
    from_secret,
    scaled_object,
    secret,
    turned,
)
from scanpool.convert.notes import Effect
from scanpool.models.pool import parse
from scanpool.models.spec import PoolSpec

ROLLOUT = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "packer"}
STATEFUL_SET = {"kind": "StatefulSet", "name": "packer"}
READS_IT = depth("orders", "10", None, protocol="http", hostFromEnv="URL")


def of_kind(ref: dict[str, str]) -> dict[str, Any]:
    """The target, whose container has the URL in its environment."""
    made = deployment({"name": "packer", "env": [{"name": "URL", **from_secret("host")}]})
    return {**made, "apiVersion": ref.get("apiVersion", "apps/v1"), "kind": ref["kind"]}


@pytest.mark.parametrize(
    ("ref", "written", "asked"),
    [
        pytest.param({"name": "packer"}, {"name": "packer"}, False, id="no-kind"),
        pytest.param(
            {"apiVersion": "apps/v1", "kind": "Deployment", "name": "packer"},
            {"name": "packer"},
            False,
            id="deployment",
        ),
        pytest.param(
            STATEFUL_SET, {"apiVersion": "apps/v1", **STATEFUL_SET}, False, id="stateful-set"
        ),
        pytest.param(ROLLOUT, ROLLOUT, True, id="rollout"),
        pytest.param(
            {**ROLLOUT, "envSourceContainerName": "packer"}, ROLLOUT, True, id="with-a-container"
        ),
    ],
)
def test_the_target_is_the_pools_whatever_its_kind(
    ref: dict[str, str], written: dict[str, str], asked: bool
) -> None:
    result = turned(
        scaled_object(depth("orders", "10", protocol="http"), scaleTargetRef=ref),
        secret(host=HTTP_URL),
    )
    assert result.pool is not None, result.refusal
    assert result.pool["spec"]["scaleTargetRef"] == written
    assert isinstance(parse(result.pool["spec"]), PoolSpec)
    told = [note.text for note in result.notes if note.effect is Effect.TO_DO]
    assert bool(told) is asked
    assert all('kind "Rollout" of "argoproj.io/v1alpha1"' in one for one in told)


@pytest.mark.parametrize("ref", [STATEFUL_SET, ROLLOUT], ids=["stateful-set", "rollout"])
def test_a_url_is_found_in_the_environment_of_any_kind(ref: dict[str, str]) -> None:
    result = turned(
        scaled_object(READS_IT, scaleTargetRef=ref), of_kind(ref), secret(host=HTTP_URL)
    )
    assert result.pool is not None, result.refusal
    rabbitmq = result.pool["spec"]["rabbitmq"]
    assert rabbitmq["managementUrlSecretRef"] == {"name": "broker-login", "key": "host"}


def test_another_kind_of_the_same_name_is_not_the_target() -> None:
    result = turned(
        scaled_object(READS_IT, scaleTargetRef=ROLLOUT),
        of_kind(STATEFUL_SET),
        secret(host=HTTP_URL),
    )
    told = " ".join(note.text for note in result.notes if note.effect is Effect.TO_DO)
    assert "environment variable URL of Rollout packer (add it with -f" in told
    assert SHOP in str(result.pool)
