"""Where the parameters of a trigger come from: a Secret, a ConfigMap, the target's environment."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scanpool.convert.documents import Given
from scanpool.convert.keda import CLUSTER_AUTHENTICATION, Authentication, ScaledObject, Trigger
from scanpool.convert.notes import RefusedError, shown
from scanpool.models.fields import SecretKeyRef

NO_IDENTITY = "none"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: the Secret that has it, if one does, and its text, if that was given.

    `origin` says where it is, for a person; the text itself is told to nobody.
    """

    origin: str
    ref: SecretKeyRef | None = None
    text: str | None = field(default=None, repr=False)
    is_elsewhere: bool = False
    """Whether that Secret is in another namespace than the pool's."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """All parameters that come with a trigger's authentication, and how it identifies itself."""

    by_name: Mapping[str, Parameter]
    identity: str = NO_IDENTITY


def secret_key(name: str, key: str) -> SecretKeyRef:
    """Return a key of a Secret, unchecked: the pool as a whole is checked, and says where."""
    return SecretKeyRef.model_construct(name=name, key=key)


def of(trigger: Trigger, where: str, scaled: ScaledObject, given: Given) -> Parameters:
    """Return the parameters of a trigger's authenticationRef.

    Raises:
        RefusedError: if the object that it names was not given.

    """
    ref = trigger.authentication_ref
    if ref is None:
        return Parameters({})
    namespace = scaled.metadata.namespace
    is_cluster = ref.kind == CLUSTER_AUTHENTICATION
    found = (
        given.cluster_authentications.get(ref.name)
        if is_cluster
        else given.authentications.get((namespace, ref.name))
    )
    if found is None:
        raise RefusedError(
            f"{where} gets its parameters from {ref.kind} {shown(ref.name)}, which is in none of "
            "the files: add it with -f"
        )
    identity = str(found.spec.pod_identity.get("provider", NO_IDENTITY))
    by_name = dict(_listed(found, scaled, given, is_cluster=is_cluster))
    for store in found.spec.unknown:
        for one in _entries(found.spec.model_extra or {}, store):
            origin = f"{store} of {ref.kind} {ref.name}"
            by_name.setdefault(str(one.get("parameter")), Parameter(origin))
    return Parameters(by_name, identity)


def from_environment(
    variable: str, container: str | None, scaled: ScaledObject, given: Given
) -> Parameter:
    """Return what an environment variable of the target's container holds."""
    namespace, target = scaled.metadata.namespace, scaled.spec.scale_target_ref
    origin = f"environment variable {variable} of {target.kind} {target.name}"
    workload = given.workloads.get(target.kind, {}).get((namespace, target.name))
    if workload is None:
        return Parameter(f"{origin} (add it with -f, and its Secret is found)")
    spec = _at(workload, "spec", "template", "spec")
    containers = [one for one in spec.get("containers") or () if isinstance(one, Mapping)]
    name = container or scaled.spec.scale_target_ref.env_source_container_name
    chosen = [one for one in containers if name in (None, one.get("name"))][:1]
    for one in chosen:
        found = _variable(one, variable, namespace, given)
        if found is not None:
            return Parameter(origin, *found)
    return Parameter(origin)


def _variable(
    container: Mapping[str, Any], variable: str, namespace: str, given: Given
) -> tuple[SecretKeyRef | None, str | None] | None:
    """Return the Secret behind a variable, if one is, and its text; None if it is not there."""
    for one in container.get("env") or ():
        if one.get("name") != variable:
            continue
        secret = _at(one, "valueFrom", "secretKeyRef")
        if {"name", "key"} <= secret.keys():
            return _in_secret(namespace, secret["name"], secret["key"], given)
        plain = _at(one, "valueFrom", "configMapKeyRef")
        if {"name", "key"} <= plain.keys():
            texts = given.config_maps.get((namespace, plain["name"]), {})
            return None, texts.get(plain["key"])
        return None, None if one.get("value") is None else str(one["value"])
    for one in container.get("envFrom") or ():
        name, key = _at(one, "secretRef").get("name"), variable.removeprefix(one.get("prefix", ""))
        if name is not None and key in given.secrets.get((namespace, name), {}):
            return _in_secret(namespace, name, key, given)
    return None


def _in_secret(
    namespace: str, name: str, key: str, given: Given
) -> tuple[SecretKeyRef, str | None]:
    return secret_key(name, key), given.secrets.get((namespace, name), {}).get(key)


def _listed(
    found: Authentication, scaled: ScaledObject, given: Given, *, is_cluster: bool
) -> Iterator[tuple[str, Parameter]]:
    namespace = scaled.metadata.namespace
    for env in found.spec.env:
        yield env.parameter, from_environment(env.name, env.container_name, scaled, given)
    for one in found.spec.config_map_target_ref:
        text = _text(given.config_maps, one.name, one.key, None if is_cluster else namespace)
        yield one.parameter, Parameter(f"ConfigMap {one.name}, key {one.key}", text=text)
    for one in found.spec.secret_target_ref:
        text = _text(given.secrets, one.name, one.key, None if is_cluster else namespace)
        where = "KEDA's own namespace" if is_cluster else scaled.metadata.place
        yield (
            one.parameter,
            Parameter(
                f"Secret {one.name}, key {one.key}, of {where}",
                secret_key(one.name, one.key),
                text,
                is_elsewhere=is_cluster,
            ),
        )


def _text(
    texts: Mapping[tuple[str, str], Mapping[str, str]], name: str, key: str, namespace: str | None
) -> str | None:
    """Return a key's text; KEDA's own namespace may have any name."""
    for (there, called), held in texts.items():
        if called == name and namespace in (None, there):
            return held.get(key)
    return None


def _entries(extra: Mapping[str, Any], store: str) -> Sequence[Mapping[str, Any]]:
    """Return the parameters of a store that is no Secret of the cluster, such as a vault."""
    body = extra[store]
    listed = body.get("secrets", ()) if isinstance(body, Mapping) else ()
    return [one for one in listed if isinstance(one, Mapping)]


def _at(body: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """Return the mapping at a path; empty where there is none."""
    for name in path:
        inner = body.get(name)
        body = inner if isinstance(inner, Mapping) else {}
    return body
