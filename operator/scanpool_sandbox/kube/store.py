"""Objects in memory with one revision counter, and the history that watches resume from."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scanpool_sandbox.kube.errors import expired
from scanpool_sandbox.kube.objects import Obj, name_of, namespace_of, with_own_metadata
from scanpool_sandbox.kube.owners import Owners

if TYPE_CHECKING:
    from collections.abc import Callable

    from scanpool_sandbox.kube.resources import Key

HISTORY_LENGTH = 4096
"""Changes kept per resource; a watch that asks for older ones is told 410."""


@dataclass(frozen=True, slots=True)
class Change:
    """One committed write. `previous` lets a filtered watch see objects enter and leave."""

    revision: int
    type: str
    key: Key
    object: Obj
    previous: Obj | None


class Store:
    """The only place objects live. Stored objects are never changed: writers replace them.

    Every call is synchronous, so that within one event loop each is atomic.
    """

    def __init__(self, history_length: int = HISTORY_LENGTH) -> None:
        self.revision = 1
        self.owners = Owners()
        self._history_length = history_length
        # By namespace and name: controllers ask for one namespace at a time, for each object in it.
        self._objects: dict[Key, dict[str, dict[str, Obj]]] = {}
        self._history: dict[Key, deque[Change]] = {}
        self._oldest: dict[Key, int] = {}
        self._listeners: dict[Key | None, list[Callable[[Change], None]]] = {}

    def open(self, key: Key) -> None:
        """Begin to keep a resource; its history starts now, as a new watch cache's does."""
        self._objects.setdefault(key, {})
        self._oldest.setdefault(key, self.revision)

    def close(self, key: Key) -> None:
        """Forget a resource and its history; what is left of its objects goes."""
        for obj in self.items(key):
            self.remove(key, namespace_of(obj), name_of(obj))
        for kept in (self._objects, self._history, self._oldest):
            kept.pop(key, None)

    def get(self, key: Key, namespace: str, name: str) -> Obj | None:
        """Return the stored object itself: read it, do not change it."""
        return self._objects.get(key, {}).get(namespace, {}).get(name)

    def items(self, key: Key, namespace: str = "") -> list[Obj]:
        """Return the stored objects themselves, in the order of namespace and name."""
        homes = self._objects.get(key, {})
        chosen = [homes.get(namespace, {})] if namespace else [homes[at] for at in sorted(homes)]
        return [objects[name] for objects in chosen for name in sorted(objects)]

    def put(self, key: Key, obj: Obj) -> Obj:
        """Commit an object under a new revision and tell everyone."""
        objects = self._objects.setdefault(key, {}).setdefault(namespace_of(obj), {})
        previous = objects.get(name_of(obj))
        objects[name_of(obj)] = obj
        self._commit("ADDED" if previous is None else "MODIFIED", key, obj, previous)
        return obj

    def remove(self, key: Key, namespace: str, name: str) -> Obj:
        """Take an object out; returned is its last state, under the deletion's revision."""
        previous = self._objects[key][namespace].pop(name)
        last = with_own_metadata(previous)
        self._commit("DELETED", key, last, previous)
        return last

    def _commit(self, kind: str, key: Key, obj: Obj, previous: Obj | None) -> None:
        self.revision += 1
        obj["metadata"]["resourceVersion"] = str(self.revision)
        if previous is not None:
            self.owners.remove(key, previous)
        if kind != "DELETED":
            self.owners.add(key, obj)
        change = Change(self.revision, kind, key, obj, previous)
        history = self._history.setdefault(key, deque())
        history.append(change)
        if len(history) > self._history_length:
            self._oldest[key] = history.popleft().revision
        for listener in [*self._listeners.get(key, ()), *self._listeners.get(None, ())]:
            listener(change)

    def since(self, key: Key, revision: int) -> list[Change]:
        """List the changes after `revision`; 410 Expired when some of them are forgotten."""
        oldest = self._oldest.get(key, 0)
        if revision < oldest:
            raise expired(revision, oldest)
        return [change for change in self._history.get(key, ()) if change.revision > revision]

    def compact(self) -> None:
        """Forget the history, as etcd does every five minutes: older watches get 410."""
        for key in list(self._objects):
            self._oldest[key] = self.revision
            self._history.pop(key, None)

    def listen(self, key: Key | None, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Call `listener` at every change (of one resource, or of all); returns how to stop."""
        listeners = self._listeners.setdefault(key, [])
        listeners.append(listener)
        return lambda: listeners.remove(listener)
