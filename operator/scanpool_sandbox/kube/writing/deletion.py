"""Deleting: preconditions, finalizers, grace periods, and what happens to dependents."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from scanpool_sandbox.kube.errors import bad_request, conflict
from scanpool_sandbox.kube.objects import Obj, name_of, namespace_of, rfc3339, with_own_metadata
from scanpool_sandbox.kube.writing.commit import may_vanish

if TYPE_CHECKING:
    from scanpool_sandbox.kube.resources import Resource
    from scanpool_sandbox.kube.store import Store

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
_POLICY_FINALIZERS = {"Foreground": FOREGROUND, "Orphan": ORPHAN, "Background": None, "": None}


@dataclass(frozen=True)
class DeleteOptions:
    """metav1.DeleteOptions, from the body or the query."""

    grace_period_seconds: int | None = None
    propagation_policy: str = ""
    uid: str = ""
    resource_version: str = ""
    dry_run: bool = False


def delete(store: Store, resource: Resource, old: Obj, options: DeleteOptions) -> Obj:
    """Delete an object, or mark it for deletion; returned is its last or its marked state."""
    _check_preconditions(resource, old, options)
    if options.propagation_policy not in _POLICY_FINALIZERS:
        raise bad_request(f"unknown propagationPolicy {options.propagation_policy!r}")
    obj = with_own_metadata(old)
    _mark(obj, _grace_period_seconds(resource, old, options), options.propagation_policy)
    if obj["kind"] == "Namespace":
        obj["status"] = {**obj.get("status", {}), "phase": "Terminating"}
    if options.dry_run:
        return dict(obj)
    if may_vanish(obj):
        return store.remove(resource.key, namespace_of(obj), name_of(obj))
    if obj == old:
        return old
    return store.put(resource.key, obj)


def _mark(obj: Obj, grace_seconds: int, propagation_policy: str) -> None:
    metadata = obj["metadata"]
    if metadata.get("deletionTimestamp"):
        if grace_seconds < metadata.get("deletionGracePeriodSeconds", 0):
            metadata["deletionGracePeriodSeconds"] = grace_seconds
        return
    finalizers = [f for f in metadata.get("finalizers") or [] if f not in (FOREGROUND, ORPHAN)]
    if finalizer := _POLICY_FINALIZERS[propagation_policy]:
        finalizers.append(finalizer)
    metadata.pop("finalizers", None)
    if finalizers:
        metadata["finalizers"] = finalizers
    deadline = datetime.now(UTC) + timedelta(seconds=grace_seconds)
    metadata["deletionTimestamp"] = rfc3339(deadline)
    metadata["deletionGracePeriodSeconds"] = grace_seconds
    if "generation" in metadata:
        metadata["generation"] += 1


def _check_preconditions(resource: Resource, old: Obj, options: DeleteOptions) -> None:
    metadata = old["metadata"]
    for field, label, wanted in (
        ("uid", "UID", options.uid),
        ("resourceVersion", "ResourceVersion", options.resource_version),
    ):
        if wanted and wanted != metadata[field]:
            why = (
                f"Precondition failed: {label} in precondition: {wanted}, "
                f"{label} in object meta: {metadata[field]}"
            )
            raise conflict(resource.plural, resource.group, name_of(old), why)


def _grace_period_seconds(resource: Resource, old: Obj, options: DeleteOptions) -> int:
    """Only pods that run somewhere get time to stop."""
    if resource.key != ("", "pods") or not old["spec"].get("nodeName"):
        return 0
    if old.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return 0
    if options.grace_period_seconds is not None:
        return options.grace_period_seconds
    return int(old["spec"].get("terminationGracePeriodSeconds", 30))
