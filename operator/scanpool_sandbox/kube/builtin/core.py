"""Defaults and validation of the small kinds: namespaces, nodes, secrets, services, RBAC."""

from __future__ import annotations

import base64
import binascii
import itertools
from typing import TYPE_CHECKING

from scanpool_sandbox.kube.errors import FieldError, invalid_value, required_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanpool_sandbox.kube.objects import Obj

_addresses = itertools.count(1)


def prepare_namespace(namespace: Obj, old: Obj | None) -> None:
    """Start a namespace as Active, with the finalizer its deletion waits for."""
    if old is None:
        namespace["spec"] = {"finalizers": ["kubernetes"]}
        namespace["status"] = {"phase": "Active"}
        labels = namespace["metadata"].setdefault("labels", {})
        labels["kubernetes.io/metadata.name"] = namespace["metadata"].get("name", "")


def prepare_secret(secret: Obj, _old: Obj | None) -> None:
    """Fold stringData into data."""
    secret.setdefault("type", "Opaque")
    plain = secret.pop("stringData", None) or {}
    if plain:
        data = secret.get("data") or {}
        secret["data"] = data | {
            key: base64.b64encode(str(value).encode()).decode() for key, value in plain.items()
        }


def validate_secret(secret: Obj, old: Obj | None) -> Iterator[FieldError]:
    """Check that data is base64 and an immutable secret unchanged."""
    for key, value in (secret.get("data") or {}).items():
        try:
            base64.b64decode(value or "", validate=True)
        except (binascii.Error, TypeError, ValueError):
            yield invalid_value(f"data[{key}]", "<secret>", "illegal base64 data")
    yield from validate_immutable(secret, old)


def validate_immutable(holder: Obj, old: Obj | None) -> Iterator[FieldError]:
    """Refuse changes of a Secret or ConfigMap that is marked immutable."""
    if old is not None and old.get("immutable"):
        for field in ("data", "binaryData", "immutable"):
            if holder.get(field) != old.get(field):
                yield FieldError(
                    "FieldValueForbidden",
                    field,
                    "Forbidden: field is immutable when `immutable` is set",
                )


def prepare_service(service: Obj, old: Obj | None) -> None:
    """Default a Service and allot its address."""
    spec = service.setdefault("spec", {})
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    spec.setdefault("internalTrafficPolicy", "Cluster")
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    for port in spec.get("ports") or []:
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))
    if not spec.get("clusterIP"):
        kept = (old or {}).get("spec", {}).get("clusterIP")
        number = next(_addresses)
        spec["clusterIP"] = kept or f"10.96.{number // 250}.{number % 250 + 1}"
    spec["clusterIPs"] = [spec["clusterIP"]]
    service.setdefault("status", {"loadBalancer": {}})


def validate_service(service: Obj, _old: Obj | None) -> Iterator[FieldError]:
    """Check that a Service has ports and named ones where there are several."""
    ports = service["spec"].get("ports") or []
    if not ports and service["spec"]["clusterIP"] != "None":
        yield required_value("spec.ports")
    for index, port in enumerate(ports):
        if not port.get("port"):
            yield required_value(f"spec.ports[{index}].port")
        if len(ports) > 1 and not port.get("name"):
            yield required_value(f"spec.ports[{index}].name")


def prepare_node(node: Obj, _old: Obj | None) -> None:
    """Make sure a node has a spec and a status."""
    node.setdefault("spec", {})
    node.setdefault("status", {})


def prepare_binding(binding: Obj, _old: Obj | None) -> None:
    """Default the API group of subjects and of the role."""
    binding.get("roleRef", {}).setdefault("apiGroup", "rbac.authorization.k8s.io")
    for subject in binding.get("subjects") or []:
        if subject.get("kind") in ("User", "Group"):
            subject.setdefault("apiGroup", "rbac.authorization.k8s.io")


def validate_binding(binding: Obj, old: Obj | None) -> Iterator[FieldError]:
    """Check the role reference, which cannot change."""
    role = binding.get("roleRef") or {}
    if not role.get("name"):
        yield required_value("roleRef.name")
    if role.get("kind") not in ("Role", "ClusterRole"):
        yield FieldError(
            "FieldValueNotSupported",
            "roleRef.kind",
            f'Unsupported value: "{role.get("kind")}": supported values: "ClusterRole", "Role"',
        )
    if old is not None and old.get("roleRef") != role:
        yield invalid_value("roleRef", role, "cannot change roleRef")


def validate_event(event: Obj, _old: Obj | None) -> Iterator[FieldError]:
    """Check that an event is in the namespace of what it is about."""
    about = (event.get("involvedObject") or {}).get("namespace") or ""
    where = event["metadata"].get("namespace") or ""
    if about != where and not (not about and where == "default"):
        yield invalid_value("involvedObject.namespace", about, "does not match event.namespace")
