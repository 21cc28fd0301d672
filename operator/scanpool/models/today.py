"""What a provider tells of a limit of a day."""

from typing import NamedTuple


class Today(NamedTuple):
    """What is left of a limit of a day, and when it is whole again, where that is told."""

    left: int
    ends_at: float | None = None
