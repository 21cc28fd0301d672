"""Who writes a target's replicas, by managedFields."""

from typing import Any

import pytest

from scanpool.kube.managers import writers
from scanpool.models.rivals import Writer
from scanpool.models.units import epoch

AT = "2026-01-28T08:20:00Z"
REPLICAS = {"f:spec": {"f:replicas": {}}}


def entry(manager: str, fields: dict[str, Any] | None, subresource: str = "") -> dict[str, Any]:
    found = {"manager": manager, "operation": "Update", "time": AT, "fieldsV1": fields}
    return {**found, "subresource": subresource} if subresource else found


def owners(*entries: dict[str, Any]) -> tuple[Writer, ...]:
    return writers({"metadata": {"managedFields": list(entries)}})


@pytest.mark.parametrize(
    ("fields", "subresource", "owns"),
    [
        (REPLICAS, "", True),
        (REPLICAS, "scale", True),
        # A kind that keeps its replicas elsewhere.
        ({"f:spec": {"f:size": {}}}, "scale", True),
        ({"f:spec": {"f:size": {}}}, "", False),
        ({"f:status": {"f:replicas": {}}}, "status", False),
        ({"f:spec": {}}, "", False),
        ({"f:spec": None}, "", False),
        ({}, "", False),
        (None, "", False),
    ],
)
def test_owners_of_the_replicas(
    fields: dict[str, Any] | None, subresource: str, *, owns: bool
) -> None:
    found = owners(entry("kubectl", fields, subresource))

    assert found == ((Writer("kubectl", subresource, epoch(AT)),) if owns else ())


def test_an_object_that_nobody_is_known_to_write_has_no_writers() -> None:
    assert writers({"metadata": {}}) == ()
    assert writers({"metadata": {"managedFields": None}}) == ()
    timeless = {"manager": "kubectl", "fieldsV1": REPLICAS}
    assert owners(timeless) == ()
