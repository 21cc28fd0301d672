"""What is null is not there, as for the API server; half a reference names nothing."""

from typing import Any

import pytest

from keda_shapes import Json, authentication, deployment, depth, scaled_object, turned

PLAIN = depth("orders", "10", protocol="http")


def with_metadata(**parts: Any) -> Json:
    body = scaled_object(PLAIN)
    return {**body, "metadata": {**body["metadata"], **parts}}


@pytest.mark.parametrize(
    "objects",
    [
        pytest.param([with_metadata(annotations=None)], id="annotations"),
        pytest.param([with_metadata(labels=None)], id="labels"),
        pytest.param([scaled_object(PLAIN, maxReplicaCount=None)], id="a-number"),
        pytest.param([scaled_object(PLAIN, fallback=None)], id="a-part"),
        pytest.param(
            [
                scaled_object(
                    PLAIN,
                    advanced={"horizontalPodAutoscalerConfig": {"behavior": {"scaleDown": None}}},
                )
            ],
            id="a-direction",
        ),
    ],
)
def test_a_field_that_is_null_is_not_there(objects: list[Json]) -> None:
    assert turned(*objects).pool == turned(scaled_object(PLAIN)).pool


def test_an_authentication_may_have_nulls() -> None:
    usual = authentication("host")
    with_nulls = {**usual, "spec": {**usual["spec"], "podIdentity": None, "env": None}}

    assert turned(scaled_object(PLAIN), with_nulls).pool == turned(scaled_object(PLAIN)).pool


@pytest.mark.parametrize("kind", ["secretKeyRef", "configMapKeyRef"])
def test_a_variable_from_half_a_reference_is_not_known(kind: str) -> None:
    worker = deployment(
        {"name": "worker", "env": [{"name": "RMQ", "valueFrom": {kind: {"name": "s"}}}]}
    )
    reads_it = depth("orders", "10", None, protocol="http", hostFromEnv="RMQ")

    assert turned(scaled_object(reads_it), worker).refusal is not None
