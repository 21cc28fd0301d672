"""What a CRD's schema does to objects, and which CRDs are refused."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from cluster.conftest import DEFINITIONS
from cluster.definitions import SCHEMA, definition

if TYPE_CHECKING:
    from collections.abc import Callable

    from cluster.access import Cluster, Obj


def test_defaults_are_stored_at_every_level(cluster: Cluster) -> None:
    created = cluster.make_widget("w", {"size": 1, "items": [{"name": "a"}]})
    assert created["spec"] == {
        "size": 1,
        "max": 100,
        "mode": "Fast",
        "limits": {"depth": 7},
        "items": [{"name": "a", "weight": 1}],
    }
    assert cluster.get(f"{cluster.widgets}/w").body["spec"] == created["spec"]


def test_unknown_fields_are_pruned_where_the_schema_does_not_preserve_them(
    cluster: Cluster,
) -> None:
    created = cluster.make_widget("w", {"size": 1, "sise": 2, "free": {"any": {"thing": [1]}}})
    assert "sise" not in created["spec"]
    assert created["spec"]["free"] == {"any": {"thing": [1]}}


def test_null_is_kept_where_nullable_and_dropped_or_defaulted_elsewhere(cluster: Cluster) -> None:
    created = cluster.make_widget("w", {"size": 1, "note": None, "mode": None, "code": None})
    assert created["spec"]["note"] is None
    assert created["spec"]["mode"] == "Fast"
    assert "code" not in created["spec"]


INVALID = [
    ({}, "spec.size: Required value"),
    ({"size": "1"}, 'spec.size in body must be of type integer: "string"'),
    ({"size": 0}, "spec.size in body should be greater than or equal to 1"),
    ({"size": 1, "max": 2000}, "spec.max in body should be less than or equal to 1000"),
    (
        {"size": 1, "mode": "Odd"},
        'spec.mode: Unsupported value: "Odd": supported values: "Fast", "Slow"',
    ),
    ({"size": 1, "code": "A"}, "spec.code in body should match '^[a-z]+$'"),
    ({"size": 1, "ratio": 0}, "spec.ratio in body should be greater than 0"),
    ({"size": 1, "port": []}, "spec.port in body must be of type"),
    ({"size": 1, "labels": {"a": 1}}, "spec.labels.a in body must be of type string"),
    ({"size": 1, "tags": ["a", "a"]}, 'spec.tags[1]: Duplicate value: "a"'),
    ({"size": 1, "tags": list("abcdef")}, "at most 5 items"),
    ({"size": 1, "tags": ["a" * 11]}, "spec.tags[0]: "),
    (
        {"size": 1, "items": [{"name": "a"}, {"name": "a"}]},
        "spec.items[1]: Duplicate value",
    ),
    ({"size": 1, "items": [{"weight": 1}]}, "spec.items[0].name: Required value"),
    (
        {"size": 1, "items": [{"name": ""}]},
        "spec.items[0].name in body should be at least 1 chars long",
    ),
]


@pytest.mark.parametrize(("spec", "message"), INVALID, ids=[message for _, message in INVALID])
def test_invalid_values_are_refused_with_the_field_and_the_reason(
    cluster: Cluster, spec: Obj, message: str
) -> None:
    answer = cluster.post(cluster.widgets, cluster.widget("w", spec))
    assert answer.code == 422
    assert answer.body["reason"] == "Invalid"
    assert answer.message.startswith(f'Widget.{cluster.group} "w" is invalid: ')
    assert message in answer.message
    (field,) = {cause["field"] for cause in answer.body["details"]["causes"]} - {"<nil>"}
    assert field.startswith("spec.")


@pytest.mark.parametrize(
    ("spec", "field", "message"),
    [
        ({"size": 9, "max": 8}, "spec", "size must not be larger than max"),
        ({"size": 2, "replicas": 3}, "spec", "replicas must not be larger than size"),
        (
            {"size": 1, "items": [{"name": "a"}, {"name": "b", "weight": 100}]},
            "spec.items[1]",
            "weight is too large",
        ),
    ],
)
def test_rules_are_evaluated_at_every_level(
    cluster: Cluster, has_rules: bool, spec: Obj, field: str, message: str
) -> None:
    if not has_rules:
        pytest.skip("this server is older than CEL rules")
    answer = cluster.post(cluster.widgets, cluster.widget("w", spec))
    assert answer.code == 422
    (cause,) = answer.body["details"]["causes"]
    assert cause["field"] == field
    assert cause["message"].endswith(message)


def test_a_transition_rule_holds_on_update_and_not_on_create(
    cluster: Cluster, has_rules: bool
) -> None:
    if not has_rules:
        pytest.skip("this server is older than CEL rules")
    cluster.make_widget("w", {"size": 1, "fixed": "a"})
    path = f"{cluster.widgets}/w"
    assert cluster.patch(path, {"spec": {"size": 2}}).code == 200
    answer = cluster.patch(path, {"spec": {"fixed": "b"}})
    assert answer.code == 422
    assert "fixed cannot be changed" in answer.message
    assert cluster.patch(path, {"spec": {"fixed": None}}).code == 200


def test_rules_wait_until_the_values_are_valid(cluster: Cluster, has_rules: bool) -> None:
    if not has_rules:
        pytest.skip("this server is older than CEL rules")
    answer = cluster.post(cluster.widgets, cluster.widget("w", {"max": 5, "replicas": 9}))
    assert "spec.size: Required value" in answer.message
    assert "some validation rules were not checked" in answer.message
    assert "replicas" not in answer.message


def _field(schema: Obj, name: str, value: Obj) -> None:
    schema["properties"]["spec"]["properties"][name] = value


REFUSED: list[tuple[str, Callable[[Obj], Any], str, bool]] = [
    ("no type", lambda s: _field(s, "x", {"description": "?"}), "type", False),
    ("unknown type", lambda s: _field(s, "x", {"type": "text"}), "type", False),
    ("array without items", lambda s: _field(s, "x", {"type": "array"}), "items", False),
    (
        "properties and additionalProperties",
        lambda s: _field(
            s,
            "x",
            {
                "type": "object",
                "properties": {"a": {"type": "string"}},
                "additionalProperties": {"type": "string"},
            },
        ),
        "additionalProperties",
        False,
    ),
    (
        "default of the wrong type",
        lambda s: _field(s, "x", {"type": "integer", "default": "one"}),
        "default",
        False,
    ),
    (
        "default with an unknown field",
        lambda s: _field(
            s, "x", {"type": "object", "properties": {"a": {"type": "string"}}, "default": {"b": 1}}
        ),
        "default",
        False,
    ),
    (
        "list map without keys",
        lambda s: _field(
            s, "x", {"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "map"}
        ),
        "x-kubernetes-list-map-keys",
        False,
    ),
    (
        "list map keyed by an optional field",
        lambda s: _field(
            s,
            "x",
            {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["a"],
                "items": {"type": "object", "properties": {"a": {"type": "string"}}},
            },
        ),
        "default",
        False,
    ),
    (
        "type inside anyOf",
        lambda s: _field(s, "x", {"type": "string", "anyOf": [{"type": "string"}]}),
        "anyOf",
        False,
    ),
    (
        "a rule that does not parse",
        lambda s: s["properties"]["spec"].update(
            {"x-kubernetes-validations": [{"rule": "self.size <="}]}
        ),
        "rule",
        True,
    ),
    (
        "a rule about an unknown field",
        lambda s: s["properties"]["spec"].update(
            {"x-kubernetes-validations": [{"rule": "self.sise > 1"}]}
        ),
        "undefined field 'sise'",
        True,
    ),
    (
        "a rule with an unknown name",
        lambda s: s["properties"]["spec"].update(
            {"x-kubernetes-validations": [{"rule": "this.size > 1"}]}
        ),
        "undeclared reference to 'this'",
        True,
    ),
    (
        "a rule with an unknown function",
        lambda s: s["properties"]["spec"].update(
            {"x-kubernetes-validations": [{"rule": "isOdd(self.size)"}]}
        ),
        "undeclared reference to 'isOdd'",
        True,
    ),
]


@pytest.mark.parametrize(
    ("spoil", "message", "needs_rules"),
    [case[1:] for case in REFUSED],
    ids=[case[0] for case in REFUSED],
)
def test_a_definition_that_is_not_sound_is_refused(
    cluster: Cluster,
    has_rules: bool,
    spoil: Callable[[Obj], Any],
    message: str,
    needs_rules: bool,
) -> None:
    if needs_rules and not has_rules:
        pytest.skip("this server is older than CEL rules")
    schema = copy.deepcopy(SCHEMA)
    spoil(schema)
    answer = cluster.post(
        DEFINITIONS, definition(cluster.group, "gadgets", "Gadget", schema), dryRun="All"
    )
    assert answer.code == 422, answer.body
    assert message in answer.message


def test_a_definition_needs_its_own_name_and_one_storage_version(cluster: Cluster) -> None:
    wrong = definition(cluster.group, "gadgets", "Gadget", SCHEMA)
    wrong["metadata"]["name"] = f"gizmos.{cluster.group}"
    wrong["spec"]["versions"][0]["storage"] = False
    answer = cluster.post(DEFINITIONS, wrong, dryRun="All")
    assert answer.code == 422
    assert 'must be spec.names.plural+"."+spec.group' in answer.message
    assert "must have exactly one version marked as storage version" in answer.message
