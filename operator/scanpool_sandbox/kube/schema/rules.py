"""CEL rules (x-kubernetes-validations): compile, check names, evaluate at every level."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import cel
from cel.stdlib import EXTENSIONS

from scanpool_sandbox.kube.errors import FieldError, shown
from scanpool_sandbox.kube.quantities import parse_quantity
from scanpool_sandbox.kube.schema.cel_values import cel_name, cel_value
from scanpool_sandbox.kube.schema.validation import json_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scanpool_sandbox.kube.objects import Obj

_REASONS = {
    "FieldValueInvalid": "Invalid value: ",
    "FieldValueForbidden": "Forbidden: ",
    "FieldValueRequired": "Required value: ",
    "FieldValueDuplicate": "Duplicate value: ",
}
_TYPE_NAMES = frozenset(
    [
        "int",
        "uint",
        "double",
        "bool",
        "string",
        "bytes",
        "list",
        "map",
        "null_type",
        "type",
        "math",
        "sets",
        "strings",
    ]
)
_BUILT_IN_FUNCTIONS = frozenset(
    [
        "size",
        "contains",
        "startsWith",
        "endsWith",
        "matches",
        "has",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "bool",
        "dyn",
        "type",
        "duration",
        "timestamp",
        "getFullYear",
        "getMonth",
        "getDate",
        "getDayOfMonth",
        "getDayOfWeek",
        "getDayOfYear",
        "getHours",
        "getMinutes",
        "getSeconds",
        "getMilliseconds",
        "greatest",
        "least",
    ]
)
_MACRO_VARIABLE = re.compile(r"\.(?:all|exists|exists_one|map|filter)\(\s*([A-Za-z_]\w*)\s*,")
_MEMBER_CHAIN = re.compile(r"(?<![\w.\])])(self|oldSelf)((?:\.[A-Za-z_]\w*)+)(\s*\()?")
_STRING_LITERAL = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")


def _is_sorted(items: list[Any]) -> bool:
    return all(left <= right for left, right in itertools.pairwise(items))


def _find(text: str, pattern: str) -> str:
    match = re.search(pattern, text)
    return match.group() if match else ""


def _find_all(text: str, pattern: str) -> list[str]:
    return [match.group() for match in re.finditer(pattern, text)]


def _is_url(text: str) -> bool:
    return re.match(r"^[A-Za-z][A-Za-z0-9+.-]*://[^\s/]+(/\S*)?$|^/\S*$", text) is not None


def _is_quantity(text: str) -> bool:
    try:
        parse_quantity(text)
    except ValueError:
        return False
    return True


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **EXTENSIONS["strings"],
    **EXTENSIONS["core"],
    **{name: EXTENSIONS["math"][name] for name in ("math.greatest", "math.least")},
    "isSorted": _is_sorted,
    "find": _find,
    "findAll": _find_all,
    "isURL": _is_url,
    "isQuantity": _is_quantity,
    "quantity": lambda text: float(parse_quantity(text)),
    "isLessThan": lambda left, right: left < right,
    "isGreaterThan": lambda left, right: left > right,
    "compareTo": lambda left, right: (left > right) - (left < right),
}
"""Functions Kubernetes adds to CEL, for lists, strings, regular expressions and quantities."""


class RuleError(ValueError):
    """A rule that the API server would refuse to compile."""


@dataclass(frozen=True)
class Rule:
    """One compiled entry of x-kubernetes-validations."""

    source: Obj
    program: cel.Program
    is_transition: bool


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
    known = {"self", "oldSelf", *_TYPE_NAMES, *_MACRO_VARIABLE.findall(expression)}
    for variable in program.variables():
        if variable not in known and not variable.startswith("@"):
            raise RuleError(f"compilation failed: undeclared reference to '{variable}'")
    for function in program.functions():
        is_operator = not function[0].isalpha()
        if not (is_operator or function in _BUILT_IN_FUNCTIONS or function in _FUNCTIONS):
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


def evaluate_rules(new: Any, old: Any, schema: Obj) -> list[FieldError]:
    """Collect the errors of every rule in the schema, root first; `old` is None on create."""
    return list(_evaluate(new, old, schema, ""))


def _evaluate(new: Any, old: Any, schema: Obj, path: str) -> Iterator[FieldError]:
    if new is None:
        return
    for source in schema.get("x-kubernetes-validations") or ():
        yield from _evaluate_one(source, new, old, schema, path)
    prefix = f"{path}." if path else ""
    if isinstance(new, dict):
        before = old if isinstance(old, dict) else {}
        properties = schema.get("properties") or {}
        additional = schema.get("additionalProperties")
        for name, item in new.items():
            sub = properties.get(name, additional)
            if isinstance(sub, dict) and _has_rules(sub):
                yield from _evaluate(item, before.get(name), sub, f"{prefix}{name}")
    elif isinstance(new, list) and _has_rules(schema.get("items") or {}):
        for index, item in enumerate(new):
            counterpart = _counterpart(item, old, schema)
            yield from _evaluate(item, counterpart, schema["items"], f"{path}[{index}]")


def _counterpart(item: Any, old: Any, schema: Obj) -> Any:
    """Find the old item with the same keys; only lists of type map correlate their items."""
    if schema.get("x-kubernetes-list-type") != "map" or not isinstance(old, list):
        return None
    keys = schema["x-kubernetes-list-map-keys"]
    identity = [item.get(key) for key in keys]
    return next((other for other in old if [other.get(key) for key in keys] == identity), None)


def _has_rules(schema: Obj) -> bool:
    if schema.get("x-kubernetes-validations"):
        return True
    subs = [
        *(schema.get("properties") or {}).values(),
        schema.get("items"),
        schema.get("additionalProperties"),
    ]
    return any(_has_rules(sub) for sub in subs if isinstance(sub, dict))


def _evaluate_one(source: Obj, new: Any, old: Any, schema: Obj, path: str) -> Iterator[FieldError]:
    rule = compile_rule(source, schema)
    if rule.is_transition and old is None:
        return
    context = cel.Context({"self": cel_value(new, schema)})
    if old is not None:
        context.add_variable("oldSelf", cel_value(old, schema))
    for name, function in _FUNCTIONS.items():
        context.add_function(name, function)
    try:
        holds = rule.program.execute(context)
    except (KeyError, ValueError, TypeError, RuntimeError, OverflowError) as error:
        yield _failure(source, new, path, f"rule evaluation error: {error}")
        return
    if holds is not True:
        yield _failure(source, new, path, _message(rule))


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
