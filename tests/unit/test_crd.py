"""The CRD is what the models say, and what an API server takes."""

import re
from collections.abc import Iterator
from copy import deepcopy
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel

from scanpool.crd import (
    PRINTER_COLUMNS,
    custom_resource_definition,
    custom_resource_definition_yaml,
)
from scanpool.models.base import Model
from scanpool.models.spec import PoolSpec
from scanpool.report.pool_status import PoolStatus
from scanpool_sandbox.kube.schema.defaulting import apply_defaults
from scanpool_sandbox.kube.schema.pruning import prune
from scanpool_sandbox.kube.schema.structural import check_structural
from scanpool_sandbox.kube.schema.validation import validate

Schema = dict[str, Any]

WRITTEN = Path(__file__).parents[2] / "crds" / "scanworkerpools.yaml"
DEFINITION = custom_resource_definition()["spec"]
(VERSION,) = DEFINITION["versions"]
ROOT: Schema = VERSION["schema"]["openAPIV3Schema"]
SPEC: Schema = ROOT["properties"]["spec"]
STATUS: Schema = ROOT["properties"]["status"]


def nodes(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Yield every schema within a schema, with its path."""
    yield path, schema
    for name, part in schema.get("properties", {}).items():
        yield from nodes(part, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from nodes(schema["additionalProperties"], f"{path}{{}}")


def at(path: str) -> Schema:
    """Return the schema at a path such as .spec.rabbitmq.queues[].name, or of a key of a map."""
    found = dict(nodes(ROOT))
    return found[path] if path in found else found[f"{path.rpartition('.')[0]}{{}}"]


def fields(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, object]]:
    """Yield every field of a model and of those inside it: its path in JSON, and its default."""
    for field in model.model_fields.values():
        here = f"{path}.{field.alias}"
        default = field.get_default(call_default_factory=True)
        yield here, default
        for part in inner(field.annotation):
            yield from fields(part, here if part in direct(field.annotation) else f"{here}[]")


def direct(annotation: Any) -> list[type[BaseModel]]:
    """Return the models that an annotation names, beside those in a tuple."""
    if get_origin(annotation) is tuple:
        return []
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in direct(argument)]


def inner(annotation: Any) -> list[type[BaseModel]]:
    """Return all models that an annotation names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in inner(argument)]


def test_the_file_is_what_the_models_generate() -> None:
    assert WRITTEN.read_text() == custom_resource_definition_yaml(), "run `make crd`"


def test_the_file_reads_as_the_definition() -> None:
    assert yaml.safe_load(custom_resource_definition_yaml()) == custom_resource_definition()
    assert "&id" not in custom_resource_definition_yaml()


def test_the_schema_is_structural() -> None:
    assert check_structural(ROOT, "schema") == []
    for path, node in nodes(ROOT):
        assert "type" in node or node.get("x-kubernetes-int-or-string"), path
        assert not node.keys() & {"$ref", "$defs", "anyOf", "oneOf", "allOf", "title"}, path
        assert not node.keys() & {"exclusiveMinimum", "exclusiveMaximum", "const"}, path
        assert "default" not in node or node["default"] is not None, path


def test_nothing_of_what_the_models_say_about_a_field_is_lost() -> None:
    """A word that the generator does not know would drop a bound in silence."""
    known = {"type", "format", "description", "enum", "pattern", "minimum", "maximum", "default"}
    known |= {"minLength", "maxLength", "minItems", "maxItems", "properties", "required", "items"}
    known |= {"$ref", "$defs", "anyOf", "title", "additionalProperties"}
    for model in (PoolSpec, PoolStatus):
        schema = model.model_json_schema(by_alias=True)
        assert keywords(schema) <= known


def keywords(schema: Any) -> set[str]:
    """Return the JSON Schema words in use, but not the names of fields and definitions."""
    found = set(schema)
    for name in ("properties", "$defs"):
        found |= {word for part in schema.get(name, {}).values() for word in keywords(part)}
    parts = [*schema.get("anyOf", ())]
    parts += [schema[name] for name in ("items", "additionalProperties") if name in schema]
    return found | {word for part in parts for word in keywords(part)}


@pytest.mark.parametrize(
    ("model", "root"), [(PoolSpec, ".spec"), (PoolStatus, ".status")], ids=["spec", "status"]
)
def test_every_field_of_the_models_has_a_place_and_no_place_is_without_one(
    model: type[Model], root: str
) -> None:
    places = {
        path
        for path, _ in nodes(ROOT)
        if path.startswith(f"{root}.") and not path.endswith(("[]", "{}"))
    }

    assert places == {root + path for path, _ in fields(model)}


def test_every_field_of_the_spec_that_needs_one_has_a_description() -> None:
    assert all(node.get("description") for _, node in nodes(SPEC) if node["type"] == "object")
    assert all("\n" not in node.get("description", "") for _, node in nodes(ROOT))


@pytest.mark.parametrize(("name", "path", "kind", "priority"), PRINTER_COLUMNS)
def test_a_printer_column_points_at_a_field_of_its_type(
    name: str, path: str, kind: str, priority: int
) -> None:
    assert priority in (0, 1), name
    if path == ".metadata.creationTimestamp":
        assert kind == "date"
        return
    plain = re.sub(r"\[\?\(@\.type==\"(\w+)\"\)\]", "[]", path)

    assert at(plain)["type"] == kind


def test_the_printer_columns_are_those_of_the_design() -> None:
    shown = [name.upper() for name, _, _, priority in PRINTER_COLUMNS if priority == 0]

    assert shown == [
        "REPLICAS", "DESIRED", "LIMITED-BY", "BACKLOG", "TPM-USED", "TPM-LIMIT", "HEADROOM",
        "ZONE", "PAUSED", "READY", "AGE",
    ]  # fmt: skip


def test_the_subresources_point_at_fields() -> None:
    assert VERSION["subresources"]["status"] == {}
    scale = VERSION["subresources"]["scale"]
    kinds = {name: at(path)["type"] for name, path in scale.items()}
    assert kinds == {
        "specReplicasPath": "integer",
        "statusReplicasPath": "integer",
        "labelSelectorPath": "string",
    }


def test_every_rule_of_the_models_is_in_the_schema() -> None:
    rules = {
        (rule["rule"], rule["message"])
        for _, node in nodes(ROOT)
        for rule in node.get("x-kubernetes-validations", ())
    }
    declared: set[type[Model]] = {PoolSpec, *all_models(PoolSpec)}

    assert rules == {(rule.cel, rule.message) for model in declared for rule in model.rules}


def all_models(model: type[BaseModel]) -> Iterator[type[Model]]:
    for field in model.model_fields.values():
        for part in inner(field.annotation):
            assert issubclass(part, Model)
            yield part
            yield from all_models(part)


# --- Defaults ---

REF = {"name": "scan-secret", "key": "KEY"}
SMALLEST = {
    "scaleTargetRef": {"name": "scan-worker"},
    "maxReplicas": 10,
    "rabbitmq": {"urlSecretRef": REF, "queues": [{"name": "scan.vision"}]},
}
LLM = {"model": "gpt-5.2", "tokensPerMinute": 1}
RULES_WITH_A_POLICY = {"policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}]}


@pytest.mark.parametrize(
    "added",
    [
        pytest.param({}, id="smallest"),
        pytest.param({"memory": {}, "behavior": {}}, id="empty-objects"),
        pytest.param({"memory": {"enabled": False}}, id="half-an-object"),
        pytest.param({"llm": LLM, "fallback": {"replicas": 2}}, id="optional-objects"),
        pytest.param({"llm": {**LLM, "usage": {}, "probe": {}}}, id="empty-objects-inside"),
        pytest.param({"llm": {**LLM, "probe": {"enabled": False}}}, id="half-an-object-inside"),
        pytest.param(
            {"llm": {**LLM, "usage": {"prometheus": {"url": "http://p", "preset": "kong"}}}},
            id="deep-inside",
        ),
        pytest.param({"behavior": {"scaleUp": RULES_WITH_A_POLICY}}, id="a-list"),
    ],
)
def test_the_defaults_of_the_schema_are_those_of_the_models(added: Schema) -> None:
    written = {**SMALLEST, **added}
    stored = deepcopy(written)
    apply_defaults(stored, SPEC)

    assert validate(stored, SPEC) == []
    spec = PoolSpec.model_validate(written)
    assert PoolSpec.model_validate(stored) == spec
    assert stored == spec.model_dump(mode="json", by_alias=True, exclude_none=True)


def test_a_field_has_a_default_in_the_schema_exactly_if_the_model_has_one_that_is_not_none() -> (
    None
):
    in_schema = {path for path, node in nodes(SPEC) if "default" in node}

    assert in_schema == {path for path, default in fields(PoolSpec) if is_told(default)}


def is_told(default: object) -> bool:
    return default is not None and type(default).__name__ != "PydanticUndefinedType"


# --- Status ---


def filled(annotation: Any) -> Any:
    """Return a value for an annotation, with every field set to something."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation.model_validate(
            {name: filled(field.annotation) for name, field in annotation.model_fields.items()}
        )
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return next(iter(annotation))
    if get_origin(annotation) is tuple:
        return (filled(get_args(annotation)[0]),)
    if get_origin(annotation) is dict:
        key, value = get_args(annotation)
        return {filled(key): filled(value)}
    if annotation in SAMPLES:
        return SAMPLES[annotation]
    if isinstance(options := get_args(annotation), tuple) and options:
        first = options[0]
        return first if isinstance(first, str) else filled(first)
    raise NotImplementedError(annotation)


SAMPLES: dict[object, object] = {int: 7, float: 0.7, str: "text", bool: True}


def test_a_full_status_is_stored_whole() -> None:
    """What the schema does not know is pruned in silence, and written again every tick."""
    status = filled(PoolStatus).model_dump(mode="json", by_alias=True)
    assert all(value not in (None, [], {}) for value in leaves(status))
    stored = deepcopy(status)

    assert prune(stored, STATUS) == []
    assert stored == status
    assert validate(stored, STATUS) == []


def leaves(value: Any) -> Iterator[object]:
    yield value
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from leaves(part)


@pytest.mark.parametrize("status", [PoolStatus(), filled(PoolStatus)], ids=["empty", "full"])
def test_the_api_server_adds_nothing_to_a_status(status: PoolStatus) -> None:
    """What it adds would look like a change, and cost a write every tick."""
    written = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    stored = deepcopy(written)
    apply_defaults(stored, STATUS)

    assert stored == written
    assert PoolStatus.model_validate(stored) == status


def test_the_first_status_may_be_written_in_parts() -> None:
    assert "required" not in STATUS
