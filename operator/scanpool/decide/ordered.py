"""Values in order that follow from one another at each change."""

from bisect import bisect_left, insort
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


def swapped(
    ordered: Sequence[T], gone: T | None, come: T | None, key: Callable[[T], Any] | None = None
) -> Sequence[T]:
    """Return values in order, `come` in the place of `gone`; the same where nothing changes.

    None: nothing goes, or comes. What goes has to be among them. They are in order by `key`, if
    there is one, and values with the same key are the same.
    """
    if gone == come:
        return ordered
    changed: list[Any] = list(ordered)
    if gone is not None:
        at = bisect_left(changed, key(gone), key=key) if key else bisect_left(changed, gone)
        del changed[at]
    if come is not None:
        insort(changed, come, key=key)
    return changed
