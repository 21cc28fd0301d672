"""What an autoscaler has to reach at VU 1000, and whether it does."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from scanpool_replay.oracle import RARE, Hindsight
from scanpool_replay.run import Result

LEAST_SUCCESS = 0.999
MOST_WASTED = 0.005
LEAST_OF_ORACLE = 0.95


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


def judge(results: Iterable[Result], oracle: Iterable[Result]) -> tuple[Verdict, ...]:
    """Judge one autoscaler's runs, one per seed, by their medians."""
    runs = tuple(results)
    refused = median(one.final.refused_share for one in runs)
    success = median(one.final.success for one in runs)
    wasted = median(one.final.wasted_share for one in runs)
    share = median(one.seen_completed for one in runs) / median(
        one.seen_completed for one in oracle
    )
    return (
        Verdict(f"429s at most {RARE:.1%} of LLM calls", refused, refused <= RARE),
        Verdict(f"success at least {LEAST_SUCCESS:.1%}", success, success >= LEAST_SUCCESS),
        Verdict(f"tokens wasted at most {MOST_WASTED:.1%}", wasted, wasted <= MOST_WASTED),
        Verdict(
            f"completions at least {LEAST_OF_ORACLE:.0%} of the oracle's",
            share,
            share >= LEAST_OF_ORACLE,
        ),
    )


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
    finer: float
    two_steps: float
    names: tuple[str, str, str]

    @classmethod
    def of(cls, hindsights: Sequence[Hindsight]) -> "Gap":
        """Take them from the runs, one per seed."""
        first = hindsights[0]
        return cls(
            bucket=first.bucket_scans,
            charged=median(one.best.at_end.tokens_charged for one in hindsights)
            / first.scan_tokens,
            oracle=median(one.best.seen_completed for one in hindsights),
            finer=median(one.finer.seen_completed for one in hindsights),
            two_steps=median(one.two_steps.seen_completed for one in hindsights),
            names=(first.best.controller, first.finer.controller, first.two_steps.controller),
        )

    @property
    def started(self) -> float:
        """Share of the gap that was spent on scans that the load test did not see completed."""
        return (self.charged - self.oracle) / (self.bucket - self.oracle)

    @property
    def coarse_knob(self) -> float:
        """Share of the gap that quarter-sized pods would close."""
        return (self.finer - self.oracle) / (self.bucket - self.oracle)

    @property
    def burst(self) -> float:
        """Share of the gap that one replica more until the right moment would close."""
        return (self.two_steps - self.oracle) / (self.bucket - self.oracle)
