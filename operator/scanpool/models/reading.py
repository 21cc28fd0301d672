"""A reading: a value with its time and source, or unavailable, because. Unknown is never zero."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from scanpool.models.conditions import Reason

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Available(Generic[T_co]):
    """A value, read `at` (seconds since the epoch) from `source` (a word for the status)."""

    value: T_co
    at: float
    source: str


@dataclass(frozen=True, slots=True)
class Unavailable:
    """What could not be read, why, and what to do. `message` never carries a secret."""

    reason: Reason
    message: str


Reading = Available[T_co] | Unavailable
