"""Runs of one command: counted, timed, and shown while they last."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from scanpool_replay.oracle import Hindsight, look_back
from scanpool_replay.run import Result, run
from scanpool_replay.scenario import Scenario


@dataclass
class Session:
    """Carries out runs, and remembers what they took. The bar is for people: it goes to stderr."""

    console: Console = field(default_factory=lambda: Console(stderr=True))
    runs: int = 0
    simulated_seconds: float = 0.0
    wall_seconds: float = 0.0

    def results(self, scenarios: Sequence[Scenario], seeds: Sequence[int]) -> list[Result]:
        """Run every scenario under each of its autoscalers with every seed."""
        jobs = [
            (scenario, controller, seed)
            for scenario in scenarios
            for controller in scenario.controllers
            for seed in seeds
        ]
        found = []
        with self._bar(len(jobs)) as progress:
            task = progress.task_ids[0]
            for scenario, controller, seed in jobs:
                progress.update(task, description=f"{scenario.name}: {controller.label}")
                found.append(run(scenario, controller, seed))
                self.count(found[-1])
                progress.advance(task)
        return found

    def hindsight(self, scenario: Scenario, seeds: Sequence[int]) -> list[Hindsight]:
        """Find the oracle and its relatives for each seed."""
        with self._bar(None) as progress:
            task = progress.task_ids[0]

            def ran(result: Result) -> None:
                self.count(result)
                progress.update(task, description=f"{scenario.name}: {result.controller}")
                progress.advance(task)

            return [look_back(scenario, seed, ran) for seed in seeds]

    def count(self, result: Result) -> None:
        """Add a run to the tally."""
        self.runs += 1
        self.simulated_seconds += result.simulated_seconds
        self.wall_seconds += result.wall_seconds

    def tally(self) -> str:
        """Say how fast the simulation was."""
        if not self.wall_seconds:
            return "nothing was run"
        speed = self.simulated_seconds / self.wall_seconds
        return (
            f"{self.runs} runs, {self.simulated_seconds:,.0f} simulated seconds in "
            f"{self.wall_seconds:.1f} s: {speed:,.0f} simulated seconds per wall second"
        )

    @contextmanager
    def _bar(self, total: int | None) -> Iterator[Progress]:
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TimeElapsedColumn(),
        )  # fmt: skip
        with Progress(*columns, console=self.console, transient=True) as progress:
            progress.add_task("", total=total)
            yield progress
