"""The rules of metadata: names, labels, and what a client may not change."""

from __future__ import annotations

import random
import re
import uuid
from typing import TYPE_CHECKING

from scanpool_sandbox.kube.errors import (
    FieldError,
    bad_request,
    forbidden_value,
    invalid_value,
    required_value,
    shown,
)
from scanpool_sandbox.kube.objects import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanpool_sandbox.kube.objects import Obj
    from scanpool_sandbox.kube.resources import Resource

_LABEL_NAME = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL_NAME}(\.{_LABEL_NAME})*"
_LABEL_VALUE = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
_QUALIFIED_NAME = re.compile(rf"^({_SUBDOMAIN}/)?([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$")
_LABEL_LENGTH = 63
_NAME_LENGTH = 253
_DNS_LABELS = frozenset({"namespaces", "services"})
_PATH_SEGMENTS = frozenset({"rbac.authorization.k8s.io"})
_ALPHANUMERIC_ENDS = (
    "alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character"
)
_KEY_RULE = f"name part must consist of {_ALPHANUMERIC_ENDS}"
_LABEL_RULE = f"be an empty string or consist of {_ALPHANUMERIC_ENDS}"
_RANDOM_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""No vowels and no look-alikes, so that generated names spell nothing."""
_RANDOM_LENGTH = 5
_LEFT_OUT_WHEN_EMPTY = ("labels", "annotations", "finalizers", "ownerReferences", "generateName")
_SYSTEM_FIELDS = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
)


def random_suffix(length: int = _RANDOM_LENGTH) -> str:
    """Generate the end of a generateName."""
    return "".join(random.choices(_RANDOM_ALPHABET, k=length))


def check_decodable(obj: Obj) -> None:
    """Refuse metadata that does not decode at all (400), and drop its empty parts."""
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict):
        raise bad_request("metadata must be an object")
    for field in _LEFT_OUT_WHEN_EMPTY:
        if field in metadata and not metadata[field]:
            del metadata[field]
    for field in ("labels", "annotations"):
        values = metadata.get(field)
        if values is None:
            continue
        wrong = (
            [v for v in values.values() if not isinstance(v, str)]
            if isinstance(values, dict)
            else [values]
        )
        if wrong:
            found = type(wrong[0]).__name__.replace("int", "number").replace("float", "number")
            raise bad_request(
                f"json: cannot unmarshal {found} into Go struct field "
                f"ObjectMeta.metadata.{field} of type string"
            )


def fill_on_create(obj: Obj, namespace: str) -> None:
    """Give a new object its system fields, and its name if it has only generateName."""
    metadata = obj["metadata"]
    for field in (*_SYSTEM_FIELDS, "resourceVersion"):
        metadata.pop(field, None)
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = metadata["generateName"] + random_suffix()
    if namespace:
        metadata["namespace"] = namespace
    else:
        metadata.pop("namespace", None)
    metadata["uid"] = str(uuid.uuid4())
    metadata["creationTimestamp"] = rfc3339()


def keep_on_update(obj: Obj, old: Obj) -> None:
    """Put back the fields a client cannot change."""
    for field in _SYSTEM_FIELDS:
        if field in old["metadata"]:
            obj["metadata"][field] = old["metadata"][field]
        else:
            obj["metadata"].pop(field, None)


def validate_metadata(obj: Obj, resource: Resource, old: Obj | None) -> Iterator[FieldError]:
    """Check names, labels, annotations and finalizers."""
    metadata = obj["metadata"]
    name = metadata.get("name") or ""
    if not name:
        yield required_value("metadata.name", "name or generateName is required")
    elif old is None:
        yield from _validate_name(name, resource)
    for key, value in (metadata.get("labels") or {}).items():
        if not _QUALIFIED_NAME.match(key):
            yield invalid_value("metadata.labels", key, _KEY_RULE)
        if len(value) > _LABEL_LENGTH or not _LABEL_VALUE.match(value):
            yield invalid_value("metadata.labels", value, f"a valid label must {_LABEL_RULE}")
    for key in metadata.get("annotations") or {}:
        if not _QUALIFIED_NAME.match(key.lower()):
            yield invalid_value("metadata.annotations", key, _KEY_RULE)
    if old is not None and old["metadata"].get("deletionTimestamp"):
        before = old["metadata"].get("finalizers") or ()
        added = [f for f in metadata.get("finalizers") or () if f not in before]
        if added:
            yield forbidden_value(
                "metadata.finalizers",
                "no new finalizers can be added if the object is being deleted, found new "
                f"finalizers {shown(added)}",
            )


def _validate_name(name: str, resource: Resource) -> Iterator[FieldError]:
    if resource.group in _PATH_SEGMENTS:
        if name in (".", "..") or set(name) & set("/%"):
            yield invalid_value("metadata.name", name, "may not contain '/' or '%'")
        return
    if resource.plural in _DNS_LABELS and not resource.group:
        pattern, longest, what = _LABEL_NAME, _LABEL_LENGTH, "label"
        allowed = "lower case alphanumeric characters or '-'"
    else:
        pattern, longest, what = _SUBDOMAIN, _NAME_LENGTH, "subdomain"
        allowed = "lower case alphanumeric characters, '-' or '.'"
    if len(name) > longest:
        yield invalid_value("metadata.name", name, f"must be no more than {longest} characters")
    if not re.fullmatch(pattern, name):
        yield invalid_value(
            "metadata.name",
            name,
            f"a lowercase RFC 1123 {what} must consist of {allowed}, and must start and end with "
            f"an alphanumeric character (regex used for validation is '{pattern}')",
        )
