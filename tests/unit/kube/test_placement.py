"""Rules of placement, and quotas, out of the API's objects."""

from typing import Any

import pytest

from scanpool.kube.placement import (
    ALL_ADDRESSES,
    asked,
    extended,
    host_ports,
    limit_ranges,
    placement,
    quota,
)
from scanpool.kube.quantities import amounts
from scanpool.models.placement import (
    Container,
    Expression,
    HostPort,
    LimitRange,
    NodeTerm,
    Placement,
    Quota,
    Spread,
)
from scanpool.models.units import MEBIBYTE

LABELS = {"app": "scan-worker"}
MINE = {"matchLabels": LABELS}
OTHERS = {"matchLabels": {"app": "web"}}
HOST = "kubernetes.io/hostname"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
GPU = "nvidia.com/gpu"


def found(**spec: Any) -> Placement:
    return placement("scan", {"metadata": {"labels": LABELS}, "spec": {"containers": [], **spec}})


def test_a_template_without_rules_has_none() -> None:
    assert found() == Placement()
    assert found(affinity=None, topologySpreadConstraints=None) == Placement()


def test_required_node_affinity_is_read_and_a_preferred_one_is_not() -> None:
    expression = {"key": "zone", "operator": "In", "values": ["a", "b"]}
    field = {"key": "metadata.name", "operator": "NotIn", "values": ["node-a"]}
    terms = [{"matchExpressions": [expression]}, {"matchFields": [field]}]
    asked = {REQUIRED: {"nodeSelectorTerms": terms}, PREFERRED: [{"weight": 1}]}

    assert found(affinity={"nodeAffinity": asked}).terms == (
        NodeTerm((Expression("zone", "In", ("a", "b")),)),
        NodeTerm(names=(Expression("metadata.name", "NotIn", ("node-a",)),)),
    )
    assert found(affinity={"nodeAffinity": {PREFERRED: [{"weight": 1}]}}).terms is None


@pytest.mark.parametrize(
    ("term", "apart"),
    [
        ({"labelSelector": MINE}, (HOST,)),
        ({"labelSelector": {}}, (HOST,)),
        ({"labelSelector": OTHERS}, ()),
        ({}, ()),
        ({"labelSelector": MINE, "namespaces": ["other"]}, ()),
        ({"labelSelector": MINE, "namespaces": ["other", "scan"]}, (HOST,)),
        ({"labelSelector": MINE, "namespaces": ["other"], "namespaceSelector": {}}, (HOST,)),
        # Those of the same value are nobody's matter, and so are replicas.
        ({"labelSelector": {}, "mismatchLabelKeys": ["app"]}, ()),
        ({"labelSelector": MINE, "mismatchLabelKeys": ["tenant"]}, (HOST,)),
        ({"labelSelector": MINE, "matchLabelKeys": ["pod-template-hash"]}, (HOST,)),
        (
            {"labelSelector": {"matchExpressions": [
                {"key": "app", "operator": "In", "values": ["scan-worker"]},
            ]}},
            (HOST,),
        ),
        ({"labelSelector": {"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}}, ()),
    ],
)  # fmt: skip
def test_anti_affinity_counts_where_it_selects_the_replicas_themselves(
    term: dict[str, Any], apart: tuple[str, ...]
) -> None:
    anti = {REQUIRED: [{"topologyKey": HOST, **term}], PREFERRED: [{"weight": 1}]}

    assert found(affinity={"podAntiAffinity": anti}).apart == apart


@pytest.mark.parametrize(
    ("constraint", "spreads"),
    [
        ({}, (Spread(HOST, 2),)),
        ({"whenUnsatisfiable": "ScheduleAnyway"}, ()),
        ({"labelSelector": OTHERS}, ()),
        (
            {"minDomains": 3, "nodeAffinityPolicy": "Ignore", "nodeTaintsPolicy": "Honor"},
            (Spread(HOST, 2, 3, honors_affinity=False, honors_taints=True),),
        ),
    ],
)
def test_spreads_that_the_scheduler_must_keep_to(
    constraint: dict[str, Any], spreads: tuple[Spread, ...]
) -> None:
    usual = {
        "topologyKey": HOST,
        "maxSkew": 2,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": MINE,
    }

    assert found(topologySpreadConstraints=[{**usual, **constraint}]).spreads == spreads


@pytest.mark.parametrize(
    ("kind", "term", "crosses"),
    [
        ("podAntiAffinity", {REQUIRED: [{"topologyKey": HOST, "labelSelector": MINE}]}, False),
        ("podAntiAffinity", {REQUIRED: [{"topologyKey": HOST, "namespaces": ["web"]}]}, True),
        ("podAffinity", {REQUIRED: [{"topologyKey": HOST, "namespaceSelector": {}}]}, True),
        (
            "podAffinity",
            {PREFERRED: [{"weight": 1, "podAffinityTerm": {"namespaces": ["web"]}}]},
            True,
        ),
        ("podAffinity", {PREFERRED: [{"weight": 1, "podAffinityTerm": {}}]}, False),
        ("podAffinity", None, False),
    ],
)
def test_affinity_to_pods_of_other_namespaces(
    kind: str, term: dict[str, Any] | None, crosses: bool
) -> None:
    assert found(affinity={kind: term}).crosses_namespaces == crosses


@pytest.mark.parametrize(
    ("resources", "memory", "cpu"),
    [
        ({"requests": {"memory": "2Gi", "cpu": "1"}}, 2 * 1024 + 10, 1_000),
        # What the pod does not say, its containers do.
        ({"requests": {"cpu": "1"}}, 512 + 10, 1_000),
        ({"limits": {"memory": "2Gi", "cpu": "2"}}, 512 + 10, 2_000),
    ],
)
def test_what_a_pod_asks_for_as_a_whole(resources: dict[str, Any], memory: int, cpu: int) -> None:
    """Pod-level resources, of Kubernetes 1.34 on: by default a pod's limit is its request, too."""
    spec = {
        "resources": resources,
        "containers": [asking(memory="256Mi"), asking(memory="256Mi")],
        "overhead": {"memory": "10Mi"},
    }

    assert asked(spec) == {"memory": memory * MEBIBYTE, "cpu": cpu}
    assert found(**spec).asked == asked(spec)


def asking(restart: str | None = None, **requests: str) -> dict[str, Any]:
    one = {"resources": {"requests": {GPU if k == "gpu" else k: v for k, v in requests.items()}}}
    return {**one, "restartPolicy": restart} if restart else one


def test_extended_resources_count_as_the_scheduler_counts_them() -> None:
    spec = {
        "containers": [asking(gpu="1", memory="1Gi"), asking(gpu="2")],
        "initContainers": [asking("Always", gpu="1"), asking(gpu="4")],
        "overhead": {"cpu": "1", "memory": "1Mi"},
    }
    # The last init container runs beside the sidecar before it.
    assert extended(asked(spec)) == {GPU: 5}
    assert extended(asked({"containers": [{}]})) == {}
    assert extended({"memory": 4096, "cpu": 2_000, "pods": 110, GPU: 2}) == {GPU: 2}


def test_a_limit_alone_is_the_request() -> None:
    one = {"resources": {"limits": {"memory": "1Mi", "cpu": "1"}, "requests": {"cpu": "100m"}}}

    assert found(containers=[one]).containers == (
        Container({"memory": MEBIBYTE, "cpu": 100}, {"memory": MEBIBYTE, "cpu": 1_000}),
    )


def test_amounts_are_bytes_and_millicores() -> None:
    told = {"requests.cpu": "1500m", "limits.memory": "1Ki", "pods": "4", "cpu": "2"}

    assert amounts(told) == {"requests.cpu": 1_500, "limits.memory": 1_024, "pods": 4, "cpu": 2_000}
    assert amounts(None) == {}


def test_quotas_and_limit_ranges() -> None:
    counted = {
        "metadata": {"name": "team"},
        "spec": {
            "hard": {"pods": "9"},
            "scopes": ["NotTerminating"],
            "scopeSelector": {
                "matchExpressions": [
                    {"scopeName": "PriorityClass", "operator": "In", "values": ["low"]}
                ]
            },
        },
        "status": {"hard": {"pods": "4"}, "used": {"pods": "3"}},
    }
    fresh = {"metadata": {"name": "new"}, "spec": {"hard": {"pods": "4"}}}
    limits = [{"type": "Container", "default": {"cpu": "1"}, "max": {"cpu": "2"}}]
    limit = {"metadata": {"name": "usual"}, "spec": {"limits": limits}}

    scopes = (Expression("NotTerminating", "Exists"), Expression("PriorityClass", "In", ("low",)))
    assert (quota(counted), quota(fresh)) == (
        Quota("team", {"pods": 4}, {"pods": 3}, scopes),
        Quota("new", {"pods": 4}, None),
    )
    assert limit_ranges({"metadata": {"name": "none"}, "spec": {}}) == ()
    assert limit_ranges(limit) == (
        LimitRange(
            "usual",
            "Container",
            default={"cpu": 1_000},
            default_request={"cpu": 1_000},
            largest={"cpu": 2_000},
        ),
    )


@pytest.mark.parametrize(
    ("kind", "limit", "default", "default_request"),
    [
        ("Container", {"max": {"cpu": "2"}}, {"cpu": 2_000}, {"cpu": 2_000}),
        ("Container", {"min": {"cpu": "1"}}, {}, {"cpu": 1_000}),
        ("Container", {"min": {"cpu": "1"}, "max": {"cpu": "2"}}, {"cpu": 2_000}, {"cpu": 2_000}),
        (
            "Container",
            {"default": {"cpu": "3"}, "defaultRequest": {"cpu": "1"}},
            {"cpu": 3_000},
            {"cpu": 1_000},
        ),
        ("Pod", {"max": {"cpu": "2"}, "min": {"cpu": "1"}}, {}, {}),
    ],
)
def test_a_limit_range_says_what_the_api_server_makes_of_it(
    kind: str, limit: dict[str, Any], default: dict[str, int], default_request: dict[str, int]
) -> None:
    one = {"metadata": {"name": "x"}, "spec": {"limits": [{"type": kind, **limit}]}}
    (found_range,) = limit_ranges(one)

    assert (found_range.default, found_range.default_request) == (default, default_request)


def test_the_ratio_of_a_limit_range_may_be_a_fraction() -> None:
    limits = [{"type": "Container", "maxLimitRequestRatio": {"cpu": "1.5", "memory": "2"}}]
    (found_range,) = limit_ranges({"metadata": {"name": "x"}, "spec": {"limits": limits}})

    assert found_range.largest_ratio == {"cpu": 1.5, "memory": 2.0}


NAMED = {"containerPort": 80}


@pytest.mark.parametrize(
    ("port", "rest", "taken"),
    [
        (NAMED, {}, ()),
        ({**NAMED, "hostPort": 8080}, {}, (HostPort(8080),)),
        ({**NAMED, "hostPort": 53, "protocol": "UDP"}, {}, (HostPort(53, "UDP"),)),
        ({**NAMED, "hostPort": 8080, "hostIP": "10.0.0.1"}, {}, (HostPort(8080, ip="10.0.0.1"),)),
        ({**NAMED, "hostPort": 8080, "hostIP": ALL_ADDRESSES}, {}, (HostPort(8080),)),
        # The API server fills it in for pods, and leaves templates as they are.
        (NAMED, {"hostNetwork": True}, (HostPort(80),)),
        ({**NAMED, "hostPort": 80}, {"hostNetwork": True}, (HostPort(80),)),
    ],
)
def test_the_ports_of_its_node_that_a_pod_takes(
    port: dict[str, Any], rest: dict[str, Any], taken: tuple[HostPort, ...]
) -> None:
    assert host_ports({"containers": [{"name": "c"}, {"name": "d", "ports": [port]}], **rest}) == (
        taken
    )
    assert found(containers=[{"name": "c", "ports": [port]}], **rest).ports == taken


def test_a_sidecar_keeps_its_port_and_what_runs_before_it_does_not() -> None:
    inits = [
        {"name": "once", "ports": [{**NAMED, "hostPort": 1}]},
        {"name": "mesh", "restartPolicy": "Always", "ports": [{**NAMED, "hostPort": 2}]},
    ]
    assert host_ports({"containers": [{"name": "c"}], "initContainers": inits}) == (HostPort(2),)


@pytest.mark.parametrize(
    ("one", "other", "clashes"),
    [
        (HostPort(80), HostPort(80), True),
        (HostPort(80), HostPort(81), False),
        (HostPort(80), HostPort(80, "UDP"), False),
        (HostPort(80, ip="10.0.0.1"), HostPort(80), True),
        (HostPort(80, ip="10.0.0.1"), HostPort(80, ip="10.0.0.1"), True),
        (HostPort(80, ip="10.0.0.1"), HostPort(80, ip="10.0.0.2"), False),
    ],
)
def test_which_host_ports_clash(one: HostPort, other: HostPort, *, clashes: bool) -> None:
    assert one.clashes(other) is clashes
    assert other.clashes(one) is clashes
