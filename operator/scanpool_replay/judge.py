"""What an autoscaler has to reach at VU 1000, and whether it does."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from scanpool_replay.oracle import RARE, Hindsight
from scanpool_replay.run import Result

LEAST_SUCCESS = 0.999
MOST_WASTED = 0.005
# Completions, as a share of what the best fixed number gives, and of the best by the minute.
LEAST_OF_FIXED = 1.0
LEAST_OF_BY_MINUTE = 0.95


@dataclass(frozen=True, slots=True)
class Verdict:
    """One requirement, the figure reached, and whether it is enough."""

    requirement: str
    reached: float
    holds: bool

    @property
    def shown(self) -> str:
        """The figure as it is printed: a number of scans, or a share."""
        return str(self.reached) if isinstance(self.reached, int) else f"{self.reached:.2%}"


def judge(results: Iterable[Result], hindsights: Sequence[Hindsight]) -> tuple[Verdict, ...]:
    """Judge one autoscaler's runs, one per seed, by their medians."""
    runs = tuple(results)
    refused = median(one.final.refused_share for one in runs)
    success = median(one.final.success for one in runs)
    wasted = median(one.final.wasted_share for one in runs)
    return (
        Verdict(f"429s at most {RARE:.1%} of LLM calls", refused, refused <= RARE),
        Verdict(f"success at least {LEAST_SUCCESS:.1%}", success, success >= LEAST_SUCCESS),
        Verdict(f"tokens wasted at most {MOST_WASTED:.1%}", wasted, wasted <= MOST_WASTED),
        _completions(
            "the best fixed number", LEAST_OF_FIXED, runs, [one.best for one in hindsights]
        ),
        _completions(
            "the oracle by the minute",
            LEAST_OF_BY_MINUTE,
            runs,
            [one.by_minute for one in hindsights],
        ),
    )


def _completions(
    name: str, least: float, runs: Sequence[Result], oracle: Sequence[Result]
) -> Verdict:
    share = median(one.seen_completed for one in runs) / median(
        one.seen_completed for one in oracle
    )
    return Verdict(f"completions at least {least:.0%} of those of {name}", share, share >= least)


def judge_losses(results: Iterable[Result]) -> tuple[Verdict, ...]:
    """Judge that no scan was lost, with any seed: none failed, and none is still on its way."""
    lost = max(one.final.failed + one.final.in_flight for one in results)
    return (Verdict("scans lost", lost, lost == 0),)


@dataclass(frozen=True, slots=True)
class Gap:
    """Where the completions between the oracle and the bucket went, in scans: medians.

    `charged` are the oracle's calls up to the end of the load test, whether or not their scans were
    completed by then.
    """

    bucket: float
    oracle: float
    charged: float
    by_minute: float
    names: tuple[str, str]

    @classmethod
    def of(cls, hindsights: Sequence[Hindsight]) -> "Gap":
        """Take them from the runs, one per seed."""
        first = hindsights[0]
        return cls(
            bucket=first.bucket_scans,
            charged=median(one.best.at_end.tokens_charged for one in hindsights)
            / first.scan_tokens,
            oracle=median(one.best.seen_completed for one in hindsights),
            by_minute=median(one.by_minute.seen_completed for one in hindsights),
            names=(first.best.controller, first.by_minute.controller),
        )

    @property
    def started(self) -> float:
        """Share of the gap that was spent on scans that the load test did not see completed."""
        return (self.charged - self.oracle) / (self.bucket - self.oracle)

    @property
    def changing(self) -> float:
        """Share of the gap that changing replicas once a minute would close."""
        return (self.by_minute - self.oracle) / (self.bucket - self.oracle)
