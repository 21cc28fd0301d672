"""What a namespace lets its pods ask for: how many more replicas its quotas take, and refusals."""

from collections.abc import Iterable, Mapping
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


class Allowed(NamedTuple):
    """How many more replicas a namespace takes, and why not more. None: as many as there may be."""

    fits: int | None = None
    why: str = ""


def requests(placement: Placement, rules: NamespaceRules) -> Mapping[str, int]:
    """Return what a replica asks for once the LimitRanges have filled in what it leaves out."""
    filled = [_filled(one, rules) for one in placement.containers]
    return together(filled, placement.overhead)


def allowed(placement: Placement, rules: NamespaceRules) -> Allowed:
    """Return how many more replicas the quotas and LimitRanges of a namespace let in."""
    containers = [_filled(one, rules) for one in placement.containers]
    asked = together(containers, placement.overhead)
    bound = together([replace(one, requests=one.limits) for one in containers], placement.overhead)
    for limit in rules.ranges:
        refusal = _refused(limit, containers, asked, bound)
        if refusal is not None:
            return Allowed(0, refusal)
    found = [
        one
        for quota in rules.quotas
        if _applies(quota, placement, containers)
        for one in _of_quota(quota, containers, asked, bound)
    ]
    return min(found, key=lambda one: one.fits or 0, default=Allowed())


def _of_quota(
    quota: Quota,
    containers: Iterable[Container],
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


def _must_be_told(name: str, containers: Iterable[Container]) -> bool:
    """Tell whether a quota of memory or CPU refuses pods whose containers do not name it."""
    resource = name.removeprefix(REQUESTS).removeprefix(LIMITS)
    if resource not in ("cpu", "memory"):
        return False
    kinds = (one.limits if name.startswith(LIMITS) else one.requests for one in containers)
    return any(resource not in one for one in kinds)


def _applies(quota: Quota, placement: Placement, containers: Iterable[Container]) -> bool:
    """Tell whether a quota counts these pods; one of a scope that is not known does."""
    is_best_effort = not any(one.requests or one.limits for one in containers)
    met = {
        "BestEffort": is_best_effort,
        "NotBestEffort": not is_best_effort,
        "Terminating": placement.has_deadline,
        "NotTerminating": not placement.has_deadline,
    }
    labels = {CLASS: placement.priority_class} if placement.priority_class else {}
    return all(
        one.holds(labels) if one.key == CLASS else met.get(one.key, True) for one in quota.scopes
    )


def _refused(
    limit: LimitRange,
    containers: Iterable[Container],
    asked: Mapping[str, int],
    bound: Mapping[str, int],
) -> str | None:
    """Return what a LimitRange refuses of a replica; None if nothing."""
    pairs = [(asked, bound)] if limit.kind == POD else []
    if limit.kind == CONTAINER:
        pairs = [(one.requests, one.limits) for one in containers]
    for requested, limited in pairs:
        for name, most in limit.largest.items():
            if limited.get(name, most + 1) > most:
                return f"LimitRange {limit.name} allows less {name} than the {limit.kind} may take"
        for name, least in limit.smallest.items():
            if requested.get(name, 0) < least:
                return f"LimitRange {limit.name} wants more {name} of the {limit.kind}"
    return None


def _filled(one: Container, rules: NamespaceRules) -> Container:
    """Return a container with what LimitRanges fill in where it says nothing."""
    for limit in rules.ranges:
        if limit.kind == CONTAINER:
            limits = {**limit.default, **one.limits}
            # A limit of its own is also its request.
            wants = {**limit.default, **limit.default_request, **one.limits, **one.requests}
            one = Container(wants, limits, one.is_init, one.is_sidecar)
    return one
