"""Who owns which field: metadata.managedFields, kept by every write, used by server-side apply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scanpool_sandbox.kube.errors import apply_conflict
from scanpool_sandbox.kube.objects import rfc3339
from scanpool_sandbox.kube.writing import fieldsets

if TYPE_CHECKING:
    from scanpool_sandbox.kube.objects import Obj
    from scanpool_sandbox.kube.writing.fieldsets import Path
    from scanpool_sandbox.kube.writing.listtypes import Shape


@dataclass(frozen=True)
class Manager:
    """Who writes: the field manager's name, by apply or update, and through which subresource."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""

    def owns(self, entry: Obj) -> bool:
        """Tell whether a managedFields entry is this manager's."""
        return (
            entry.get("manager"),
            entry.get("operation"),
            entry.get("subresource", ""),
        ) == (self.name, self.operation, self.subresource)

    def entry(self, paths: set[Path]) -> Obj:
        """Build the managedFields entry for these fields."""
        entry = {
            "manager": self.name,
            "operation": self.operation,
            "apiVersion": self.api_version,
            "time": rfc3339(),
            "fieldsType": "FieldsV1",
            "fieldsV1": fieldsets.encode(paths),
        }
        if self.subresource:
            entry["subresource"] = self.subresource
        return entry


def _entries(obj: Obj | None) -> list[Obj]:
    return list((obj or {}).get("metadata", {}).get("managedFields") or [])


def _store(obj: Obj, entries: list[Obj]) -> None:
    if entries:
        obj["metadata"]["managedFields"] = entries
    else:
        obj["metadata"].pop("managedFields", None)


def record_update(new: Obj, old: Obj | None, shape: Shape, manager: Manager) -> None:
    """Give the fields this write changed to its manager, and forget those it removed."""
    changed, gone = fieldsets.changes(old, new, shape)
    entries = _entries(new) or _entries(old)
    if not changed and not gone:
        _store(new, entries)
        return
    kept: list[Obj] = []
    mine: set[Path] = set()
    for entry in entries:
        owned = fieldsets.decode(entry.get("fieldsV1") or {})
        if manager.owns(entry):
            mine = (owned - gone) | changed
            continue
        remaining = owned - gone - changed
        if remaining == owned:
            kept.append(entry)
        elif remaining:
            kept.append({**entry, "fieldsV1": fieldsets.encode(remaining)})
    mine = mine or changed
    _store(new, [*kept, manager.entry(mine)] if mine else kept)


def applied_object(
    live: Obj | None, applied: Obj, shape: Shape, manager: Manager, *, force: bool
) -> Obj:
    """Return the live object with `applied` merged in, as server-side apply does.

    Fields this manager applied before and applies no more are removed when nobody else owns
    them. Raises the 409 with one cause per field that someone else owns with another value.
    """
    wanted = fieldsets.leaves(applied, shape)
    if live is None:
        result: Obj = {**applied, "metadata": dict(applied["metadata"])}
        result["metadata"]["managedFields"] = [manager.entry(set(wanted))]
        return result
    current = fieldsets.leaves(live, shape)
    differing = {
        path for path, value in wanted.items() if path in current and current[path] != value
    }
    others: list[tuple[Obj, set[Path]]] = []
    before: set[Path] = set()
    for entry in _entries(live):
        owned = fieldsets.decode(entry.get("fieldsV1") or {})
        if manager.owns(entry):
            before = owned
        else:
            others.append((entry, owned))
    conflicts = [
        (_described(entry), fieldsets.shown(path))
        for entry, owned in others
        for path in sorted(owned & differing)
    ]
    if conflicts and not force:
        raise apply_conflict(conflicts)
    merged = fieldsets.merged(live, applied, shape)
    held_by_others = set().union(*(owned for _, owned in others))
    removed = before - set(wanted) - held_by_others
    removed = {path for path in removed if not _leads_to(path, held_by_others | set(wanted))}
    if removed:
        merged = fieldsets.without(merged, removed, held_by_others | set(wanted))
    entries = []
    for entry, owned in others:
        remaining = owned - differing
        if remaining == owned:
            entries.append(entry)
        elif remaining:
            entries.append({**entry, "fieldsV1": fieldsets.encode(remaining)})
    mine = next((e for e in _entries(live) if manager.owns(e)), None)
    if mine is None or before != set(wanted):
        mine = manager.entry(set(wanted))
    merged["metadata"] = {**merged["metadata"], "managedFields": [*entries, mine]}
    return dict(merged)


def _leads_to(path: Path, paths: set[Path]) -> bool:
    return any(other[: len(path)] == path for other in paths)


def _described(entry: Obj) -> str:
    using = f" using {entry['apiVersion']}" if entry.get("operation") != "Apply" else ""
    through = f' with subresource "{entry["subresource"]}"' if entry.get("subresource") else ""
    return f'"{entry.get("manager")}"{through}{using}'


def without_times(obj: Obj) -> Obj:
    """Copy an object for comparison: managedFields times and resourceVersion do not count."""
    metadata = {k: v for k, v in obj["metadata"].items() if k != "resourceVersion"}
    metadata["managedFields"] = [
        {k: v for k, v in entry.items() if k != "time"} for entry in _entries(obj)
    ]
    return {**obj, "metadata": metadata}
