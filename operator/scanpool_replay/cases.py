"""Closed-loop cases: scenarios with bounds, run with and without a restart in the middle."""

from collections.abc import Sequence
from dataclasses import dataclass

from scanpool_replay import settled
from scanpool_replay.bounds import Bounds
from scanpool_replay.contenders import Controller, Scanpool
from scanpool_replay.events import RestartController
from scanpool_replay.judge import Verdict
from scanpool_replay.run import Result, run
from scanpool_replay.scenario import Scenario, ScenarioError, load, shipped
from scanpool_replay.settled import Figures, Use

PREFIX = "loop-"
# The operator starts again in the middle of the hour, and soon after each event.
RESTART_SECONDS = 1_800.0
RESTART_AFTER_EVENT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run of a case, measured and judged; `autoscaler` names it in reports."""

    autoscaler: str
    result: Result
    pipelines: tuple[Figures, ...]
    uses: tuple[Use, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def broken(self) -> tuple[Verdict, ...]:
        """The bounds that do not hold."""
        return tuple(one for one in self.verdicts if not one.holds)

    @property
    def refused_share(self) -> float:
        """Rate-limit 429s as a share of all workers' calls, once settled."""
        calls = sum(one.calls for one in self.pipelines)
        return sum(one.rate_refusals for one in self.pipelines) / calls if calls else 0.0

    @property
    def utilization(self) -> float | None:
        """Use of the limit as a share, mean of the phases; None where no messages waited."""
        shares = [one.used / one.limit for one in self.uses]
        return sum(shares) / len(shares) if shares else None

    @property
    def most_scalings(self) -> int:
        """Most scalings of a pipeline within five minutes, once settled."""
        return max(one.most_scalings for one in self.pipelines)


def names() -> tuple[str, ...]:
    """Return the cases that come along."""
    return tuple(name for name in shipped() if name.startswith(PREFIX))


def bounds_of(scenario: Scenario) -> Bounds:
    """Return a case's bounds.

    Raises:
        ScenarioError: if the scenario has none.

    """
    if scenario.bounds is None:
        raise ScenarioError(f"{scenario.name} is no closed-loop case: it has no bounds")
    return scenario.bounds


def read(name_or_path: str) -> Scenario:
    """Read a case.

    Raises:
        ScenarioError: if there is none, or if it is not one.

    """
    scenario = load(name_or_path)
    bounds_of(scenario)
    return scenario


def with_restarts(scenario: Scenario) -> Scenario:
    """Return the case with an operator that starts again half-way, and soon after each event."""
    times = {one.at_seconds + RESTART_AFTER_EVENT_SECONDS for one in scenario.events}
    restarts = tuple(
        RestartController(kind="restartController", at_seconds=time)
        for time in sorted(times | {RESTART_SECONDS})
    )
    return scenario.model_copy(update={"events": (*scenario.events, *restarts)})


def play(scenario: Scenario, controller: Controller, seed: int = 1) -> Outcome:
    """Run a case under one autoscaler, and judge it."""
    result = run(scenario, controller, seed)
    bounds = bounds_of(scenario)
    calm = settled.phases(scenario, bounds.settle_seconds)
    steady = settled.phases(scenario, max(bounds.settle_seconds, bounds.recover_seconds))
    pipelines = tuple(settled.figures(track, calm, steady) for track in result.tracks)
    uses = settled.uses(result.tracks, steady)
    verdicts = _verdicts(bounds, result, pipelines, uses)
    is_restarted = any(isinstance(one, RestartController) for one in scenario.events)
    name = f"{controller.label}, restarted" if is_restarted else controller.label
    return Outcome(name, result, pipelines, uses, verdicts)


def rivals(scenario: Scenario) -> tuple[Controller, ...]:
    """Return the autoscalers that scanpool is compared with."""
    return tuple(one for one in scenario.controllers if not isinstance(one, Scanpool))


def scanpool_of(scenario: Scenario) -> Scanpool:
    """Return the autoscaler that a case is about.

    Raises:
        ScenarioError: if it names none.

    """
    found = [one for one in scenario.controllers if isinstance(one, Scanpool)]
    if not found:
        raise ScenarioError(f"{scenario.name} names no scanpool among its controllers")
    return found[0]


def _verdicts(
    bounds: Bounds, result: Result, pipelines: Sequence[Figures], uses: Sequence[Use]
) -> tuple[Verdict, ...]:
    found = []
    for one in pipelines:
        of = f"{one.pipeline}: " if one.pipeline else ""
        found += [
            Verdict(
                f"{of}429s at most {bounds.most_refused_share:.1%} of calls",
                one.refused_share,
                one.refused_share <= bounds.most_refused_share,
            ),
            Verdict(
                f"{of}at most {bounds.most_scalings} scalings in five minutes",
                one.most_scalings,
                one.most_scalings <= bounds.most_scalings,
            ),
        ]
        if bounds.most_cost_error is not None and one.cost_error is not None:
            found.append(
                Verdict(
                    f"{of}cost of a replica off by at most {bounds.most_cost_error:.0%}",
                    one.cost_error,
                    one.cost_error <= bounds.most_cost_error,
                )
            )
    found += [_use(bounds, one) for one in uses]
    for name, most, count in (
        ("scans failed", bounds.most_failed, result.final.failed),
        ("calls refused unpaid", bounds.most_quota_refusals, result.final.quota_refusals),
    ):
        if most is not None:
            found.append(Verdict(f"at most {most} {name}", count, count <= most))
    return tuple(found)


def _use(bounds: Bounds, use: Use) -> Verdict:
    """Judge the use of the limit: enough of it, or within one replica of the target."""
    within_one = bounds.target_utilization * use.limit - use.per_replica
    least = max(min(bounds.least_utilization * use.limit, within_one), 0.0)
    return Verdict(
        f"use at least {least / use.limit:.0%} of the limit, "
        f"{use.phase.start:,.0f} to {use.phase.end:,.0f} s",
        use.used / use.limit,
        use.used >= least,
    )
