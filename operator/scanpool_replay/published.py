"""The published load tests, and how near a replay has to come to them.

Figures of 2026-01-27/28; None was not published. 429s are a lower bound: part of the logs is lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, nan
from statistics import median

from scanpool_replay.run import Result

# How far a replay may be off, as a share of the published figure.
RATE_TOLERANCE = 0.15
E2E_TOLERANCE = 0.25
# Rates and durations are judged for these loads; below, the pipeline is not saturated.
JUDGED_USERS = range(250, 1001)
# The first 429 came 189 s after the start.
FIRST_429_SECONDS = (150.0, 230.0)


@dataclass(frozen=True, slots=True)
class Row:
    """One published load test: KEDA with at most 3 replicas, one canary pod, 2 M TPM."""

    users: int
    submitted: int
    completed: int
    failed: int
    e2e_p95: float
    scans_per_minute: float | None
    rate_refusals: int
    first_429: float | None = None

    @property
    def scenario(self) -> str:
        """Name of the scenario that replays it."""
        return f"published-{self.users}"


ROWS = (
    Row(50, 685, 683, 0, 17.7, None, 0),
    Row(200, 1_649, 1_646, 0, 33.2, None, 0),
    Row(250, 1_754, 1_752, 0, 40.5, 417.6, 0),
    Row(300, 1_732, 1_730, 0, 48.5, 402.0, 0),
    Row(400, 1_901, 1_880, 20, 62.2, None, 0),
    Row(500, 1_336, 1_336, 0, 83.3, 367.9, 0),
    Row(600, 1_408, 1_401, 4, 108.3, 358.6, 0),
    Row(1_000, 1_645, 1_204, 97, 175.4, 301.1, 1_017, 189.0),
)


@dataclass(frozen=True, slots=True)
class Check:
    """One figure of a replay beside the published one; `holds` is None where it is not judged."""

    users: int
    figure: str
    published: float
    replayed: float
    holds: bool | None

    @property
    def deviation(self) -> float:
        """How far the replay is off, as a share of the published figure."""
        return self.replayed / self.published - 1 if self.published else nan


def compare(row: Row, runs: Sequence[Result]) -> tuple[Check, ...]:
    """Hold replays of a row, one per seed, against what was published of it, by their medians.

    That there are no 429s has to hold for every seed.
    """
    is_judged = row.users in JUDGED_USERS
    e2e = median(one.e2e_p95 for one in runs)
    checks = [_within(row, "E2E p95", row.e2e_p95, e2e, E2E_TOLERANCE if is_judged else None)]
    if row.scans_per_minute is not None:
        checks.append(
            _within(
                row,
                "scans/min",
                row.scans_per_minute,
                median(one.scans_per_minute for one in runs),
                RATE_TOLERANCE if is_judged else None,
            )
        )
    if row.first_429 is None:
        most = max(one.at_end.rate_refusals for one in runs)
        checks.append(Check(row.users, "429s", row.rate_refusals, most, most == 0))
    else:
        first = median(inf if one.first_429 is None else one.first_429 for one in runs)
        low, high = FIRST_429_SECONDS
        checks.append(Check(row.users, "first 429", row.first_429, first, low <= first <= high))
        refused = median(one.at_end.rate_refusals for one in runs)
        checks.append(Check(row.users, "429s", row.rate_refusals, refused, None))
    for figure, published, replayed in (
        ("submitted", row.submitted, [one.seen_submitted for one in runs]),
        ("completed", row.completed, [one.seen_completed for one in runs]),
        ("failed", row.failed, [one.seen_failed for one in runs]),
    ):
        checks.append(Check(row.users, figure, published, median(replayed), None))
    return tuple(checks)


def _within(
    row: Row, figure: str, published: float, replayed: float, tolerance: float | None
) -> Check:
    holds = None if tolerance is None else abs(replayed / published - 1) <= tolerance
    return Check(row.users, figure, published, replayed, holds)
