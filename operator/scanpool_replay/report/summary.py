"""Everything that one command found: runs, tables, figures, and how many bounds are broken."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from scanpool_replay.contenders import Scanpool
from scanpool_replay.judge import Gap, judge, judge_losses
from scanpool_replay.oracle import Hindsight
from scanpool_replay.published import ROWS, Check, compare
from scanpool_replay.report import tables
from scanpool_replay.run import Result
from scanpool_replay.scenario import Scenario
from scanpool_replay.session import Session

# What the published load tests were made with.
PUBLISHED_CONTROLLER = "keda max 3"


@dataclass(frozen=True)
class Summary:
    """What is printed and written."""

    results: list[Result]
    tables: list[Table]
    figures: dict[str, Any]
    broken: int


def summarize(session: Session, scenarios: Sequence[Scenario], seeds: Sequence[int]) -> Summary:
    """Run scenarios under their autoscalers, and judge what there is a bound for."""
    results = session.results(scenarios, seeds)
    title = "Runs: medians over the seeds, with the least and the greatest"
    found = Summary(results, [tables.runs(title, results)], {}, 0)
    if checks := _checks(results):
        found = _with_calibration(found, checks)
    for scenario in scenarios:
        hindsights = []
        if scenario.oracle_max_replicas is not None:
            hindsights = session.hindsight(scenario, seeds)
            found = _with_hindsight(found, scenario.name, hindsights)
        found = _with_verdicts(found, scenario, hindsights)
    return found


def _checks(results: Sequence[Result]) -> list[Check]:
    """Hold the replays of the published load tests against their figures, by medians."""
    found: list[Check] = []
    for row in ROWS:
        runs = [
            one
            for one in results
            if one.scenario == row.scenario and one.controller == PUBLISHED_CONTROLLER
        ]
        if runs:
            found += compare(row, runs)
    return found


def _with_calibration(found: Summary, checks: list[Check]) -> Summary:
    return Summary(
        found.results,
        [*found.tables, tables.calibration(checks)],
        {**found.figures, "calibration": [asdict(check) for check in checks]},
        found.broken + sum(check.holds is False for check in checks),
    )


def _with_hindsight(found: Summary, scenario: str, hindsights: Sequence[Hindsight]) -> Summary:
    gap = Gap.of(hindsights)
    shown = [tables.sweep(hindsights[0]), tables.gap(scenario, gap)]
    figures = {f"{scenario}: gap": asdict(gap)}
    return Summary(
        found.results, [*found.tables, *shown], {**found.figures, **figures}, found.broken
    )


def _with_verdicts(found: Summary, scenario: Scenario, hindsights: Sequence[Hindsight]) -> Summary:
    shown, figures, broken = [], {}, 0
    for controller in scenario.controllers:
        if not isinstance(controller, Scanpool):
            continue
        runs = [
            one
            for one in found.results
            if one.scenario == scenario.name and one.controller == controller.label
        ]
        verdicts = judge(runs, hindsights) if hindsights else ()
        if scenario.every_scan_completes:
            verdicts += judge_losses(runs)
        if not verdicts:
            continue
        title = f"{scenario.name}: {controller.label}"
        shown.append(tables.verdicts(title, verdicts))
        figures[title] = [asdict(one) for one in verdicts]
        broken += sum(not one.holds for one in verdicts)
    return Summary(
        found.results,
        [*found.tables, *shown],
        {**found.figures, **figures},
        found.broken + broken,
    )
