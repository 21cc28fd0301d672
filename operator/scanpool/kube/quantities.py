"""Quantities of the API, as texts, to numbers: bytes, millicores, else whole numbers. Pure."""

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache

from kubernetes.utils.quantity import parse_quantity

CPU = frozenset({"cpu", "requests.cpu", "limits.cpu"})
MILLICORES = 1000


def amounts(quantities: Mapping[str, str] | None) -> dict[str, int]:
    """Return what each resource comes to, as a container, a node or a quota names them."""
    return {name: amount(name, text) for name, text in (quantities or {}).items()}


def amount(resource: str, text: str) -> int:
    """Return how much of a resource it is."""
    found = quantity(text)
    return int(found * MILLICORES if resource in CPU else found)


@lru_cache(maxsize=4096)
def quantity(text: str) -> Decimal:
    """Parse a quantity; a cluster has few different ones."""
    found: Decimal = parse_quantity(text)
    return found
