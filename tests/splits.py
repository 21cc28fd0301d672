"""How a limit is split, by the names of those who ask."""

from collections.abc import Iterable

from scanpool.decide.ask import Ask
from scanpool.decide.fair import Asks, Given


def by_name(given: Given, asks: Iterable[Ask]) -> dict[str, int]:
    """Return what each is granted, in replicas."""
    return {ask.name: given.to(ask) for ask in asks}


def in_replicas(total: float, asks: Iterable[Ask]) -> dict[str, int]:
    """Return what each is granted of `total` tokens per minute, in replicas."""
    there = list(asks)
    return by_name(Asks(there).given(total), there)


def share(total: float, asks: Iterable[Ask]) -> dict[str, float]:
    """Return each one's fair grant of `total`, in tokens per minute."""
    return {
        ask.name: grant
        for of_class, grants in Asks(asks).shared(total)
        for ask, grant in zip(of_class, grants, strict=True)
    }
