"""A container's environment: values, references to Secrets, ConfigMaps and the pod's own fields."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from scanpool_sandbox.kube.kubelet.addresses import pod_ip
from scanpool_sandbox.kube.objects import Obj, name_of, namespace_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scanpool_sandbox.kube.store import Store

_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")
_FIELD_WITH_KEY = re.compile(r"^metadata\.(labels|annotations)\['(.+)'\]$")


class ConfigError(Exception):
    """The environment cannot be built; the container waits with CreateContainerConfigError."""


def expand(text: str, environment: Mapping[str, str]) -> str:
    """Replace `$(NAME)` by its value, as the kubelet does; `$$` is a dollar sign."""

    def value(match: re.Match[str]) -> str:
        if match.group() == "$$":
            return "$"
        return environment.get(match[1], match.group())

    return _REFERENCE.sub(value, text)


def build_environment(
    store: Store, pod: Obj, container: Obj, base: Mapping[str, str]
) -> dict[str, str]:
    """Build what the container's spec says on top of `base`.

    Raises ConfigError when a Secret, ConfigMap or key that is not optional is missing.
    """
    result = dict(base)
    for source in container.get("envFrom") or []:
        prefix = source.get("prefix", "")
        for key, value in _whole(store, pod, source).items():
            result[prefix + key] = value
    for variable in container.get("env") or []:
        if "valueFrom" not in variable:
            result[variable["name"]] = expand(variable.get("value", ""), result)
            continue
        found = _referenced(store, pod, container, variable["valueFrom"])
        if found is not None:
            result[variable["name"]] = found
    return result


def _data(store: Store, pod: Obj, plural: str, reference: Obj) -> dict[str, str] | None:
    name = reference.get("name", "")
    holder = store.get(("", plural), namespace_of(pod), name)
    if holder is None:
        if reference.get("optional"):
            return None
        raise ConfigError(f'{plural.removesuffix("s")} "{name}" not found')
    data = holder.get("data") or {}
    if plural == "secrets":
        return {key: base64.b64decode(value).decode() for key, value in data.items()}
    return dict(data)


def _whole(store: Store, pod: Obj, source: Obj) -> dict[str, str]:
    for field, plural in (("secretRef", "secrets"), ("configMapRef", "configmaps")):
        if field in source:
            return _data(store, pod, plural, source[field]) or {}
    return {}


def _referenced(store: Store, pod: Obj, container: Obj, source: Obj) -> str | None:
    for field, plural in (("secretKeyRef", "secrets"), ("configMapKeyRef", "configmaps")):
        if field not in source:
            continue
        reference = source[field]
        data = _data(store, pod, plural, reference)
        if data is not None and reference["key"] in data:
            return data[reference["key"]]
        if reference.get("optional"):
            return None
        what = "Secret" if plural == "secrets" else "ConfigMap"
        where = f"{namespace_of(pod)}/{reference.get('name')}"
        raise ConfigError(f"couldn't find key {reference['key']} in {what} {where}")
    if "fieldRef" in source:
        return _pod_field(pod, source["fieldRef"]["fieldPath"])
    if "resourceFieldRef" in source:
        *parts, name = source["resourceFieldRef"]["resource"].split(".")
        resources = container.get("resources") or {}
        return str((resources.get(parts[0]) or {}).get(name, "0")) if parts else None
    return None


def _pod_field(pod: Obj, path: str) -> str:
    if match := _FIELD_WITH_KEY.match(path):
        return str((pod["metadata"].get(match[1]) or {}).get(match[2], ""))
    values = {
        "metadata.name": name_of(pod),
        "metadata.namespace": namespace_of(pod),
        "metadata.uid": pod["metadata"]["uid"],
        "spec.nodeName": pod["spec"].get("nodeName", ""),
        "spec.serviceAccountName": pod["spec"].get("serviceAccountName", ""),
        "status.podIP": pod_ip(pod),
        "status.hostIP": "127.0.0.1",
    }
    if path not in values:
        raise ConfigError(f"unsupported fieldPath: {path}")
    return str(values[path])


def command_line(argv: Sequence[str], container: Obj, environment: Mapping[str, str]) -> list[str]:
    """Append the container's command and args to a program's argv, `$(NAME)` expanded in all."""
    words = [*argv, *(container.get("command") or []), *(container.get("args") or [])]
    return [expand(word, environment) for word in words]
