"""The record of requests: tests count writes in it and compare used verbs with granted ones."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanpool_sandbox.kube.objects import Obj

MAX_ENTRIES = 50_000
"""An hour of ten requests a second, with room; about 15 MB."""
_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One request that was answered; `time` is seconds since the epoch, of the answer."""

    time: float
    user: str
    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    path: str
    code: int
    request_bytes: int

    @property
    def is_write(self) -> bool:
        """Whether the verb can change something."""
        return self.verb in _WRITES


class Audit:
    """The latest requests, oldest first."""

    def __init__(self) -> None:
        self._entries: deque[AuditEntry] = deque(maxlen=MAX_ENTRIES)

    def __iter__(self) -> Iterator[AuditEntry]:
        return iter(tuple(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def record(self, entry: AuditEntry) -> None:
        """Add a request."""
        self._entries.append(entry)

    def clear(self) -> None:
        """Start anew."""
        self._entries.clear()

    def writes(self, user: str | None = None) -> list[AuditEntry]:
        """Return the requests that could change something, of one user or of all."""
        return [e for e in self if e.is_write and user in (None, e.user)]

    def as_json(self) -> list[Obj]:
        """Return all entries for GET /sandbox/audit."""
        return [asdict(entry) for entry in self]
