"""Tells of the reads of sources: of what kind each was, how long it took, and why it failed."""

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar

from scanpool.models.reading import Reading, Unavailable

T = TypeVar("T")

Note = Callable[[str, float, str | None], None]
"""Takes the kind of a source, the seconds that a read of it took, and the reason if it failed."""


async def noted(note: Note, kind: str, read: Callable[[], Awaitable[Reading[T]]]) -> Reading[T]:
    """Read, and tell of it."""
    began = monotonic()
    found = await read()
    note(kind, monotonic() - began, found.reason if isinstance(found, Unavailable) else None)
    return found
