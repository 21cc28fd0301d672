"""The closed-loop cases: scanpool's own decision on the provider's limiter, an hour each."""

from functools import cache

import pytest
from rich.console import Console

from scanpool_replay import cases
from scanpool_replay.cases import Outcome
from scanpool_replay.contenders import Controller, Formula, Keda
from scanpool_replay.report import cases as tables
from scanpool_replay.report.documents import WIDTH
from scanpool_replay.scenario import Scenario

OVERLOAD = "loop-overload"


@cache
def played(name: str, controller: Controller | None = None) -> Outcome:
    """Play a case once, under scanpool or one of its rivals."""
    scenario = cases.read(name)
    return cases.play(scenario, controller or cases.scanpool_of(scenario))


def rivals(scenario: Scenario) -> dict[type, Outcome]:
    return {type(one): played(scenario.name, one) for one in cases.rivals(scenario)}


@pytest.mark.parametrize("name", cases.names())
def test_scanpool_holds_the_bounds_of_every_case(name: str) -> None:
    assert played(name).broken == ()


@pytest.mark.parametrize("name", cases.names())
def test_it_holds_them_when_the_operator_starts_again_in_the_middle(name: str) -> None:
    scenario = cases.with_restarts(cases.read(name))
    assert cases.play(scenario, cases.scanpool_of(scenario)).broken == ()


@pytest.mark.parametrize("name", cases.names())
def test_every_case_is_compared_with_both_baselines(name: str) -> None:
    scenario = cases.read(name)
    found = rivals(scenario)
    assert set(found) == {Keda, Formula}
    Console(width=WIDTH).print(tables.table(name, [played(name), *found.values()]))


def test_scaling_on_depth_alone_breaks_what_scanpool_holds_under_overload() -> None:
    by_depth = rivals(cases.read(OVERLOAD))[Keda]
    bound = next(one for one in by_depth.verdicts if "429s" in one.requirement)
    assert not bound.holds
    assert by_depth.refused_share > 0.5
    assert played(OVERLOAD).refused_share <= 0.001
