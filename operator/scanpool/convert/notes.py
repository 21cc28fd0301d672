"""What a conversion has to say, and at which place of the pool."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum

Path = tuple[str | int, ...]

# Text of a ScaledObject in a comment: enough to find it by, whatever its length.
MOST_SHOWN = 120


class Effect(StrEnum):
    """What follows from a difference between a ScaledObject and its pool."""

    NONE = ""
    """Nothing, for what the pool decides."""
    TO_DO = "TO DO: "
    """The pool says that something is missing, and scales nothing, until a person has acted."""
    CHANGED = "CHANGED: "
    """The pool decides something else, and nothing would say so later."""


class RefusedError(Exception):
    """There is no pool for this ScaledObject; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence at a place of the pool, such as ("spec", "fallback"), whether or not it is there.

    Its text holds no value of a Secret.
    """

    path: Path
    effect: Effect
    text: str

    @property
    def line(self) -> str:
        """The note as one line."""
        return f"{self.effect}{self.text}"


@dataclass(slots=True)
class Notes:
    """The notes of one conversion, as they come up; the same one counts once."""

    _notes: list[Note] = field(default_factory=list)

    def say(self, path: Path, text: str) -> None:
        """Add what changes nothing."""
        self._add(Note(path, Effect.NONE, text))

    def ask(self, path: Path, text: str) -> None:
        """Add what a person has to do before the pool works."""
        self._add(Note(path, Effect.TO_DO, text))

    def warn(self, path: Path, text: str) -> None:
        """Add what the pool does differently."""
        self._add(Note(path, Effect.CHANGED, text))

    def __iter__(self) -> Iterator[Note]:
        return iter(self._notes)

    def _add(self, note: Note) -> None:
        note = replace(note, text=printable(note.text))
        if note not in self._notes:
            self._notes.append(note)


def shown(text: object) -> str:
    """Return text of an input as one short line in quotes, safe in a comment and a terminal."""
    quoted = json.dumps(str(text))
    return quoted if len(quoted) <= MOST_SHOWN else f'{quoted[:MOST_SHOWN]}..."'


def printable(line: str) -> str:
    """Return a line with what no terminal and no comment should get written out."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in line
    )
