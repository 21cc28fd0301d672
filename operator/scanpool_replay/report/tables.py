"""Tables for a terminal."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from math import isnan
from statistics import median

from rich.table import Table

from scanpool_replay.judge import Gap, Verdict
from scanpool_replay.oracle import RARE, Hindsight
from scanpool_replay.published import Check
from scanpool_replay.run import Result

# Times that are sums of polls are whole up to a rounding error.
ROUND = 1e-6
MARKS = {True: "[green]yes[/]", False: "[red]no[/]", None: ""}


def runs(title: str, results: Sequence[Result]) -> Table:
    """Return a line per scenario and autoscaler: medians over the seeds, and their spread."""
    table = Table(title=title, title_justify="left")
    for column in ("scenario", "autoscaler"):
        table.add_column(column, no_wrap=True)
    for column in (
        "max", "submitted", "completed", "failed", "scans/min", "E2E p95 s",
        "429s", "of calls", "quota 429s", "wasted", "failed in all", "success", "OOM", "drained s",
    ):  # fmt: skip
        table.add_column(column, justify="right")
    for (scenario, controller), same in grouped(results).items():
        table.add_row(
            scenario,
            controller,
            _spread([one.max_replicas for one in same]),
            _spread([one.seen_submitted for one in same]),
            _spread([one.seen_completed for one in same]),
            _spread([one.seen_failed for one in same]),
            _spread([one.scans_per_minute for one in same]),
            _spread([one.e2e_p95 for one in same]),
            _spread([one.final.rate_refusals for one in same]),
            f"{median(one.final.refused_share for one in same):.2%}",
            _spread([one.final.quota_refusals for one in same]),
            f"{median(one.final.wasted_share for one in same):.2%}",
            _spread([one.final.failed for one in same]),
            f"{median(one.final.success for one in same):.2%}",
            _spread([one.oom_kills for one in same]),
            _spread([float("nan") if one.drained_at is None else one.drained_at for one in same]),
        )
    return table


def calibration(checks: Iterable[Check]) -> Table:
    """Return the replayed figures beside the published ones."""
    table = Table(title="Calibration: KEDA, at most 3 replicas, one canary pod, 2 M TPM")
    table.add_column("VU", justify="right")
    table.add_column("figure")
    for column in ("published", "replayed", "off by", "within bounds"):
        table.add_column(column, justify="right")
    for check in checks:
        table.add_row(
            str(check.users),
            check.figure,
            _plain(check.published),
            _plain(check.replayed),
            "" if isnan(check.deviation) else f"{check.deviation:+.0%}",
            MARKS[check.holds],
        )
    return table


def verdicts(title: str, found: Iterable[Verdict]) -> Table:
    """Return what an autoscaler has to reach, and what it does."""
    table = Table(title=title, title_justify="left")
    table.add_column("requirement")
    table.add_column("reached", justify="right")
    table.add_column("holds")
    for one in found:
        table.add_row(one.requirement, one.shown, MARKS[one.holds])
    return table


def sweep(hindsight: Hindsight) -> Table:
    """Return what every fixed number of replicas gives, for one seed."""
    title = f"{hindsight.best.scenario}: every fixed number of replicas, seed {hindsight.best.seed}"
    return runs(title, hindsight.sweep)


def gap(scenario: str, found: Gap) -> Table:
    """Return what hindsight and the bucket would have allowed."""
    fixed, by_minute = found.names
    table = Table(title=f"{scenario}: what the limit allows", title_justify="left")
    table.add_column("if")
    table.add_column("scans", justify="right")
    table.add_column("of the gap", justify="right")
    table.add_row(
        f"the best fixed number with 429s at most {RARE:.1%}: {fixed}", _plain(found.oracle)
    )
    table.add_row(
        f"the best by the minute: {by_minute}", _plain(found.by_minute), f"{found.changing:.0%}"
    )
    table.add_row(
        "the fixed number's calls by then, also those for scans still under way",
        _plain(found.charged),
        f"{found.started:.0%}",
    )
    table.add_row("only the bucket limited: burst and refill over tokens a scan",
                  f"{found.bucket:,.0f}", "100%")  # fmt: skip
    return table


def grouped(results: Iterable[Result]) -> dict[tuple[str, str], list[Result]]:
    """Return the runs that differ only in their seed, together."""
    found: defaultdict[tuple[str, str], list[Result]] = defaultdict(list)
    for one in results:
        found[one.scenario, one.controller].append(one)
    return dict(found)


def _spread(values: Sequence[float]) -> str:
    """Return the median, with the least and the greatest where they differ."""
    least, most = min(values), max(values)
    if least == most or isnan(least) or isnan(most):
        return _plain(values[0]) if len(values) == 1 else _plain(median(values))
    return f"{_plain(median(values))} [dim]({_plain(least)}-{_plain(most)})[/]"


def _plain(value: float) -> str:
    if isnan(value):
        return "-"
    return f"{value:,.0f}" if abs(value - round(value)) < ROUND else f"{value:,.1f}"
