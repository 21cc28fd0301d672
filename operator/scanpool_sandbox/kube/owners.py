"""Who owns what: by an owner's uid, the objects that name it, kept up to date by the store."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from scanpool_sandbox.kube.objects import Obj, name_of, namespace_of

if TYPE_CHECKING:
    from scanpool_sandbox.kube.resources import Key


class Where(NamedTuple):
    """Where an object is stored."""

    key: Key
    namespace: str
    name: str


def where(key: Key, obj: Obj) -> Where:
    """Return where the object is stored."""
    return Where(key, namespace_of(obj), name_of(obj))


def owners_of(obj: Obj) -> list[str]:
    """Return the uids of the object's owners."""
    return [reference["uid"] for reference in obj["metadata"].get("ownerReferences") or ()]


class Owners:
    """Finds an owner, and its dependents, without a look at all objects."""

    def __init__(self) -> None:
        self._there: dict[str, Where] = {}
        self._dependents: defaultdict[str, dict[Where, Obj]] = defaultdict(dict)

    def find(self, uid: str) -> Where | None:
        """Return where the object with that uid is, if there is one."""
        return self._there.get(uid)

    def dependents(self, uid: str) -> list[tuple[Where, Obj]]:
        """List the objects that name the owner, in the order of where they are stored."""
        return sorted(self._dependents.get(uid, {}).items(), key=lambda pair: pair[0])

    def add(self, key: Key, obj: Obj) -> None:
        """Note an object that is stored from now on."""
        at = where(key, obj)
        self._there[obj["metadata"]["uid"]] = at
        for uid in owners_of(obj):
            self._dependents[uid][at] = obj

    def remove(self, key: Key, obj: Obj) -> None:
        """Forget a state of an object."""
        at = where(key, obj)
        self._there.pop(obj["metadata"]["uid"], None)
        for uid in owners_of(obj):
            named = self._dependents.get(uid, {})
            named.pop(at, None)
            if not named:
                self._dependents.pop(uid, None)
