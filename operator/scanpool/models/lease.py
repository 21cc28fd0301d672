"""A Lease of coordination.k8s.io, as an election reads and writes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

NOBODY = ""


@dataclass(frozen=True, slots=True)
class Lease:
    """Who leads, and for how long after having said so last.

    `holder` is NOBODY where it was given back or never taken. The times are as the API has them:
    other machines' clocks, to be shown and compared for equality, never to be reckoned with.
    `version` is the object's; empty where there is no object yet.
    """

    holder: str = NOBODY
    seconds: int = 0
    acquired_at: str | None = None
    renewed_at: str | None = None
    transitions: int = 0
    version: str = ""

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> Self:
        """Take what an election needs of the object; whatever is missing counts as never set."""
        spec = body.get("spec") or {}
        return cls(
            holder=spec.get("holderIdentity") or NOBODY,
            seconds=spec.get("leaseDurationSeconds") or 0,
            acquired_at=spec.get("acquireTime"),
            renewed_at=spec.get("renewTime"),
            transitions=spec.get("leaseTransitions") or 0,
            version=body["metadata"]["resourceVersion"],
        )

    def to_spec(self) -> dict[str, Any]:
        """Return the object's spec."""
        return {
            "holderIdentity": self.holder,
            "leaseDurationSeconds": self.seconds,
            "acquireTime": self.acquired_at,
            "renewTime": self.renewed_at,
            "leaseTransitions": self.transitions,
        }
