"""One stored object, several faces: API versions of a CRD, and events in two groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scanpool_sandbox.kube.objects import Obj
    from scanpool_sandbox.kube.resources import Resource

_EVENT_FIELDS = (
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
)
"""(name in v1, name in events.k8s.io/v1)"""


def presented(resource: Resource, obj: Obj) -> Obj:
    """Show a stored object in the resource's version; the object itself is not changed."""
    if obj.get("apiVersion") == resource.group_version:
        return obj
    shown = {**obj, "apiVersion": resource.group_version}
    if resource.group == "events.k8s.io":
        for core, events in _EVENT_FIELDS:
            if core in shown:
                shown[events] = shown.pop(core)
    return shown


def for_storage(resource: Resource, obj: Obj) -> Obj:
    """Turn an object of the resource's version into what is stored."""
    if resource.group != "events.k8s.io":
        return obj
    stored = {**obj, "apiVersion": "v1"}
    for core, events in _EVENT_FIELDS:
        if events in stored:
            stored[core] = stored.pop(events)
    return stored
