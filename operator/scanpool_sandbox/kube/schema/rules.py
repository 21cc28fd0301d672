"""CEL rules (x-kubernetes-validations): compile, check names, evaluate at every level.

What an update leaves as it was is not evaluated again, as since Kubernetes 1.30 (KEP-4008): a
rule that came later, and that it breaks, refuses no write of something else. Rules that use
`oldSelf` are always evaluated. An API server warns of what it lets pass so; this one does not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import cel

from scanpool_sandbox.kube.errors import FieldError, shown
from scanpool_sandbox.kube.schema.cel_functions import BUILT_IN_FUNCTIONS, FUNCTIONS, TYPE_NAMES
from scanpool_sandbox.kube.schema.cel_values import cel_name, cel_value
from scanpool_sandbox.kube.schema.validation import json_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from scanpool_sandbox.kube.objects import Obj

_REASONS = {
    "FieldValueInvalid": "Invalid value: ",
    "FieldValueForbidden": "Forbidden: ",
    "FieldValueRequired": "Required value: ",
    "FieldValueDuplicate": "Duplicate value: ",
}
_MACRO_VARIABLE = re.compile(r"\.(?:all|exists|exists_one|map|filter)\(\s*([A-Za-z_]\w*)\s*,")
_MEMBER_CHAIN = re.compile(r"(?<![\w.\])])(self|oldSelf)((?:\.[A-Za-z_]\w*)+)(\s*\()?")
_STRING_LITERAL = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")


class RuleError(ValueError):
    """A rule that the API server would refuse to compile."""


@dataclass(frozen=True)
class Rule:
    """One compiled entry of x-kubernetes-validations."""

    source: Obj
    program: cel.Program
    is_transition: bool

    @property
    def functions(self) -> set[str]:
        """Which of the functions that Kubernetes adds to CEL it calls."""
        called = set(self.program.functions())
        return {name for name in FUNCTIONS if name.rpartition(".")[2] in called}


@lru_cache(maxsize=1024)
def _compiled(expression: str) -> cel.Program:
    try:
        return cel.compile(expression)
    except ValueError as error:
        raise RuleError(f"compilation failed: {error}") from error


def compile_rule(source: Obj, schema: Obj) -> Rule:
    """Compile a rule in the scope of its schema.

    Raises RuleError for bad syntax, unknown variables, functions or fields. Types are not
    checked further than that.
    """
    expression = str(source.get("rule") or "").strip()
    if not expression:
        raise RuleError("rule is not specified")
    if source.get("messageExpression"):
        # A server refuses most of them, for what they may cost: a text that is put together from a
        # number has no bound.
        raise RuleError("the stand-in knows no messageExpression: set message")
    program = _checked(expression, schema)
    return Rule(source, program, is_transition="oldSelf" in program.variables())


def _checked(expression: str, schema: Obj) -> cel.Program:
    program = _compiled(expression)
    known = {"self", "oldSelf", *TYPE_NAMES, *_MACRO_VARIABLE.findall(expression)}
    for variable in program.variables():
        if variable not in known and not variable.startswith("@"):
            raise RuleError(f"compilation failed: undeclared reference to '{variable}'")
    for function in program.functions():
        is_operator = not function[0].isalpha()
        if not (is_operator or function in BUILT_IN_FUNCTIONS or function in FUNCTIONS):
            raise RuleError(f"compilation failed: undeclared reference to '{function}'")
    for _, chain, call in _MEMBER_CHAIN.findall(_STRING_LITERAL.sub("''", expression)):
        _check_fields(chain.split(".")[1:], schema, is_call=bool(call))
    return program


def _check_fields(names: list[str], schema: Obj, *, is_call: bool) -> None:
    for position, name in enumerate(names):
        if is_call and position == len(names) - 1:
            return
        properties = schema.get("properties")
        if not properties:
            return
        by_cel_name = {cel_name(known): known for known in properties}
        if name not in by_cel_name:
            raise RuleError(f"compilation failed: undefined field '{name}'")
        schema = properties[by_cel_name[name]]


@dataclass(frozen=True)
class _Ruled:
    """The rules of a schema, and of those of its parts that have any."""

    schema: Obj
    own: tuple[Rule, ...]
    fields: Mapping[str, _Ruled | None]
    others: _Ruled | None
    items: _Ruled | None

    @property
    def parts(self) -> list[_Ruled]:
        """All parts with rules."""
        return [part for part in (*self.fields.values(), self.others, self.items) if part]

    @cached_property
    def has_transitions(self) -> bool:
        """Whether any rule here or below compares with what was."""
        own = any(rule.is_transition for rule in self.own)
        return own or any(part.has_transitions for part in self.parts)

    @cached_property
    def functions(self) -> dict[str, Callable[..., Any]]:
        """What its own rules call."""
        return {name: FUNCTIONS[name] for rule in self.own for name in rule.functions}


class _Schema:
    """A schema as a key: known by its identity, for it never changes and is long to compare."""

    def __init__(self, schema: Obj) -> None:
        self.schema = schema

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Schema) and other.schema is self.schema

    def __hash__(self) -> int:
        return id(self.schema)


@lru_cache(maxsize=64)
def _rules_in(key: _Schema) -> _Ruled | None:
    return _ruled(key.schema)


def _ruled(schema: Any) -> _Ruled | None:
    if not isinstance(schema, dict):
        return None
    sources = schema.get("x-kubernetes-validations") or ()
    ruled = _Ruled(
        schema,
        tuple(compile_rule(source, schema) for source in sources),
        {name: _ruled(sub) for name, sub in (schema.get("properties") or {}).items()},
        _ruled(schema.get("additionalProperties")),
        _ruled(schema.get("items")),
    )
    return ruled if ruled.own or ruled.parts else None


def evaluate_rules(new: Any, old: Any, schema: Obj) -> list[FieldError]:
    """Collect the errors of every rule in the schema, root first; `old` is None on create."""
    ruled = _rules_in(_Schema(schema))
    return list(_evaluate(new, old, ruled, "", is_same=False)) if ruled else []


def _evaluate(
    new: Any, old: Any, ruled: _Ruled, path: str, *, is_same: bool
) -> Iterator[FieldError]:
    """Evaluate a value's rules and those below; `is_same` if it is part of what has not changed."""
    is_same = is_same or (old is not None and new == old)
    if new is None or (is_same and not ruled.has_transitions):
        return
    yield from _evaluate_own(new, old, ruled, path, is_same=is_same)
    prefix = f"{path}." if path else ""
    if isinstance(new, dict):
        before = old if isinstance(old, dict) else {}
        for name, item in new.items():
            if part := ruled.fields.get(name, ruled.others):
                at = f"{prefix}{name}"
                yield from _evaluate(item, before.get(name), part, at, is_same=is_same)
    elif isinstance(new, list) and (part := ruled.items):
        for index, item in enumerate(new):
            counterpart = _counterpart(item, old, ruled.schema)
            yield from _evaluate(item, counterpart, part, f"{path}[{index}]", is_same=is_same)


def _counterpart(item: Any, old: Any, schema: Obj) -> Any:
    """Find the old item with the same keys; only lists of type map correlate their items."""
    if schema.get("x-kubernetes-list-type") != "map" or not isinstance(old, list):
        return None
    keys = schema["x-kubernetes-list-map-keys"]
    identity = [item.get(key) for key in keys]
    return next((other for other in old if [other.get(key) for key in keys] == identity), None)


def _evaluate_own(
    new: Any, old: Any, ruled: _Ruled, path: str, *, is_same: bool
) -> Iterator[FieldError]:
    rules = [rule for rule in ruled.own if (old is not None if rule.is_transition else not is_same)]
    if not rules:
        return
    context = cel.Context({"self": cel_value(new, ruled.schema)}, ruled.functions)
    if old is not None:
        context.add_variable("oldSelf", cel_value(old, ruled.schema))
    for rule in rules:
        try:
            holds = rule.program.execute(context)
        except (KeyError, ValueError, TypeError, RuntimeError, OverflowError) as error:
            yield _failure(rule.source, new, path, f"rule evaluation error: {error}")
            continue
        if holds is not True:
            yield _failure(rule.source, new, path, _message(rule))


def _message(rule: Rule) -> str:
    fallback = f"failed rule: {str(rule.source['rule']).strip()}"
    return str(rule.source.get("message") or fallback)


def _failure(source: Obj, value: Any, path: str, message: str) -> FieldError:
    reason = source.get("reason") or "FieldValueInvalid"
    where = path + (source.get("fieldPath") or "") if path else (source.get("fieldPath") or "")
    kind = json_type(value)
    held = f'"{kind}"' if kind in ("object", "array") else shown(value)
    detail = _REASONS[reason]
    if reason in ("FieldValueInvalid", "FieldValueDuplicate"):
        detail += f"{held}: "
    return FieldError(reason, where.removeprefix(".") or "<nil>", detail + message)
