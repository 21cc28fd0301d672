"""Where a replica may run, and what its namespace lets it ask for, as Kubernetes' API has it.

Amounts are in bytes, for CPU in millicores, and else in whole numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

Amounts = Mapping[str, int]
"""By the name of a resource."""


@dataclass(frozen=True, slots=True)
class Expression:
    """One expression of a selector of nodes, or of what a quota counts."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Tell whether labels meet it; one of an operator that is not known is met by none."""
        found = labels.get(self.key)
        match self.operator:
            case "In":
                return found in self.values
            case "NotIn":
                return found not in self.values
            case "Exists":
                return found is not None
            case "DoesNotExist":
                return found is None
            case "Gt" | "Lt":
                return self._compares(found)
        return False

    def _compares(self, found: str | None) -> bool:
        try:
            there, bound = int(found or ""), int(self.values[0])
        except (ValueError, IndexError):
            return False
        return there > bound if self.operator == "Gt" else there < bound


@dataclass(frozen=True, slots=True)
class NodeTerm:
    """One of the terms of a required node affinity: labels and names that a node must have."""

    labels: tuple[Expression, ...] = ()
    names: tuple[Expression, ...] = ()


@dataclass(frozen=True, slots=True)
class Spread:
    """A topology spread of the replicas among themselves that the scheduler must keep to.

    `honors_affinity` and `honors_taints` say whether nodes that a replica may not run on count as
    places where it is missing.
    """

    topology_key: str
    max_skew: int
    min_domains: int = 1
    honors_affinity: bool = True
    honors_taints: bool = False


class HostPort(NamedTuple):
    """A port of its node that a pod takes; without an `ip` it does so at all addresses."""

    number: int
    protocol: str = "TCP"
    ip: str = ""

    def clashes(self, other: "HostPort") -> bool:
        """Tell whether two pods that take these cannot be on one node."""
        if (self.number, self.protocol) != (other.number, other.protocol):
            return False
        return self.ip == other.ip or not (self.ip and other.ip)


@dataclass(frozen=True, slots=True)
class Container:
    """What one container asks for, and is bound to."""

    requests: Mapping[str, int]
    limits: Mapping[str, int]
    is_init: bool = False
    is_sidecar: bool = False


NOTHING = Container({}, {})


def together(
    containers: Sequence[Container], overhead: Mapping[str, int], whole: Container = NOTHING
) -> Mapping[str, int]:
    """Return what the scheduler sets aside for a pod of these containers.

    Containers run together with the sidecars among the init containers. The other init containers
    run one after the other before them, each beside the sidecars that are listed before it. What
    the pod says as a `whole` counts instead of what its containers come to.
    """
    running: Amounts = {}
    sidecars: Amounts = {}
    before: Amounts = {}
    for one in containers:
        if one.is_init and not one.is_sidecar:
            before = larger(before, _sum(sidecars, one.requests))
            continue
        running = _sum(running, one.requests)
        if one.is_sidecar:
            sidecars = _sum(sidecars, one.requests)
    return _sum({**larger(running, before), **whole.requests}, overhead)


def larger(one: Amounts, other: Amounts) -> Amounts:
    """Return the larger amount of each, but for those of which there is none."""
    found = {name: max(one.get(name, 0), other.get(name, 0)) for name in {**one, **other}}
    return {name: amount for name, amount in found.items() if amount > 0}


def _sum(one: Amounts, other: Amounts) -> Amounts:
    return {**one, **{name: one.get(name, 0) + amount for name, amount in other.items()}}


@dataclass(frozen=True, slots=True)
class Placement:
    """What a pod template says of where its replicas may run, beside nodeSelector and tolerations.

    `terms` are of its required node affinity: one has to hold; none at all is no affinity. No two
    replicas run where a label in `apart` has the same value, nor one on a node of which a pod has
    one of its `ports`. `whole` is what it says of the pod and not of its containers. It
    `crosses_namespaces` where its affinity looks at pods of others.
    """

    terms: tuple[NodeTerm, ...] | None = None
    apart: tuple[str, ...] = ()
    spreads: tuple[Spread, ...] = ()
    containers: tuple[Container, ...] = ()
    overhead: Mapping[str, int] = field(default_factory=dict)
    priority_class: str = ""
    has_deadline: bool = False
    whole: Container = NOTHING
    crosses_namespaces: bool = False
    ports: tuple[HostPort, ...] = ()

    @property
    def asked(self) -> Mapping[str, int]:
        """What the scheduler sets aside for a replica."""
        return together(self.containers, self.overhead, self.whole)


@dataclass(frozen=True, slots=True)
class Quota:
    """A ResourceQuota; `scopes` as expressions, where a scope alone says that it exists.

    One that has not been counted yet has no `used`.
    """

    name: str
    hard: Mapping[str, int]
    used: Mapping[str, int] | None
    scopes: tuple[Expression, ...] = ()


@dataclass(frozen=True, slots=True)
class LimitRange:
    """What a LimitRange gives to containers that ask for nothing, and what it refuses.

    `kind` is Container or Pod. `largest_ratio` is of a limit to its request.
    """

    name: str
    kind: str
    default: Mapping[str, int] = field(default_factory=dict)
    default_request: Mapping[str, int] = field(default_factory=dict)
    largest: Mapping[str, int] = field(default_factory=dict)
    smallest: Mapping[str, int] = field(default_factory=dict)
    largest_ratio: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NamespaceRules:
    """What a namespace lets its pods ask for."""

    quotas: tuple[Quota, ...] = ()
    ranges: tuple[LimitRange, ...] = ()
