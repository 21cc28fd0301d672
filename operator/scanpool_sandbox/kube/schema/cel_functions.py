"""What CEL rules may name beside the fields of an object: types, and functions."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

from cel.stdlib import EXTENSIONS

from scanpool_sandbox.kube.quantities import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Callable

TYPE_NAMES = frozenset(
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
BUILT_IN_FUNCTIONS = frozenset(
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


FUNCTIONS: dict[str, Callable[..., Any]] = {
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
