"""A pod template's rules of placement, and a namespace's quotas, as plain values. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from scanpool.kube.quantities import amounts, quantity
from scanpool.models import label_selector
from scanpool.models.placement import (
    Container,
    Expression,
    HostPort,
    LimitRange,
    NodeTerm,
    Placement,
    Quota,
    Spread,
    together,
)

Json = Mapping[str, Any]

# What nodes and pods have of their own; the rest is extended, ephemeral storage among it.
PLAIN = frozenset({"memory", "cpu", "pods"})
NOTHING: Mapping[str, int] = MappingProxyType({})
DO_NOT_SCHEDULE = "DoNotSchedule"
CONTAINER = "Container"
# Written out it is the same as no address at all; it is compared with, and not listened on.
ALL_ADDRESSES = "0.0.0.0"  # noqa: S104
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def placement(namespace: str, template: Json) -> Placement:
    """Return where the pods of a template may run, which are in a namespace."""
    spec, labels = template["spec"], template.get("metadata", {}).get("labels") or {}
    affinity = spec.get("affinity") or {}
    containers = tuple(_containers(spec))
    asked = (affinity.get("nodeAffinity") or {}).get(REQUIRED)
    return Placement(
        terms=None if asked is None else tuple(map(_term, asked.get("nodeSelectorTerms") or ())),
        apart=tuple(
            one["topologyKey"]
            for one in (affinity.get("podAntiAffinity") or {}).get(REQUIRED) or ()
            if _selects(one.get("labelSelector"), labels)
            and _is_of(namespace, one)
            # Pods that have the same value of one of these are nobody's matter.
            and not labels.keys() & set(one.get("mismatchLabelKeys") or ())
        ),
        spreads=tuple(
            _spread(one)
            for one in spec.get("topologySpreadConstraints") or ()
            if one.get("whenUnsatisfiable", DO_NOT_SCHEDULE) == DO_NOT_SCHEDULE
            and _selects(one.get("labelSelector"), labels)
        ),
        containers=containers,
        overhead=amounts(spec.get("overhead")),
        priority_class=spec.get("priorityClassName", ""),
        has_deadline="activeDeadlineSeconds" in spec,
        whole=_whole(spec, containers),
        crosses_namespaces=any(
            term.get("namespaces") or term.get("namespaceSelector") is not None
            for term in _pod_terms(affinity)
        ),
        ports=host_ports(spec),
    )


def host_ports(spec: Json) -> tuple[HostPort, ...]:
    """Return the ports of its node that a pod takes: on the node's network, all that it names."""
    is_on_host = spec.get("hostNetwork", False)
    sidecars = [
        one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"
    ]
    return tuple(
        HostPort(number, port.get("protocol", "TCP"), _address(port.get("hostIP", "")))
        for one in (*(spec.get("containers") or ()), *sidecars)
        for port in one.get("ports") or ()
        if (number := port.get("hostPort") or (port["containerPort"] if is_on_host else 0))
    )


def asked(spec: Json) -> Mapping[str, int]:
    """Return what the scheduler sets aside for a pod."""
    containers = tuple(_containers(spec))
    return together(containers, amounts(spec.get("overhead")), _whole(spec, containers))


def extended(amounts_of_all: Mapping[str, int]) -> Mapping[str, int]:
    """Return what is neither memory nor CPU nor a pod's slot."""
    found = {name: amount for name, amount in amounts_of_all.items() if name not in PLAIN}
    # Most pods have none: they share it.
    return found or NOTHING


def quota(one: Json) -> Quota:
    """Return a ResourceQuota."""
    spec, status = one.get("spec") or {}, one.get("status") or {}
    scopes = [Expression(name, "Exists") for name in spec.get("scopes") or ()]
    for each in (spec.get("scopeSelector") or {}).get("matchExpressions") or ():
        values = tuple(each.get("values") or ())
        scopes.append(Expression(each["scopeName"], each["operator"], values))
    return Quota(
        name=one["metadata"]["name"],
        hard=amounts(status.get("hard") or spec.get("hard")),
        used=amounts(status["used"]) if "used" in status else None,
        scopes=tuple(scopes),
    )


def limit_ranges(one: Json) -> tuple[LimitRange, ...]:
    """Return the parts of a LimitRange, as the API server fills them in."""
    return tuple(
        _limit_range(one["metadata"]["name"], limit)
        for limit in (one.get("spec") or {}).get("limits") or ()
    )


def _limit_range(name: str, limit: Json) -> LimitRange:
    largest, smallest = amounts(limit.get("max")), amounts(limit.get("min"))
    default = amounts(limit.get("default"))
    default_request = amounts(limit.get("defaultRequest"))
    if limit["type"] == CONTAINER:
        default = {**largest, **default}
        default_request = {**smallest, **default, **default_request}
    ratios = limit.get("maxLimitRequestRatio") or {}
    return LimitRange(
        name=name,
        kind=limit["type"],
        default=default,
        default_request=default_request,
        largest=largest,
        smallest=smallest,
        largest_ratio={resource: float(quantity(text)) for resource, text in ratios.items()},
    )


def _containers(spec: Json) -> Iterator[Container]:
    for is_init, field in ((True, "initContainers"), (False, "containers")):
        for one in spec.get(field) or ():
            resources = one.get("resources") or {}
            limits = amounts(resources.get("limits"))
            yield Container(
                # The API server fills in a pod's missing requests from its limits.
                requests={**limits, **amounts(resources.get("requests"))},
                limits=limits,
                is_init=is_init,
                is_sidecar=is_init and one.get("restartPolicy") == "Always",
            )


def _whole(spec: Json, containers: Sequence[Container]) -> Container:
    """Return what a pod says of itself; its limit is its request where no container has one."""
    resources = spec.get("resources") or {}
    limits = amounts(resources.get("limits"))
    of_containers = {name for one in containers for name in one.requests}
    alone = {name: amount for name, amount in limits.items() if name not in of_containers}
    return Container({**alone, **amounts(resources.get("requests"))}, limits)


def _address(ip: str) -> str:
    return "" if ip == ALL_ADDRESSES else ip


def _pod_terms(affinity: Json) -> Iterator[Json]:
    """Return all that is said of other pods, whether it must be or had better be so."""
    for kind in ("podAffinity", "podAntiAffinity"):
        rules = affinity.get(kind) or {}
        yield from rules.get(REQUIRED) or ()
        for preferred in rules.get(PREFERRED) or ():
            yield preferred.get("podAffinityTerm") or {}


def _term(term: Json) -> NodeTerm:
    return NodeTerm(
        tuple(map(_expression, term.get("matchExpressions") or ())),
        tuple(map(_expression, term.get("matchFields") or ())),
    )


def _expression(one: Json) -> Expression:
    return Expression(one["key"], one["operator"], tuple(one.get("values") or ()))


def _spread(one: Json) -> Spread:
    return Spread(
        topology_key=one["topologyKey"],
        max_skew=one["maxSkew"],
        min_domains=one.get("minDomains") or 1,
        honors_affinity=one.get("nodeAffinityPolicy", "Honor") == "Honor",
        honors_taints=one.get("nodeTaintsPolicy", "Ignore") == "Honor",
    )


def _selects(selector: Json | None, labels: Mapping[str, str]) -> bool:
    """Tell whether a label selector holds for a pod; none at all selects nothing."""
    return selector is not None and label_selector.of_object(selector).selects(labels)


def _is_of(namespace: str, term: Json) -> bool:
    """Tell whether a term of anti-affinity looks at pods of a namespace.

    What labels a namespace has is not known: a selector of namespaces is taken to select it.
    """
    named, selector = term.get("namespaces"), term.get("namespaceSelector")
    return namespace in named if named and selector is None else True
