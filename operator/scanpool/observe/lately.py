"""What somebody has asked for lately: what nobody wants any more is told, and forgotten."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Lately(Generic[K]):
    """Keys, and when each was wanted last; those not wanted for `seconds` are forgotten.

    To want one costs the same however many there are.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        # What was wanted last comes last.
        self._wanted: OrderedDict[K, float] = OrderedDict()

    def want(self, key: K, now: float) -> list[K]:
        """Take note that a key is wanted; return those that are forgotten by that."""
        self._wanted[key] = now
        self._wanted.move_to_end(key)
        forgotten = []
        while now - next(iter(self._wanted.values())) >= self._seconds:
            forgotten.append(self._wanted.popitem(last=False)[0])
        return forgotten

    def __len__(self) -> int:
        return len(self._wanted)
