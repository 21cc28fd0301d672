"""Rules of a CRD: which the stand-in refuses, and when it evaluates them."""

from typing import Any

import pytest

from scanpool_sandbox.kube.schema.rules import RuleError, compile_rule, evaluate_rules

SCHEMA = {"type": "object", "properties": {"size": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({"rule": " "}, "rule is not specified"),
        ({"rule": "self.size <"}, "compilation failed"),
        ({"rule": "self.sise < 3"}, "undefined field 'sise'"),
        ({"rule": "that.size < 3"}, "undeclared reference to 'that'"),
        ({"rule": "measure(self.size) < 3"}, "undeclared reference to 'measure'"),
        # A server that counts costs refuses what is put together from a number.
        ({"rule": "self.size < 3", "messageExpression": "string(self.size)"}, "set message"),
    ],
)
def test_a_rule_that_a_server_refuses_is_refused(source: dict[str, str], told: str) -> None:
    with pytest.raises(RuleError, match=told):
        compile_rule(source, SCHEMA)


def test_a_rule_that_a_server_takes_is_taken() -> None:
    assert not compile_rule({"rule": "self.size < 3"}, SCHEMA).is_transition
    assert compile_rule({"rule": "self.size < oldSelf.size"}, SCHEMA).is_transition


RULES: dict[str, Any] = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "size": {
                    "type": "integer",
                    "x-kubernetes-validations": [
                        {"rule": "self < 3", "message": "too large"},
                        {"rule": "self >= oldSelf", "message": "it shrinks"},
                        {"rule": "self != 2 || oldSelf == 1", "message": "2 comes after 1"},
                    ],
                },
                "parts": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {
                        "type": "object",
                        "properties": {"name": {"type": "string"}, "length": {"type": "integer"}},
                        "x-kubernetes-validations": [
                            {"rule": "self.length < 3", "message": "too long"}
                        ],
                    },
                },
                "words": {
                    "type": "array",
                    "items": {
                        "type": "string",
                        "x-kubernetes-validations": [
                            {"rule": "self.startsWith('a')", "message": "no a"}
                        ],
                    },
                },
            },
            "x-kubernetes-validations": [
                {"rule": "!has(self.size) || !has(self.words)", "message": "size or words"}
            ],
        },
        "status": {"type": "object", "properties": {"seen": {"type": "integer"}}},
    },
}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        pytest.param(None, {"size": 5}, {"too large"}, id="created"),
        pytest.param({"size": 5}, {"size": 5}, set(), id="nothing has changed"),
        pytest.param({"size": 5}, {"size": 6}, {"too large"}, id="the value has changed"),
        pytest.param({"size": 5}, {"size": 4}, {"too large", "it shrinks"}, id="and is less"),
        pytest.param({"size": 2}, {"size": 2}, {"2 comes after 1"}, id="what was is always asked"),
        pytest.param(
            {"size": 5}, {"size": 5, "words": ["a"]}, {"size or words"}, id="beside it has"
        ),
        pytest.param(
            {"parts": [{"name": "a", "length": 9}, {"name": "b", "length": 1}]},
            {"parts": [{"name": "b", "length": 2}, {"name": "a", "length": 9}]},
            set(),
            id="an item is known by its keys",
        ),
        pytest.param(
            {"parts": [{"name": "a", "length": 9}]},
            {"parts": [{"name": "b", "length": 9}]},
            {"too long"},
            id="an item of another name is another",
        ),
        pytest.param({"words": ["b"]}, {"words": ["b"]}, set(), id="the list has not changed"),
        pytest.param(
            {"words": ["b"]},
            {"words": ["b", "a"]},
            {"no a"},
            id="items without keys change with their list",
        ),
    ],
)
def test_what_has_not_changed_is_not_evaluated_again(old: Any, new: Any, told: set[str]) -> None:
    before = None if old is None else {"spec": old, "status": {"seen": 1}}
    errors = evaluate_rules({"spec": new, "status": {"seen": 2}}, before, RULES)
    assert {error.detail.rpartition(": ")[2] for error in errors} == told


def test_rules_of_a_schema_that_is_replaced_are_the_new_ones() -> None:
    for most in range(3):
        schema = {"type": "integer", "x-kubernetes-validations": [{"rule": f"self < {most}"}]}
        assert bool(evaluate_rules(1, None, schema)) == (most <= 1)


@pytest.mark.parametrize(
    "rule",
    [
        "['a', 'b'].isSorted()",
        "self.find('a') == 'a'",
        "self.lowerAscii() == 'a'",
        "math.greatest(1, 2) == 2",
        "quantity('1Ki').isGreaterThan(quantity('1k'))",
    ],
)
def test_what_a_rule_may_call_is_there(rule: str) -> None:
    schema = {"type": "string", "x-kubernetes-validations": [{"rule": rule}]}
    assert evaluate_rules("A" if "lower" in rule else "a", None, schema) == []
