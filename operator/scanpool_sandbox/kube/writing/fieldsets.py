"""Sets of fields as server-side apply counts them, and their FieldsV1 encoding.

A field is a tuple of FieldsV1 path elements: `f:name` for a field, `k:{...}` for an item of a
list with keys, `v:...` for an item of a set.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from scanpool_sandbox.kube.objects import copied
from scanpool_sandbox.kube.writing.listtypes import Shape, identity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scanpool_sandbox.kube.objects import Obj

Path = tuple[str, ...]

_UNOWNED: frozenset[Path] = frozenset(
    {
        ("f:apiVersion",),
        ("f:kind",),
        ("f:metadata",),
        *(
            ("f:metadata", f"f:{name}")
            for name in (
                "name",
                "namespace",
                "uid",
                "creationTimestamp",
                "deletionTimestamp",
                "deletionGracePeriodSeconds",
                "resourceVersion",
                "generation",
                "managedFields",
            )
        ),
    }
)


def _key(item: Any, keys: tuple[str, ...]) -> str:
    return "k:" + json.dumps(identity(item, keys), separators=(",", ":"), sort_keys=True)


def _value(item: Any) -> str:
    return "v:" + json.dumps(item, separators=(",", ":"), sort_keys=True)


def leaves(obj: Obj, shape: Shape) -> dict[Path, Any]:
    """Map every field that can have an owner to its value.

    The item of a keyed list is a field of its own, with value None.
    """
    found: dict[Path, Any] = {}
    _collect(obj, shape, (), found)
    return _owned(found)


def _owned(found: dict[Path, Any]) -> dict[Path, Any]:
    return {
        path: value
        for path, value in found.items()
        if path not in _UNOWNED and path[:2] != ("f:metadata", "f:managedFields")
    }


def _collect(value: Any, shape: Shape, path: Path, found: dict[Path, Any]) -> None:
    if isinstance(value, dict) and value and not shape.is_atomic:
        for name, item in value.items():
            _collect(item, shape.field(name), (*path, f"f:{name}"), found)
    elif isinstance(value, list) and value and shape.is_set:
        for item in value:
            found[*path, _value(item)] = item
    elif isinstance(value, list) and value and (keys := shape.keys_of(value)):
        for item in value:
            at = (*path, _key(item, keys))
            found[at] = None
            _collect(item, shape.item(), at, found)
    else:
        found[path] = value


def changes(old: Obj | None, new: Obj, shape: Shape) -> tuple[set[Path], set[Path]]:
    """Return the fields that are new or have another value, and those that are gone."""
    if old is None:
        return set(leaves(new, shape)), set()
    before: dict[Path, Any] = {}
    after: dict[Path, Any] = {}
    _collect_unequal(old, new, shape, (), before, after)
    changed = {path for path in _owned(after) if path not in before or before[path] != after[path]}
    return changed, _owned(before).keys() - after.keys()


def _collect_unequal(
    old: Any, new: Any, shape: Shape, path: Path, before: dict[Path, Any], after: dict[Path, Any]
) -> None:
    """Collect fields of both, but of no part in which they are equal."""
    if old == new:
        return
    if not (isinstance(old, dict) and isinstance(new, dict) and old and new) or shape.is_atomic:
        _collect(old, shape, path, before)
        _collect(new, shape, path, after)
        return
    for name in old.keys() | new.keys():
        at, below = (*path, f"f:{name}"), shape.field(name)
        if name not in new:
            _collect(old[name], below, at, before)
        elif name not in old:
            _collect(new[name], below, at, after)
        else:
            _collect_unequal(old[name], new[name], below, at, before, after)


def encode(paths: Iterable[Path]) -> Obj:
    """Write a set of fields as FieldsV1."""
    tree: Obj = {}
    members = set(paths)
    for path in sorted(members):
        node = tree
        for element in path:
            node = node.setdefault(element, {})
        if path[-1].startswith("k:"):
            node.setdefault(".", {})
    return tree


def decode(tree: Obj) -> set[Path]:
    """Read FieldsV1."""
    found: set[Path] = set()

    def walk(node: Obj, path: Path) -> None:
        if not node or "." in node:
            found.add(path)
        for element, below in node.items():
            if element != ".":
                walk(below, (*path, element))

    walk(tree, ())
    found.discard(())
    return found


def shown(path: Path) -> str:
    """Write a field as conflict messages do: `.spec.containers[name="app"].image`."""
    text = ""
    for element in path:
        kind, rest = element[0], element[2:]
        if kind == "f":
            text += f".{rest}"
        elif kind == "k":
            pairs = json.loads(rest)
            inner = ",".join(f"{name}={json.dumps(value)}" for name, value in pairs.items())
            text += f"[{inner}]"
        else:
            text += f"[={rest}]"
    return text


def merged(live: Any, applied: Any, shape: Shape) -> Any:
    """Merge an applied configuration into the live object; live order is kept."""
    if isinstance(live, dict) and isinstance(applied, dict) and not shape.is_atomic:
        result = dict(live)
        for name, value in applied.items():
            result[name] = merged(live.get(name), value, shape.field(name))
        return result
    if isinstance(live, list) and isinstance(applied, list):
        if shape.is_set:
            return live + [item for item in applied if item not in live]
        if keys := shape.keys_of(applied or live):
            return _merged_items(live, applied, shape, keys)
    return copied(applied)


def _merged_items(
    live: list[Any], applied: list[Any], shape: Shape, keys: tuple[str, ...]
) -> list[Any]:
    by_key = {_key(item, keys): item for item in applied}
    result = [
        merged(item, by_key.pop(_key(item, keys)), shape.item())
        if _key(item, keys) in by_key
        else item
        for item in live
    ]
    return result + [copied(item) for item in by_key.values()]


def without(obj: Any, paths: set[Path], kept: set[Path]) -> Any:
    """Copy the object without `paths`, except what leads to a field in `kept`.

    A map that only held removed fields goes with them.
    """
    return _without(obj, paths, kept, ())


def _without(value: Any, paths: set[Path], kept: set[Path], at: Path) -> Any:
    if isinstance(value, dict):
        result: Obj = {}
        for name, item in value.items():
            below = (*at, f"f:{name}")
            if below in paths:
                continue
            inner = _without(item, paths, kept, below)
            if inner in ({}, []) and item not in ({}, []) and below not in kept:
                continue
            result[name] = inner
        return result
    if isinstance(value, list):
        return [
            _without(item, paths, kept, (*at, element))
            for item, element in _elements(value, paths, at)
            if (*at, element) not in paths
        ]
    return value


def _elements(value: list[Any], paths: set[Path], at: Path) -> list[tuple[Any, str]]:
    """Pair each item with the path element by which `paths` would know it."""
    known = {path[len(at)] for path in paths if len(path) > len(at) and path[: len(at)] == at}
    pairs = []
    for index, item in enumerate(value):
        element = _value(item) if not isinstance(item, dict) else f"i:{index}"
        for candidate in known:
            if candidate.startswith("k:") and isinstance(item, dict):
                keys = json.loads(candidate[2:])
                if identity(item, tuple(keys)) == keys:
                    element = candidate
        pairs.append((item, element))
    return pairs
