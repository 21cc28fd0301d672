"""What means to scale a target, found by the target."""

from typing import Any

import pytest

from scanpool.kube.scalers import Scaled, Scaler, Scalers, hpa, pool, scaled_object
from scanpool.models.rivals import Rival, RivalKind
from scanpool.models.spec import ScaleTargetRef
from scanpool.models.units import epoch, timestamp

AT = "2026-01-28T08:20:00Z"
WORKERS = Scaled.of("scan", ScaleTargetRef(name="scan-worker"))


def an_object(spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    usual = {"name": "workers", "namespace": "scan", "creationTimestamp": AT}
    return {"metadata": {**usual, **metadata}, "spec": spec}


def ref(name: str = "scan-worker", **changes: str) -> dict[str, Any]:
    usual = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    return {"scaleTargetRef": {**usual, **changes}}


def named(found: Scaler | None) -> Scaled:
    assert found is not None
    return found.target


@pytest.mark.parametrize(
    ("spec", "is_named"),
    [
        (ref(), True),
        # As an HPA of an older API may have it, and as the API server takes it.
        (ref(apiVersion="apps/v1beta2"), True),
        (ref("web"), False),
        (ref(kind="StatefulSet"), False),
        (ref(apiVersion="argoproj.io/v1alpha1"), False),
    ],
)
def test_an_hpa_is_a_rival_of_its_target(spec: dict[str, Any], *, is_named: bool) -> None:
    found = hpa(an_object(spec))

    assert (named(found) == WORKERS) is is_named
    assert named(hpa(an_object(spec, namespace="other"))) != WORKERS
    assert found is not None
    expected = Rival(RivalKind.AUTOSCALER, "HorizontalPodAutoscaler scan/workers", epoch(AT))
    assert found.rival == expected


def test_the_hpa_of_a_scaled_object_is_told_as_that() -> None:
    owned = an_object(ref(), ownerReferences=[{"kind": "ScaledObject", "name": "workers"}])
    other = an_object(ref(), ownerReferences=[{"kind": "Application", "name": "shop"}])

    assert hpa(owned) is None
    assert named(hpa(other)) == WORKERS


@pytest.mark.parametrize("read", [scaled_object, pool])
@pytest.mark.parametrize("spec", [ref(), {"scaleTargetRef": {"name": "scan-worker"}}])
def test_a_deployment_is_scaled_unless_another_kind_is_named(
    spec: dict[str, Any], read: Any
) -> None:
    found = read(an_object(spec))

    assert named(found) == WORKERS
    assert found.rival.name in ("ScaledObject scan/workers", "ScanWorkerPool scan/workers")


@pytest.mark.parametrize("spec", [{}, {"scaleTargetRef": None}])
def test_an_object_that_names_no_target_scales_none(spec: dict[str, Any]) -> None:
    assert [read(an_object(spec)) for read in (hpa, scaled_object, pool)] == [None] * 3


@pytest.mark.parametrize(
    ("annotations", "counts"),
    [
        (None, True),
        ({"autoscaling.keda.sh/paused": "true"}, False),
        ({"autoscaling.keda.sh/paused": "false"}, True),
        ({"autoscaling.keda.sh/paused-replicas": "0"}, False),
        ({"autoscaling.keda.sh/paused-scale-in": "true"}, False),
        ({"autoscaling.keda.sh/paused-scale-out": "true"}, True),
    ],
)
def test_a_paused_scaled_object_is_no_rival(
    annotations: dict[str, str] | None, *, counts: bool
) -> None:
    assert bool(scaled_object(an_object(ref(), annotations=annotations))) is counts


def a_pool(name: str, age: float = 0, namespace: str = "scan", **spec: Any) -> dict[str, Any]:
    made = timestamp(epoch(AT) - age)
    return an_object({**ref(), **spec}, name=name, namespace=namespace, creationTimestamp=made)


async def pools(*objects: dict[str, Any]) -> Scalers:
    found = Scalers(pool)
    await found.replace("", objects)
    return found


async def test_the_younger_of_two_pools_has_the_older_as_its_rival() -> None:
    there = await pools(a_pool("old", age=60), a_pool("young"))

    expected = Rival(RivalKind.POOL, "ScanWorkerPool scan/old", epoch(AT) - 60)
    assert there.older(WORKERS, "young") == (expected,)
    assert there.older(WORKERS, "old") == ()


async def test_of_two_pools_of_one_second_the_first_by_name_has_it() -> None:
    there = await pools(a_pool("b"), a_pool("a"))

    assert [bool(there.older(WORKERS, name)) for name in "ab"] == [False, True]


@pytest.mark.parametrize(
    "other",
    [
        a_pool("old", age=60, namespace="other"),
        a_pool("old", age=60, scaleTargetRef={"name": "web"}),
        a_pool("old", age=60, mode="Observe"),
    ],
)
async def test_only_pools_that_act_on_the_same_target_are_rivals(other: dict[str, Any]) -> None:
    there = await pools(other, a_pool("young"))

    assert there.older(WORKERS, "young") == ()


async def test_a_pool_that_only_observes_or_is_not_known_yet_has_no_rivals() -> None:
    there = await pools(a_pool("old", age=60), a_pool("young", mode="Observe"))

    assert there.older(WORKERS, "young") == there.older(WORKERS, "unheard-of") == ()


async def test_a_target_is_free_once_its_pool_is_gone_or_has_another() -> None:
    there = await pools(a_pool("old", age=60), a_pool("older", age=90), a_pool("young"))
    assert len(there.older(WORKERS, "young")) == 2

    await there.drop(a_pool("old", age=60))
    await there.put(a_pool("older", age=90, scaleTargetRef={"name": "web"}))
    assert there.older(WORKERS, "young") == ()
    # One that was never kept, and one that is as before.
    await there.drop(a_pool("old", age=60))
    await there.put(a_pool("young"))
    assert [one.name for one in there.of(WORKERS)] == ["ScanWorkerPool scan/young"]


async def test_a_list_of_one_namespace_leaves_the_others_alone() -> None:
    there = Scalers(hpa)
    others = Scaled.of("other", ScaleTargetRef(name="scan-worker"))
    await there.replace("scan", [an_object(ref()), an_object(ref(), name="second")])
    await there.replace("other", [an_object(ref(), namespace="other")])

    await there.replace("scan", [an_object(ref(), name="second")])

    assert [one.name for one in there.of(WORKERS)] == ["HorizontalPodAutoscaler scan/second"]
    assert len(there.of(others)) == 1
    await there.replace("", [])
    assert there.of(others) == there.of(WORKERS) == ()
