"""What a namespace lets its pods ask for: how many more replicas its quotas take, and refusals."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from scanpool.models.placement import (
    Container,
    LimitRange,
    NamespaceRules,
    Placement,
    Quota,
    together,
)

# A quota that counts pods, under either of its names.
COUNTS = ("pods", "count/pods")
REQUESTS, LIMITS = "requests.", "limits."
POD, CONTAINER = "Pod", "Container"
CLASS = "PriorityClass"
# By these a pod is best effort or not.
COMPUTED = ("cpu", "memory")


class Allowed(NamedTuple):
    """How many more replicas a namespace takes, and why not more. None: as many as there may be."""

    fits: int | None = None
    why: str = ""


def requests(placement: Placement, rules: NamespaceRules) -> Mapping[str, int]:
    """Return what a replica asks for once the LimitRanges have filled in what it leaves out."""
    filled = [_filled(one, rules) for one in placement.containers]
    return together(filled, placement.overhead, placement.whole)


def allowed(placement: Placement, rules: NamespaceRules) -> Allowed:
    """Return how many more replicas the quotas and LimitRanges of a namespace let in."""
    if not (rules.ranges or rules.quotas):
        return Allowed()
    containers = [_filled(one, rules) for one in placement.containers]
    asked, bound = _sums(containers, placement)
    for limit in rules.ranges:
        refusal = _refused(limit, containers, placement)
        if refusal is not None:
            return Allowed(0, refusal)
    found = [
        one
        for quota in rules.quotas
        if _applies(quota, placement, containers)
        for one in _of_quota(quota, (*containers, placement.whole), asked, bound)
    ]
    return min(found, key=lambda one: one.fits or 0, default=Allowed())


def _sums(
    containers: Sequence[Container], placement: Placement
) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """Return what all containers ask for, and what they are bound to."""
    overhead, whole = placement.overhead, placement.whole
    limits = [replace(one, requests=one.limits) for one in containers]
    return (
        together(containers, overhead, whole),
        together(limits, overhead, replace(whole, requests=whole.limits)),
    )


def _of_quota(
    quota: Quota,
    containers: Sequence[Container],
    asked: Mapping[str, int],
    bound: Mapping[str, int],
) -> Iterable[Allowed]:
    if quota.used is None:
        yield Allowed(0, f"ResourceQuota {quota.name} is not counted yet")
        return
    for name, hard in quota.hard.items():
        free = hard - quota.used.get(name, 0)
        if name in COUNTS:
            amount = 1
        elif name.startswith(LIMITS):
            amount = bound.get(name.removeprefix(LIMITS), 0)
        else:
            amount = asked.get(name.removeprefix(REQUESTS), 0)
        if amount:
            fits = max(free // amount, 0)
            yield Allowed(fits, f"ResourceQuota {quota.name} leaves {name} for {fits} more")
        elif _must_be_told(name, containers):
            yield Allowed(0, f"ResourceQuota {quota.name} wants {name} of every container")


def _must_be_told(name: str, containers: Sequence[Container]) -> bool:
    """Tell whether a quota of memory or CPU refuses pods whose containers do not name it.

    The last of them stands for the pod as a whole.
    """
    resource = name.removeprefix(REQUESTS).removeprefix(LIMITS)
    if resource not in ("cpu", "memory"):
        return False
    *kinds, whole = (one.limits if name.startswith(LIMITS) else one.requests for one in containers)
    return resource not in whole and any(resource not in one for one in kinds)


def _applies(quota: Quota, placement: Placement, containers: Iterable[Container]) -> bool:
    """Tell whether a quota counts these pods; one of a scope that is not known does."""
    said = (*containers, placement.whole)
    is_best_effort = not any(
        of.get(name) for one in said for of in (one.requests, one.limits) for name in COMPUTED
    )
    met = {
        "BestEffort": is_best_effort,
        "NotBestEffort": not is_best_effort,
        "Terminating": placement.has_deadline,
        "NotTerminating": not placement.has_deadline,
        "CrossNamespacePodAffinity": placement.crosses_namespaces,
        # Of volumes, not of pods.
        "VolumeAttributesClass": False,
    }
    labels = {CLASS: placement.priority_class} if placement.priority_class else {}
    return all(
        one.holds(labels) if one.key == CLASS else met.get(one.key, True) for one in quota.scopes
    )


def _refused(
    limit: LimitRange, containers: Sequence[Container], placement: Placement
) -> str | None:
    """Return what a LimitRange refuses of a replica; None if nothing."""
    pairs: list[tuple[Mapping[str, int], Mapping[str, int]]] = []
    if limit.kind == POD:
        asked, bound = _sums(containers, placement)
        running = [one for one in containers if one.is_sidecar or not one.is_init]
        whole = placement.whole
        pairs = [
            (
                _summed(asked, [one.requests for one in running], whole.requests),
                _summed(bound, [one.limits for one in running], whole.limits),
            )
        ]
    if limit.kind == CONTAINER:
        pairs = [(one.requests, one.limits) for one in containers]
    refusals = (_refused_of(limit, *pair) for pair in pairs)
    return next((one for one in refusals if one is not None), None)


def _refused_of(
    limit: LimitRange, requested: Mapping[str, int], limited: Mapping[str, int]
) -> str | None:
    """Return what a LimitRange refuses of a container, or of a pod."""
    for name, most in limit.largest.items():
        if limited.get(name, most + 1) > most:
            return f"LimitRange {limit.name} allows less {name} than the {limit.kind} may take"
    for name, least in limit.smallest.items():
        if requested.get(name, 0) < least:
            return f"LimitRange {limit.name} wants more {name} of the {limit.kind}"
    for name, ratio in limit.largest_ratio.items():
        if not (requested.get(name) and limited.get(name)):
            return f"LimitRange {limit.name} wants a limit and a request of {name}"
        if limited[name] > ratio * requested[name]:
            return (
                f"LimitRange {limit.name} allows the {limit.kind} no limit of {name} of more than "
                f"{ratio:g} times its request"
            )
    return None


def _summed(
    sums: Mapping[str, int], each: Sequence[Mapping[str, int]], whole: Mapping[str, int]
) -> Mapping[str, int]:
    """Return the sums without those of which a container says nothing: the API server has none."""
    return {
        name: amount
        for name, amount in sums.items()
        if name in whole or all(name in one for one in each)
    }


def _filled(one: Container, rules: NamespaceRules) -> Container:
    """Return a container with what LimitRanges fill in where it says nothing."""
    for limit in rules.ranges:
        if limit.kind == CONTAINER:
            limits = {**limit.default, **one.limits}
            # A limit of its own is also its request.
            wants = {**limit.default, **limit.default_request, **one.limits, **one.requests}
            one = Container(wants, limits, one.is_init, one.is_sidecar)
    return one
