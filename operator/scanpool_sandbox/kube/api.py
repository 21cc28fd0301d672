"""The API as functions: what HTTP requests and the controllers both call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scanpool_sandbox.kube.errors import (
    ApiError,
    bad_request,
    conflict,
    invalid,
    invalid_value,
    method_not_allowed,
    not_found,
    unsupported_media_type,
)
from scanpool_sandbox.kube.objects import Obj, copied, name_of, namespace_of
from scanpool_sandbox.kube.selectors import field_selector, label_selector
from scanpool_sandbox.kube.versions import presented
from scanpool_sandbox.kube.writing import commit, patching
from scanpool_sandbox.kube.writing.deletion import DeleteOptions, delete
from scanpool_sandbox.kube.writing.managedfields import Manager, applied_object
from scanpool_sandbox.kube.writing.options import WriteOptions
from scanpool_sandbox.kube.writing.scale import read_scale, scale_of, with_scale

if TYPE_CHECKING:
    from scanpool_sandbox.kube.resources import Registry, Resource
    from scanpool_sandbox.kube.store import Store

_BY_SYSTEM = WriteOptions()


class Api:
    """Reads and writes of stored objects, each in the version the caller's resource is of.

    Returned objects belong to the store: copy before changing them.
    """

    def __init__(self, registry: Registry, store: Store) -> None:
        self.registry = registry
        self.store = store

    def resource(self, plural: str, group: str = "") -> Resource:
        """Return a served resource by name; KeyError if there is none."""
        return self.registry.stored((group, plural))

    def find(self, resource: Resource, namespace: str, name: str) -> Obj:
        """Return the stored object; raises 404."""
        obj = self.store.get(resource.key, namespace, name)
        if obj is None:
            raise not_found(resource.plural, resource.group, name)
        return obj

    def get(self, resource: Resource, namespace: str, name: str, subresource: str = "") -> Obj:
        """Read an object, or its scale."""
        obj = presented(resource, self.find(resource, namespace, name))
        return read_scale(resource, obj) if subresource == "scale" else obj

    def list(
        self, resource: Resource, namespace: str = "", labels: str = "", fields: str = ""
    ) -> list[Obj]:
        """Read the objects of a namespace, or of all, that match both selectors."""
        by_label, by_field = label_selector(labels), field_selector(fields, resource.key)
        return [
            presented(resource, obj)
            for obj in self.store.items(resource.key, namespace)
            if by_label(obj) and by_field(obj)
        ]

    def create(
        self, resource: Resource, namespace: str, obj: Obj, options: WriteOptions = _BY_SYSTEM
    ) -> Obj:
        """Create an object."""
        created = commit.create(self.store, resource, namespace, copied(obj), options)
        return presented(resource, created)

    def update(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        obj: Obj,
        options: WriteOptions = _BY_SYSTEM,
        subresource: str = "",
    ) -> Obj:
        """Replace an object, its status or its scale."""
        old = self.find(resource, namespace, name)
        if subresource == "scale":
            obj = with_scale(resource, presented(resource, old), obj)
            stored = commit.replace(self.store, resource, old, obj, options, subresource)
            return scale_of(resource, stored)
        if resource.is_custom and not (obj.get("metadata") or {}).get("resourceVersion"):
            error = invalid_value("metadata.resourceVersion", 0, "must be specified for an update")
            raise invalid(resource.kind, resource.group, name, [error])
        stored = commit.replace(self.store, resource, old, copied(obj), options, subresource)
        return presented(resource, stored)

    def set_status(self, resource: Resource, obj: Obj, status: Obj) -> Obj:
        """Write an object's status on behalf of a controller; no write if it is the same."""
        old = self.store.get(resource.key, namespace_of(obj), name_of(obj))
        if old is None or old.get("status") == status:
            return old or obj
        written = {"metadata": {"name": name_of(old)}, "status": status}
        return commit.replace(self.store, resource, old, written, _BY_SYSTEM, "status")

    def replace(self, resource: Resource, old: Obj, new: Obj) -> Obj:
        """Write a controller's change of a stored object; 409 if it changed meanwhile."""
        current = self.find(resource, namespace_of(old), name_of(old))
        return commit.replace(self.store, resource, current, new, _BY_SYSTEM)

    def bind(self, resource: Resource, pod: Obj, bound: Obj) -> Obj:
        """Commit the scheduler's choice of a node, which no update of a pod may make."""
        current = self.find(resource, namespace_of(pod), name_of(pod))
        if current["spec"].get("nodeName"):
            why = f'pod {name_of(pod)} is already assigned to node "{current["spec"]["nodeName"]}"'
            raise conflict(resource.plural, resource.group, name_of(pod), why)
        return self.store.put(resource.key, bound)

    def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        kind: str,
        patch: Any,
        options: WriteOptions = _BY_SYSTEM,
        subresource: str = "",
    ) -> Obj:
        """Apply a patch of content type `kind` to an object, its status or its scale."""
        if kind == patching.APPLY_PATCH:
            return self._apply(resource, namespace, name, patch, options, subresource)
        old = self.find(resource, namespace, name)
        shown = presented(resource, old)
        before = scale_of(resource, shown) if subresource == "scale" else shown
        after = self._patched(resource, before, kind, patch)
        if subresource == "scale":
            new = with_scale(resource, shown, after)
            stored = commit.replace(self.store, resource, old, new, options, subresource)
            return scale_of(resource, stored)
        stored = commit.replace(self.store, resource, old, after, options, subresource)
        return presented(resource, stored)

    @staticmethod
    def _patched(resource: Resource, before: Obj, kind: str, patch: Any) -> Obj:
        if kind == patching.JSON_PATCH:
            return patching.json_patched(copied(before), patch)
        if not isinstance(patch, dict):
            raise bad_request("the body of a patch must be an object")
        if kind == patching.MERGE_PATCH:
            after = patching.merge_patched(before, patch)
        elif kind == patching.STRATEGIC_PATCH and not resource.is_custom:
            after = patching.strategic_patched(before, patch, commit.shape_of(resource))
        else:
            raise unsupported_media_type(
                "the body of the request was in an unknown format - accepted media types include: "
                "application/json-patch+json, application/merge-patch+json, "
                "application/apply-patch+yaml"
            )
        result: Obj = copied(after)
        return result

    def _apply(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        applied: Obj,
        options: WriteOptions,
        subresource: str,
    ) -> Obj:
        if subresource not in ("", "status"):
            raise method_not_allowed()
        commit.check_type(resource, applied)
        applied = copied(applied)
        metadata = applied["metadata"]
        if metadata.get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        if metadata.setdefault("name", name) != name:
            raise bad_request(
                f"the name of the object ({name_of(applied)}) does not match the name on the URL "
                f"({name})"
            )
        commit.decode(resource, applied, options)
        shape = commit.shape_of(resource)
        manager = Manager(options.field_manager, "Apply", resource.group_version, subresource)
        old = self.store.get(resource.key, namespace, name)
        if old is None:
            if subresource:
                raise not_found(resource.plural, resource.group, name)
            new = applied_object(None, applied, shape, manager, force=options.force)
            created = commit.create(self.store, resource, namespace, new, options)
            return presented(resource, created)
        if subresource != "status" and "status" in resource.subresources:
            applied.pop("status", None)
        live = presented(resource, old)
        new = applied_object(live, applied, shape, manager, force=options.force)
        stored = commit.replace(
            self.store, resource, old, copied(new), options, subresource, is_apply=True
        )
        return presented(resource, stored)

    def delete(
        self, resource: Resource, namespace: str, name: str, options: DeleteOptions | None = None
    ) -> Obj:
        """Delete an object, or mark it for deletion."""
        old = self.find(resource, namespace, name)
        return presented(resource, delete(self.store, resource, old, options or DeleteOptions()))

    def delete_if_there(
        self, resource: Resource, obj: Obj, options: DeleteOptions | None = None
    ) -> None:
        """Delete an object on behalf of a controller; it may be gone already."""
        try:
            self.delete(resource, namespace_of(obj), name_of(obj), options)
        except ApiError as error:
            if error.reason != "NotFound":
                raise
