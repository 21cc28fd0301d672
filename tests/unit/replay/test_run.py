"""Runs as a whole: their determinism, their calibration, and what they say of the autoscalers."""

from dataclasses import replace

import pytest

from scanpool_replay.contenders import Fixed, Scanpool
from scanpool_replay.oracle import Schedule, best_of, bucket_scans, climbed, fixed
from scanpool_replay.published import ROWS, compare
from scanpool_replay.run import Result, percentile, run
from scanpool_replay.scenario import Scenario, load, shipped


def test_the_same_seed_gives_the_same_run_and_another_seed_another() -> None:
    scenario = load("noisy-neighbor")
    controller = next(one for one in scenario.controllers if isinstance(one, Scanpool))
    first = run(scenario, controller, 3)
    assert run(scenario, controller, 3) == first
    assert run(scenario, controller, 4).tracks != first.tracks


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.users))
def test_every_published_load_test_is_met_within_its_bounds(row: object) -> None:
    scenario = load(row.scenario)  # type: ignore[attr-defined]
    result = run(scenario, scenario.controllers[0], 1)
    broken = [check for check in compare(row, [result]) if check.holds is False]  # type: ignore[arg-type]
    assert broken == []


def test_the_published_rows_differ_in_nothing_but_users_and_logged_events() -> None:
    worlds = [
        load(row.scenario).model_dump(exclude={"name", "description", "load", "events"})
        for row in ROWS
    ]
    loads = [load(row.scenario).load.model_dump(exclude={"virtual_users"}) for row in ROWS]
    assert all(one == worlds[0] for one in worlds)
    assert all(one == loads[0] for one in loads)


@pytest.mark.parametrize("name", shipped())
def test_every_scenario_that_comes_along_is_valid_and_has_its_name(name: str) -> None:
    assert load(name).name == name


def test_no_scan_is_lost_when_the_quota_runs_out_and_is_paid_for_again() -> None:
    scenario = load("vu-1000-quota")
    controller = next(one for one in scenario.controllers if isinstance(one, Scanpool))
    final = run(scenario, controller, 1).final
    assert (final.failed, final.in_flight) == (0, 0)
    assert final.quota_refusals > 0


def test_a_full_bucket_admits_its_burst_and_its_refill() -> None:
    scenario = Scenario.model_validate(
        {
            "name": "tiny",
            "load": {"arrivalsPerMinute": 60, "seconds": 120},
            "stages": [{"queue": "one", "tokens": 100, "cpuSeconds": 0.1}],
            "provider": {"tokensPerMinute": 1_000},
            "controllers": [{"kind": "fixed", "replicas": 1}],
        }
    )
    assert bucket_scans(scenario) == pytest.approx(30)
    result = run(scenario, Fixed(kind="fixed", replicas=1), 1)
    assert result.seen_completed <= 30 + 1
    assert result.final.rate_refusals > 0


def some(completed: int, refusals: int) -> Result:
    scenario = Scenario.model_validate(
        {
            "name": "tiny",
            "load": {"arrivalsPerMinute": 60, "seconds": 5},
            "controllers": [{"kind": "fixed", "replicas": 1}],
        }
    )
    result = run(scenario, scenario.controllers[0], 1)
    final = replace(result.final, calls=1_000, rate_refusals=refusals)
    return replace(result, seen_completed=completed, final=final)


def test_the_oracle_completes_the_most_of_those_that_are_rarely_refused() -> None:
    runs = [some(100, 0), some(150, 1), some(300, 2)]
    assert best_of(runs).seen_completed == 150
    assert best_of(runs[2:]).seen_completed == 300


def test_the_oracle_by_the_minute_climbs_by_single_steps_to_what_is_rarely_refused() -> None:
    """All completions are worth having up to 3, 1 and 2 replicas, and refused beyond."""
    calm, wild = some(0, 0), some(0, 500)
    best: Schedule = (3, 1, 2)
    tried: list[Schedule] = []

    def attempt(schedule: Schedule) -> Result:
        tried.append(schedule)
        is_calm = all(one <= most for one, most in zip(schedule, best, strict=True))
        return replace(calm if is_calm else wild, seen_completed=sum(schedule), controller="")

    start = (1, 1, 1)
    found = climbed(start, attempt(start), 5, attempt)
    assert (found.seen_completed, found.final.rate_refusals) == (sum(best), 0)
    assert len(tried) == len(set(tried))
    assert all(0 <= one <= 5 for schedule in tried for one in schedule)


def test_a_schedule_is_set_where_it_changes() -> None:
    found = fixed((2, 2, 3, 3, 1))
    assert (found.replicas, found.then) == (2, ((120.0, 3), (240.0, 1)))


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([3.0, 1.0, 2.0], 50, 2.0), ([3.0, 1.0, 2.0], 95, 3.0), ([7.0], 1, 7.0)],
)
def test_percentile(values: list[float], percent: float, expected: float) -> None:
    assert percentile(values, percent) == expected
