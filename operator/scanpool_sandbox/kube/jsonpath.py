"""The part of kubectl's JSONPath that printer columns and scale paths use."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TOKEN = re.compile(
    r"""\.(?P<field>(?:[^.\[\]\\]|\\.)+)      # .name, with \. for a dot inside it
      | \[(?P<index>-?\d+)\]
      | \[(?P<all>\*)\]
      | \[(?P<quoted>'[^']*'|"[^"]*")\]
      | \[\?\(\s*@(?P<left>[^=!<>)\s]*)\s*(?:(?P<operator>==|!=|<=|>=|<|>)\s*(?P<right>[^)]*))?\)\]
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class JsonPath:
    """A compiled path; `find` yields every value it reaches."""

    text: str
    steps: tuple[Callable[[Any], Iterator[Any]], ...]

    def find(self, value: Any) -> list[Any]:
        """All values at the path, in order; empty when there are none."""
        found = [value]
        for step in self.steps:
            found = [reached for item in found for reached in step(item)]
        return found


def compile_path(text: str) -> JsonPath:
    """Read a path such as `.status.conditions[?(@.type=="Ready")].status`.

    Braces around it are accepted. Raises ValueError for what is not understood.
    """
    path = text.strip().removeprefix("{").removesuffix("}")
    steps: list[Callable[[Any], Iterator[Any]]] = []
    at = 0
    while at < len(path):
        match = _TOKEN.match(path, at)
        if match is None:
            raise ValueError(f"cannot parse JSONPath {text!r} at {path[at:]!r}")
        steps.append(_step(match))
        at = match.end()
    return JsonPath(text, tuple(steps))


def _step(match: re.Match[str]) -> Callable[[Any], Iterator[Any]]:
    if field := match["field"]:
        return _by_field(re.sub(r"\\(.)", r"\1", field)) if field != "*" else _every
    if index := match["index"]:
        return _by_index(int(index))
    if match["all"]:
        return _every
    if quoted := match["quoted"]:
        return _by_field(quoted[1:-1])
    return _by_filter(match["left"], match["operator"], match["right"])


def _by_field(name: str) -> Callable[[Any], Iterator[Any]]:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict) and name in value:
            yield value[name]

    return step


def _by_index(index: int) -> Callable[[Any], Iterator[Any]]:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list) and -len(value) <= index < len(value):
            yield value[index]

    return step


def _every(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        yield from value
    elif isinstance(value, dict):
        yield from value.values()


def _by_filter(
    left: str, operator: str | None, right: str | None
) -> Callable[[Any], Iterator[Any]]:
    path = compile_path(left)
    text = (right or "").strip()
    wanted = text[1:-1] if text[:1] in ("'", '"') else _literal(text)
    compare: dict[str | None, Callable[[Any], bool]] = {
        None: lambda _: True,
        "==": lambda found: bool(found == wanted),
        "!=": lambda found: bool(found != wanted),
        "<": lambda found: bool(found < wanted),
        "<=": lambda found: bool(found <= wanted),
        ">": lambda found: bool(found > wanted),
        ">=": lambda found: bool(found >= wanted),
    }
    holds = compare[operator]

    def step(value: Any) -> Iterator[Any]:
        for item in value if isinstance(value, list) else ():
            if any(holds(found) for found in path.find(item)):
                yield item

    return step


def _literal(text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError as error:
        raise ValueError(f"cannot compare with {text!r} in a JSONPath filter") from error
