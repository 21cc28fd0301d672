"""From a decoded object to a committed one: the steps every write goes through."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanpool_sandbox.kube.errors import (
    MODIFIED,
    already_exists,
    bad_request,
    conflict,
    forbidden,
    invalid,
    not_found,
)
from scanpool_sandbox.kube.objects import Obj, copied, name_of, namespace_of
from scanpool_sandbox.kube.versions import for_storage
from scanpool_sandbox.kube.writing.listtypes import Shape
from scanpool_sandbox.kube.writing.managedfields import Manager, record_update, without_times
from scanpool_sandbox.kube.writing.metadata import (
    check_decodable,
    fill_on_create,
    keep_on_update,
    validate_metadata,
)
from scanpool_sandbox.kube.writing.strategies import strategy_for, unknown_fields

if TYPE_CHECKING:
    from scanpool_sandbox.kube.resources import Resource
    from scanpool_sandbox.kube.store import Store
    from scanpool_sandbox.kube.writing.options import WriteOptions

_KEEPS_STATUS_ON_CREATE = frozenset({"nodes"})


def shape_of(resource: Resource) -> Shape:
    """Describe how lists and maps of the resource merge."""
    return Shape(resource.schema)


def check_type(resource: Resource, obj: Obj) -> None:
    """Fill in or check apiVersion and kind; raises 400."""
    if not isinstance(obj, dict):
        raise bad_request("the body of the request must be an object")
    found = obj.setdefault("apiVersion", resource.group_version)
    if found != resource.group_version:
        raise bad_request(
            f"the API version in the data ({found}) does not match the expected API version "
            f"({resource.group_version})"
        )
    if obj.setdefault("kind", resource.kind) != resource.kind:
        raise bad_request(
            f"{obj['kind']} in version {resource.version!r} cannot be handled as a {resource.kind}"
        )
    obj.setdefault("metadata", {})
    check_decodable(obj)


def decode(resource: Resource, obj: Obj, options: WriteOptions) -> None:
    """Drop unknown fields in place, or refuse or warn about them, as fieldValidation says."""
    unknown = [f'unknown field "{path}"' for path in unknown_fields(resource, obj)]
    if not unknown:
        return
    if options.field_validation == "Strict":
        raise bad_request(
            f'{resource.kind} in version "{resource.version}" cannot be handled as a '
            f"{resource.kind}: strict decoding error: {', '.join(unknown)}"
        )
    if options.field_validation == "Warn":
        options.warnings.extend(unknown)


def check_namespace(store: Store, resource: Resource, namespace: str, name: str) -> None:
    """Refuse to create in a namespace that is missing or terminating."""
    if not resource.namespaced:
        return
    home = store.get(("", "namespaces"), "", namespace)
    if home is None:
        raise not_found("namespaces", "", namespace)
    if home["metadata"].get("deletionTimestamp"):
        raise forbidden(
            resource.plural,
            resource.group,
            name,
            f"unable to create new content in namespace {namespace} because it is being terminated",
        )


def create(
    store: Store, resource: Resource, namespace: str, obj: Obj, options: WriteOptions
) -> Obj:
    """Commit a new object; `obj` is the caller's to give away."""
    check_type(resource, obj)
    if namespace_of(obj) not in ("", namespace):
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    if obj["metadata"].get("resourceVersion"):
        raise bad_request("resourceVersion should not be set on objects to be created")
    check_namespace(store, resource, namespace, name_of(obj))
    decode(resource, obj, options)
    obj = for_storage(resource, obj)
    strategy = strategy_for(resource)
    if "status" in resource.subresources and resource.plural not in _KEEPS_STATUS_ON_CREATE:
        obj.pop("status", None)
    fill_on_create(obj, namespace)
    if strategy.has_generation:
        obj["metadata"]["generation"] = 1
    strategy.prepare(obj, None)
    _validate(resource, obj, None)
    if store.get(resource.key, namespace_of(obj), name_of(obj)) is not None:
        raise already_exists(resource.plural, resource.group, name_of(obj))
    if not obj["metadata"].get("managedFields"):
        manager = Manager(options.field_manager, "Update", resource.group_version)
        record_update(obj, None, shape_of(resource), manager)
    if options.dry_run:
        return obj
    return store.put(resource.key, obj)


def replace(
    store: Store,
    resource: Resource,
    old: Obj,
    obj: Obj,
    options: WriteOptions,
    subresource: str = "",
    *,
    is_apply: bool = False,
) -> Obj:
    """Commit a new state of a stored object; `obj` is the caller's to give away.

    Nothing is written when nothing changes. An object that is being deleted and has lost its
    last finalizer goes away.
    """
    check_type(resource, obj)
    _check_preconditions(resource, old, obj)
    decode(resource, obj, options)
    obj = for_storage(resource, obj)
    obj = _separated(resource, old, obj, subresource)
    strategy = strategy_for(resource)
    keep_on_update(obj, old)
    strategy.prepare(obj, old)
    _validate(resource, obj, old)
    if strategy.has_generation and _content(resource, obj) != _content(resource, old):
        obj["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
    if not is_apply:
        manager = Manager(options.field_manager, "Update", resource.group_version, subresource)
        record_update(obj, old, shape_of(resource), manager)
    if without_times(obj) == without_times(old):
        return old
    if options.dry_run:
        return obj
    if obj["metadata"].get("deletionTimestamp") and may_vanish(obj):
        store.put(resource.key, obj)
        return store.remove(resource.key, namespace_of(obj), name_of(obj))
    return store.put(resource.key, obj)


def may_vanish(obj: Obj) -> bool:
    """Tell whether nothing holds a deleted object any longer: finalizers or a grace period."""
    if obj["metadata"].get("finalizers"):
        return False
    if obj["metadata"].get("deletionGracePeriodSeconds"):
        return False
    return not (obj["kind"] == "Namespace" and (obj.get("spec") or {}).get("finalizers"))


def _check_preconditions(resource: Resource, old: Obj, obj: Obj) -> None:
    name, stored = name_of(old), old["metadata"]
    if name_of(obj) != name:
        raise bad_request(
            f"the name of the object ({name_of(obj)}) does not match the name on the URL ({name})"
        )
    if namespace_of(obj) not in ("", namespace_of(old)):
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    uid = obj["metadata"].get("uid")
    if uid and uid != stored["uid"]:
        why = (
            f"Precondition failed: UID in precondition: {uid}, UID in object meta: {stored['uid']}"
        )
        raise conflict(resource.plural, resource.group, name, why)
    version = obj["metadata"].get("resourceVersion")
    if version and version != stored["resourceVersion"]:
        raise conflict(resource.plural, resource.group, name, MODIFIED)


def _separated(resource: Resource, old: Obj, obj: Obj, subresource: str) -> Obj:
    """Let a write change only what its endpoint is for."""
    if subresource == "status":
        kept = {k: v for k, v in old.items() if k not in ("status", "metadata")}
        metadata = copied(old["metadata"])
        if obj["metadata"].get("managedFields") is not None:
            metadata["managedFields"] = obj["metadata"]["managedFields"]
        if not resource.is_custom:
            for field in ("labels", "annotations"):
                if field in obj["metadata"]:
                    metadata[field] = obj["metadata"][field]
        result = {**copied(kept), "metadata": metadata}
        if "status" in obj:
            result["status"] = obj["status"]
        return result
    if "status" in resource.subresources:
        obj = {k: v for k, v in obj.items() if k != "status"}
        if "status" in old:
            obj["status"] = copied(old["status"])
    if namespace_of(old):
        obj["metadata"]["namespace"] = namespace_of(old)
    return obj


def _content(resource: Resource, obj: Obj) -> Obj:
    """Return what metadata.generation counts the changes of."""
    ignored = {"apiVersion", "kind", "metadata"}
    if "status" in resource.subresources:
        ignored.add("status")
    return {key: value for key, value in obj.items() if key not in ignored}


def _validate(resource: Resource, obj: Obj, old: Obj | None) -> None:
    errors = [
        *validate_metadata(obj, resource, old),
        *strategy_for(resource).validate(obj, old),
    ]
    if errors:
        raise invalid(resource.kind, resource.group, name_of(obj), errors)
