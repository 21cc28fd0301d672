"""How lists and maps merge: by key, as sets, or as a whole. One answer for every kind of patch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scanpool_sandbox.kube.objects import Obj

_KEYS_BY_FIELD: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "imagePullSecrets": ("name",),
    "secrets": ("name",),
    "conditions": ("type",),
    "addresses": ("type",),
    "ownerReferences": ("uid",),
    "hostAliases": ("ip",),
    "podIPs": ("ip",),
    "resourceClaims": ("name",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}
_SETS = frozenset({"finalizers"})
_ATOMIC_MAPS = frozenset({"selector", "nodeSelector", "labelSelector", "nodeAffinity"})


@dataclass(frozen=True)
class Shape:
    """What is known of one place in an object.

    `keys` identify the items of an associative list; `is_set` marks a list of scalars without
    duplicates; `is_atomic` a map that has one owner as a whole. Any other list is atomic.
    `schema` is a CRD's; without one, the shape follows the names built-in types use.
    """

    schema: Obj | None
    name: str = ""
    keys: tuple[str, ...] = ()
    is_set: bool = False
    is_atomic: bool = False

    def field(self, name: str) -> Shape:
        """Describe a field of the object here."""
        if self.schema is None or (self.name == "" and name == "metadata"):
            return _built_in(name)
        properties = self.schema.get("properties") or {}
        additional = self.schema.get("additionalProperties")
        sub = properties.get(name, additional)
        return _custom(sub if isinstance(sub, dict) else {}, name)

    def item(self) -> Shape:
        """Describe an item of the list here."""
        if self.schema is None:
            return Shape(None, self.name)
        return _custom(self.schema.get("items") or {}, self.name)

    def keys_of(self, items: list[Any]) -> tuple[str, ...]:
        """Return the keys that identify these items, or nothing when the list is atomic.

        `ports` is the one name whose keys depend on where it is: containers' or services'.
        """
        if self.schema is None and self.name == "ports" and items:
            first = items[0]
            is_container = isinstance(first, dict) and "containerPort" in first
            return ("containerPort", "protocol") if is_container else ("port", "protocol")
        return self.keys


@lru_cache(maxsize=4096)
def _built_in(name: str) -> Shape:
    return Shape(None, name, _KEYS_BY_FIELD.get(name, ()), name in _SETS, name in _ATOMIC_MAPS)


def _custom(schema: Obj, name: str) -> Shape:
    list_type = schema.get("x-kubernetes-list-type")
    return Shape(
        schema,
        name,
        tuple(schema.get("x-kubernetes-list-map-keys") or ()) if list_type == "map" else (),
        list_type == "set",
        schema.get("x-kubernetes-map-type") == "atomic",
    )


def identity(item: Any, keys: tuple[str, ...]) -> dict[str, Any]:
    """Return the key fields an item has; a port without protocol is TCP, as everywhere."""
    if not isinstance(item, dict):
        return {}
    defaults = {"protocol": "TCP"}
    return {key: item.get(key, defaults.get(key)) for key in keys}
