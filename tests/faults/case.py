"""What one case of the table is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from faults.gateway import Fault
from faults.world import CEILING, Part, World
from scanpool.models.conditions import Reason

Step = Callable[[World, str], object]
"""Does something to the world for the case of a name."""


@dataclass(frozen=True)
class Case:
    """One fault: what is done, and what has to come of it.

    `replicas` are those that the pool has while the fault lasts, CEILING before; 0 is without a
    Deployment. `tells` is the condition that turns, as `Type=Status`, and `reason` that of its
    Event; empty where nothing has to be told. `is_known`: what is injected tells something, which
    may well lower. `after` are the replicas once the fault is over, `most` those that no known
    ceiling ever allows to pass. It is mended after `lasts_seconds`, or once all is seen.
    """

    name: str
    part: Part
    injects: str
    inject: Step
    mend: Step
    replicas: int
    tells: str = "Ready=False"
    reason: str = ""
    has_event: bool = True
    after: int = CEILING
    spec: Callable[[World, str], dict[str, Any]] | None = None
    prepare: Step | None = None
    is_known: bool = False
    most: int = CEILING
    lasts_seconds: float = 0.0
    note: str = ""


def behind(part: Part, name: str, injects: str, fault: Fault, reason: Reason) -> Case:
    """Return the case of a server of which the gateway makes something else."""
    service = part.value.lower()

    def inject(w: World, at: str) -> None:
        w.inject(at, service, fault)

    def mend(w: World, at: str) -> None:
        w.mend(at, service)

    return Case(f"{service}-{name}", part, injects, inject, mend, 3, reason=str(reason))
