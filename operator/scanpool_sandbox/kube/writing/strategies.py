"""What happens to an object of a given resource on its way in: decode, default, validate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scanpool_sandbox.kube.builtin import core, definitions, pods, workloads
from scanpool_sandbox.kube.builtin.types import type_schema
from scanpool_sandbox.kube.errors import FieldError
from scanpool_sandbox.kube.schema.defaulting import apply_defaults
from scanpool_sandbox.kube.schema.pruning import prune
from scanpool_sandbox.kube.schema.rules import evaluate_rules
from scanpool_sandbox.kube.schema.validation import BLOCKING_REASONS, validate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from scanpool_sandbox.kube.objects import Obj
    from scanpool_sandbox.kube.resources import Key, Resource


def _nothing(_obj: Obj, _old: Obj | None) -> None:
    """Leave an object of a kind without defaults as it is."""


def _accept(_obj: Obj, _old: Obj | None) -> Iterable[FieldError]:
    return ()


@dataclass(frozen=True)
class Strategy:
    """Per-kind behavior.

    `prepare` fills in defaults in place, `validate` returns what is wrong; both get the stored
    object on update and None on create.
    """

    prepare: Callable[[Obj, Obj | None], None] = _nothing
    validate: Callable[[Obj, Obj | None], Iterable[FieldError]] = _accept
    has_generation: bool = False


_BINDING = Strategy(core.prepare_binding, core.validate_binding)
_BUILT_IN: dict[Key, Strategy] = {
    ("", "namespaces"): Strategy(core.prepare_namespace),
    ("", "nodes"): Strategy(core.prepare_node),
    ("", "pods"): Strategy(pods.prepare_pod, pods.validate_pod),
    ("", "secrets"): Strategy(core.prepare_secret, core.validate_secret),
    ("", "configmaps"): Strategy(validate=core.validate_immutable),
    ("", "services"): Strategy(core.prepare_service, core.validate_service),
    ("", "events"): Strategy(validate=core.validate_event),
    ("apps", "deployments"): Strategy(
        workloads.prepare_deployment, workloads.validate_workload, has_generation=True
    ),
    ("apps", "replicasets"): Strategy(
        workloads.prepare_replica_set, workloads.validate_workload, has_generation=True
    ),
    ("apps", "statefulsets"): Strategy(
        workloads.prepare_stateful_set, workloads.validate_workload, has_generation=True
    ),
    ("rbac.authorization.k8s.io", "rolebindings"): _BINDING,
    ("rbac.authorization.k8s.io", "clusterrolebindings"): _BINDING,
    ("policy", "poddisruptionbudgets"): Strategy(has_generation=True),
    ("networking.k8s.io", "networkpolicies"): Strategy(has_generation=True),
    ("apiextensions.k8s.io", "customresourcedefinitions"): Strategy(
        definitions.prepare_definition, definitions.validate_definition, has_generation=True
    ),
}


def strategy_for(resource: Resource) -> Strategy:
    """Return the behavior of a resource's kind."""
    if resource.schema is not None:
        return _custom(resource.schema)
    return _BUILT_IN.get(resource.key, Strategy())


def unknown_fields(resource: Resource, obj: Obj) -> list[str]:
    """Drop the fields the kind does not have, in place, and return their paths."""
    schema = resource.schema if resource.schema is not None else type_schema(resource.kind)
    return prune(obj, schema, root=True)


def _custom(schema: Obj) -> Strategy:
    def prepare(obj: Obj, _old: Obj | None) -> None:
        apply_defaults(obj, schema)

    def check(obj: Obj, old: Obj | None) -> Iterable[FieldError]:
        content = {k: v for k, v in obj.items() if k not in ("apiVersion", "kind", "metadata")}
        errors = validate(content, _without_metadata(schema))
        if any(error.reason in BLOCKING_REASONS for error in errors):
            unchecked = FieldError(
                "FieldValueInvalid",
                "<nil>",
                'Invalid value: "null": some validation rules were not checked because the object '
                "was invalid; correct the existing errors to complete validation",
            )
            return [*errors, unchecked] if _any_rule(schema) else errors
        return [*errors, *evaluate_rules(obj, old, schema)]

    return Strategy(prepare, check, has_generation=True)


def _without_metadata(schema: Obj) -> Obj:
    implied = ("apiVersion", "kind", "metadata")
    return {
        **schema,
        "properties": {
            k: v for k, v in (schema.get("properties") or {}).items() if k not in implied
        },
        "required": [name for name in schema.get("required") or () if name not in implied],
    }


def _any_rule(schema: object) -> bool:
    if isinstance(schema, dict):
        return "x-kubernetes-validations" in schema or any(map(_any_rule, schema.values()))
    return isinstance(schema, list) and any(map(_any_rule, schema))
