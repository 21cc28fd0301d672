"""A scan on its way, and the book of all scans: every one ends once, or is still in flight."""

from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from random import Random

from scanpool_replay.settings import Provider, Stage

End = Callable[["Scan"], None]


class Outcome(StrEnum):
    """How a scan ended."""

    COMPLETED = "completed"
    FAILED = "failed"


class Scan:
    """One scan. `latencies` are drawn in advance: a scan meets the same under every autoscaler."""

    __slots__ = ("charged", "ended_at", "first_stage", "latencies", "number", "on_end", "outcome",
                 "submitted_at")  # fmt: skip

    def __init__(
        self,
        number: int,
        submitted_at: float,
        latencies: tuple[float, ...],
        first_stage: int = 0,
    ) -> None:
        self.number = number
        self.first_stage = first_stage
        self.submitted_at = submitted_at
        self.latencies = latencies
        self.charged = 0
        self.outcome: Outcome | None = None
        self.ended_at = 0.0
        self.on_end: End | None = None


class Task:
    """One message: a stage of a scan, at its nth attempt."""

    __slots__ = ("attempt", "scan", "stage")

    def __init__(self, scan: Scan, stage: int, attempt: int = 0) -> None:
        self.scan = scan
        self.stage = stage
        self.attempt = attempt


class Book:
    """Counts scans and what became of the tokens that were charged for them."""

    def __init__(self, stages: tuple[Stage, ...], provider: Provider, rng: Random) -> None:
        self._stages = stages
        self._sigma = provider.latency_sigma
        self._rng = rng
        self.submitted = 0
        self.completed = 0
        self.failed = 0
        self.reasons: Counter[str] = Counter()
        self.useful_tokens = 0
        self.wasted_tokens = 0
        self.last_end: float | None = None

    @property
    def in_flight(self) -> int:
        """Scans that have not ended."""
        return self.submitted - self.completed - self.failed

    def submit(self, now: float, first_stage: int = 0) -> Scan:
        """Open a scan that begins with this stage."""
        self.submitted += 1
        draw = self._rng.lognormvariate
        latencies = tuple(
            stage.latency_seconds * draw(0.0, self._sigma) if stage.latency_seconds else 0.0
            for stage in self._stages
        )
        return Scan(self.submitted, now, latencies, first_stage)

    def complete(self, scan: Scan, now: float) -> None:
        """Close a scan; what was charged beyond one call a stage was wasted."""
        self.completed += 1
        needed = sum(stage.tokens for stage in self._stages[scan.first_stage :])
        self.useful_tokens += needed
        self.wasted_tokens += scan.charged - needed
        self._end(scan, Outcome.COMPLETED, now)

    def fail(self, scan: Scan, reason: str, now: float) -> None:
        """Close a scan; all that was charged for it was wasted."""
        self.failed += 1
        self.reasons[reason] += 1
        self.wasted_tokens += scan.charged
        self._end(scan, Outcome.FAILED, now)

    def _end(self, scan: Scan, outcome: Outcome, now: float) -> None:
        if scan.outcome is not None:
            raise RuntimeError(f"scan {scan.number} ended twice")
        scan.outcome, scan.ended_at, self.last_end = outcome, now, now
        if scan.on_end is not None:
            scan.on_end(scan)
