"""What workers hold of a broker's messages, and the pods that they run in."""

from dataclasses import dataclass

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
"""A ReplicaSet that has to give up pods takes those of the lowest cost, of those that are ready
(kubernetes.io/docs/reference/labels-annotations-taints)."""
CHOSEN = -100
"""The cost of a pod that is to go. Pods without a cost have 0; whoever sets costs by hand goes on
from there."""


@dataclass(frozen=True, slots=True)
class Consuming:
    """A channel with consumers on a virtual host: who it is of, and how many messages it holds.

    `peer` is the address that its connection comes from.
    """

    peer: str
    tags: tuple[str, ...]
    unacked: int


@dataclass(frozen=True, slots=True)
class Worker:
    """A pod that may go. `cost` is its deletion cost, where it has one."""

    name: str
    address: str | None
    ready: bool
    cost: str | None = None
