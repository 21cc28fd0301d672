"""A pool as YAML, with its notes as comments at the places that they are about."""

import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf
from typing import Any

import yaml

from scanpool.convert.notes import Note, Path

WIDTH = 100
"""Columns."""
INDENT = "  "
PLAIN = re.compile(
    r"(?!(?:true|false|yes|no|on|off|null|y|n)$)[A-Za-z][A-Za-z0-9./-]*", re.IGNORECASE
)
"""Text that needs no quotes, whichever version of YAML reads it."""


def render(pool: Mapping[str, Any], notes: Iterable[Note]) -> str:
    """Return the YAML document. A note about something that is not there stands where it would be.

    A part of a list counts by its `name`.
    """
    return "".join(f"{line}\n" for line in _Writer(tuple(notes)).mapping(pool, (), ""))


def comment(line: str, indent: str = "") -> list[str]:
    """Return a line as a comment, folded."""
    start = f"{indent}# "
    return textwrap.wrap(
        line,
        WIDTH,
        initial_indent=start,
        subsequent_indent=start,
        break_long_words=False,
        break_on_hyphens=False,
    )


class _Writer:
    def __init__(self, notes: Sequence[Note]) -> None:
        self._notes = notes

    def mapping(self, value: Mapping[str, Any], path: Path, indent: str) -> Iterator[str]:
        for key, inner in value.items():
            here = (*path, key)
            yield from self._said(here, indent)
            if isinstance(inner, Mapping) and inner:
                yield f"{indent}{_scalar(key)}:"
                yield from self.mapping(inner, here, indent + INDENT)
            elif isinstance(inner, Sequence) and not isinstance(inner, str) and inner:
                yield f"{indent}{_scalar(key)}:"
                yield from self._items(inner, here, indent)
            else:
                yield f"{indent}{_scalar(key)}: {_scalar(inner)}"
        there = {(*path, key) for key in value}
        depth = len(path)
        for note in self._notes:
            is_below = len(note.path) > depth and note.path[:depth] == path
            if is_below and note.path[: depth + 1] not in there:
                yield from comment(note.line, indent)

    def _items(self, items: Sequence[Any], path: Path, indent: str) -> Iterator[str]:
        names = [
            one.get("name", number) if isinstance(one, Mapping) else number
            for number, one in enumerate(items)
        ]
        for name, item in zip(names, items, strict=True):
            here = (*path, name)
            yield from self._said(here, indent)
            lines = list(self.mapping(item, here, indent + INDENT))
            first = next(n for n, line in enumerate(lines) if not line.lstrip().startswith("#"))
            yield from lines[:first]
            yield f"{indent}- {lines[first].removeprefix(indent + INDENT)}"
            yield from lines[first + 1 :]
        depth = len(path)
        for note in self._notes:
            is_below = len(note.path) > depth and note.path[:depth] == path
            if is_below and note.path[depth] not in names:
                yield from comment(note.line, indent)

    def _said(self, path: Path, indent: str) -> Iterator[str]:
        for note in self._notes:
            if note.path == path:
                yield from comment(note.line, indent)


def _scalar(value: object) -> str:
    """Return a value in line, in quotes where YAML could take it for something else."""
    if isinstance(value, float):
        # YAML 1.1 takes 1e-09, as JSON has it, for a text.
        return yaml.safe_dump(value).partition("\n")[0]
    if not isinstance(value, str):
        return json.dumps(value)
    if PLAIN.fullmatch(value):
        return value
    return yaml.safe_dump(value, default_style='"', width=inf, allow_unicode=True).rstrip("\n")
