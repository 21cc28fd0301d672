"""Regular expressions for queues: which names they mean."""

import re
from collections.abc import Iterable

ESCAPED = frozenset(r"\.^$*+?()[]{}|-_/")
"""What a backslash makes a plain character of."""
SPECIAL = frozenset(r".*+?[]{}^$")


class EndlessError(Exception):
    """The expression matches more names than can be written down."""


def matching(expression: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return the names that an expression matches as RabbitMQ does: anywhere, and in any case.

    Raises:
        re.error: if it is no regular expression.

    """
    compiled = re.compile(expression, re.IGNORECASE)
    return tuple(name for name in names if compiled.search(name))


def alternatives(expression: str) -> tuple[str, ...]:
    r"""Return all names that an expression means, where they are few, as in ^scan\.(a|b)$.

    Raises:
        EndlessError: if it is not bound at both ends, or repeats, or takes any character.

    """
    if not (expression.startswith("^") and expression.endswith("$")):
        raise EndlessError
    names, rest = _sequence(expression[1:-1])
    if rest:
        raise EndlessError
    return tuple(dict.fromkeys(names))


def _sequence(text: str) -> tuple[list[str], str]:
    """Return the names of a sequence, and what follows it: nothing, a bar or a closing bracket."""
    names = [""]
    while text and text[0] not in "|)":
        parts, text = _atom(text)
        names = [name + part for name in names for part in parts]
    return names, text


def _atom(text: str) -> tuple[list[str], str]:
    if text[0] == "(":
        return _group(text[1:].removeprefix("?:"))
    if text[0] == "\\" and text[1:2] and text[1] in ESCAPED:
        return [text[1]], text[2:]
    if text[0] in SPECIAL or text[0] == "\\":
        raise EndlessError
    return [text[0]], text[1:]


def _group(text: str) -> tuple[list[str], str]:
    names, rest = _sequence(text)
    while rest.startswith("|"):
        more, rest = _sequence(rest[1:])
        names += more
    if not rest.startswith(")"):
        raise EndlessError
    return names, rest[1:]
