"""Closed-loop cases: scenarios with bounds, run with and without a restart in the middle."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scanpool.decide.spend import TOKENS_PER_PRICE
from scanpool_replay import classes, settled
from scanpool_replay.bounds import Bounds
from scanpool_replay.contenders import Controller, Fixed, Scanpool
from scanpool_replay.events import RestartController
from scanpool_replay.judge import Verdict
from scanpool_replay.run import Result, run
from scanpool_replay.scenario import Scenario, ScenarioError, load, shipped
from scanpool_replay.settled import Figures, Phase, Use

PREFIX = "loop-"
# The operator starts again in the middle of the hour, and soon after each event.
RESTART_SECONDS = 1_800.0
RESTART_AFTER_EVENT_SECONDS = 30.0
# By so much, as a share of calls, do the 429s of two runs differ at most that differ in nothing but
# the tokens of a probe (seeds 1 to 4: up to 0.21%).
CHANCE_SHARE = 0.003


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
        """Use of the limit as a share, the least of the phases; None where no messages waited."""
        return min((one.share for one in self.uses), default=None)

    @property
    def most_scalings(self) -> int:
        """Most scalings of a pipeline within five minutes, once settled."""
        return max(one.most_scalings for one in self.pipelines)

    @property
    def long_scalings(self) -> int:
        """Most scalings of a pipeline within ten minutes, once settled."""
        return max(one.long_scalings for one in self.pipelines)


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
    verdicts = (
        *_refused(scenario, seed, calm, pipelines),
        *(found for one in pipelines for found in _of_pipeline(bounds, one)),
        *(_use(bounds, one) for one in uses),
        *_classes(scenario, result, steady),
        *_steered(scenario, result),
        *_losses(bounds, result),
    )
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


def _refused(
    scenario: Scenario, seed: int, calm: Sequence[Phase], pipelines: Sequence[Figures]
) -> Iterator[Verdict]:
    bounds = bounds_of(scenario)
    if bounds.refused_as_replicas is None:
        for one in pipelines:
            yield Verdict(
                f"{_of(one)}429s at most {bounds.most_refused_share:.1%} of calls",
                one.refused_share,
                one.refused_share <= bounds.most_refused_share,
            )
        return
    fixed = Fixed(kind="fixed", replicas=bounds.refused_as_replicas)
    for one, track in zip(pipelines, run(scenario, fixed, seed).tracks, strict=True):
        share = settled.figures(track, calm, ()).refused_share
        yield Verdict(
            f"{_of(one)}429s at most {share:.2%} of calls, as under {fixed.label}",
            one.refused_share,
            one.refused_share <= share + CHANCE_SHARE,
        )


def _of_pipeline(bounds: Bounds, one: Figures) -> Iterator[Verdict]:
    for most, count, minutes in (
        (bounds.most_scalings, one.most_scalings, "five"),
        (bounds.most_scalings_in_ten_minutes, one.long_scalings, "ten"),
    ):
        if most is not None:
            requirement = f"{_of(one)}at most {most} scalings in {minutes} minutes"
            yield Verdict(requirement, count, count <= most)
    if bounds.most_cost_error is not None and one.cost_error is not None:
        yield Verdict(
            f"{_of(one)}cost of a replica off by at most {bounds.most_cost_error:.0%}",
            one.cost_error,
            one.cost_error <= bounds.most_cost_error,
        )


def _use(bounds: Bounds, use: Use) -> Verdict:
    least = bounds.least_utilization
    return Verdict(
        f"use at least {least:.0%} of the limit, {use.phase.start:,.0f} to {use.phase.end:,.0f} s",
        use.share,
        use.share >= least,
    )


def _classes(scenario: Scenario, result: Result, steady: Sequence[Phase]) -> Iterator[Verdict]:
    bounds = bounds_of(scenario)
    if (least := bounds.least_of_left) is not None:
        for one in classes.left(scenario, result.tracks, steady):
            yield Verdict(
                f"lower classes get at least {least:.0%} of what is left, "
                f"{one.phase.start:,.0f} to {one.phase.end:,.0f} s",
                one.share,
                one.share >= least,
            )
    if (most := bounds.most_wait_seconds) is not None:
        waited = classes.longest_wait(scenario, result.tracks)
        words = f"the highest class is kept at a ceiling for at most {most:,.0f} s"
        yield Verdict(words, round(waited), waited <= most)


def _steered(scenario: Scenario, result: Result) -> Iterator[Verdict]:
    bounds, spec = bounds_of(scenario), scanpool_of(scenario).spec
    if (least := bounds.least_of_budget) is not None and spec.llm is not None:
        if spec.llm.prices is None or spec.spend is None:
            raise ScenarioError(f"{scenario.name} bounds a budget that its pool does not have")
        tokens = sum(track.samples[-1].own_tokens for track in result.tracks)
        # The replay does not tell input from output: the price of both is the same.
        share = tokens * spec.llm.prices.dearest / TOKENS_PER_PRICE / spec.spend.per_day
        words = f"between {least:.0%} and 100% of the day's budget is spent"
        yield Verdict(words, share, least <= share <= 1)
    if (ready := bounds.least_ready_at_start) is not None:
        for track, load in zip(result.tracks, scenario.loads, strict=True):
            there = next(one.ready for one in track.samples if one.seconds >= load.start_seconds)
            words = f"at least {ready} replicas are ready when the load starts"
            yield Verdict(words, there, there >= ready)


def _losses(bounds: Bounds, result: Result) -> Iterator[Verdict]:
    for name, most, count in (
        ("scans failed", bounds.most_failed, result.final.failed),
        ("calls refused unpaid", bounds.most_quota_refusals, result.final.quota_refusals),
    ):
        if most is not None:
            yield Verdict(f"at most {most} {name}", count, count <= most)


def _of(one: Figures) -> str:
    return f"{one.pipeline}: " if one.pipeline else ""
