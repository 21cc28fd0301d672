"""Wait for what the operator brings about, from outside of every event loop."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_SECONDS = 60.0
"""Everything here takes a few seconds; a busy machine may take ten times as long."""
POLL_SECONDS = 0.05


def until(
    what: str,
    probe: Callable[[], T],
    seen: Callable[[], object] = lambda: "nothing else known",
    patience_seconds: float = PATIENCE_SECONDS,
) -> T:
    """Return the first thing that `probe` returns that is true; `seen` describes a failure."""
    deadline = time.monotonic() + patience_seconds
    while not (found := probe()):
        assert time.monotonic() < deadline, f"waited in vain until {what}; {found!r}; {seen()}"
        time.sleep(POLL_SECONDS)
    return found
