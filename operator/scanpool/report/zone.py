"""How near to a limit its use is, in the words of the system that this was built for."""

from enum import StrEnum


class Zone(StrEnum):
    """Share of the token limit in use: up to 50%, 75%, 90%, above, and once calls are refused."""

    GREEN = "Green"
    YELLOW = "Yellow"
    ORANGE = "Orange"
    RED = "Red"
    EXCEEDED = "Exceeded"


# Upper edges of the zones, as shares of the limit.
EDGES = ((0.50, Zone.GREEN), (0.75, Zone.YELLOW), (0.90, Zone.ORANGE))


def zone(limit: float, used: float, *, refused: bool) -> Zone:
    """Return how near to the limit the use is; Exceeded once calls are refused."""
    if refused:
        return Zone.EXCEEDED
    return next((name for edge, name in EDGES if used <= edge * limit), Zone.RED)
