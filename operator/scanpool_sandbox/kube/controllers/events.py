"""Events that controllers write about objects."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from scanpool_sandbox.kube.objects import Obj, copied, name_of, namespace_of, rfc3339

if TYPE_CHECKING:
    from scanpool_sandbox.kube.api import Api

_SUFFIX_LENGTH = 16


def emit(api: Api, about: Obj, kind: str, reason: str, message: str, component: str) -> None:
    """Write an event (`kind` is Normal or Warning), or count up the one that says the same.

    What it says is in its name, so that it is found again without a search.
    """
    events = api.resource("events")
    namespace = namespace_of(about) or "default"
    now = rfc3339()
    what = "\0".join((about["metadata"]["uid"], reason, message)).encode()
    name = f"{name_of(about)}.{hashlib.sha256(what).hexdigest()[:_SUFFIX_LENGTH]}"
    if event := api.store.get(events.key, namespace, name):
        again = copied(event)
        again.update(count=event["count"] + 1, lastTimestamp=now)
        api.replace(events, event, again)
        return
    home = api.store.get(("", "namespaces"), "", namespace)
    if home is None or home["metadata"].get("deletionTimestamp"):
        return
    api.create(
        events,
        namespace,
        {
            "metadata": {"name": name},
            "involvedObject": {
                "apiVersion": about["apiVersion"],
                "kind": about["kind"],
                "name": name_of(about),
                "namespace": namespace_of(about),
                "uid": about["metadata"]["uid"],
                "resourceVersion": about["metadata"]["resourceVersion"],
            },
            "type": kind,
            "reason": reason,
            "message": message,
            "source": {"component": component},
            "reportingComponent": component,
            "reportingInstance": "",
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "eventTime": None,
        },
    )
