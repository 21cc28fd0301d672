"""The closed-loop cases: scanpool's own decision on the provider's limiter, an hour each."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from statistics import mean

import pytest

from scanpool.decide import looks, provider_ceiling, sharing, watermarks
from scanpool.decide.bucket import Bucket
from scanpool.decide.limit_ceiling import Terms
from scanpool.decide.sharing import Entitlement
from scanpool.decide.watermarks import Level, Replica, State
from scanpool.models.claims import Claim, Unit
from scanpool_replay import cases
from scanpool_replay.cases import Outcome
from scanpool_replay.cli import main
from scanpool_replay.contenders import Controller, Fixed, Formula, Keda
from scanpool_replay.scenario import Scenario

OVERLOAD = "loop-overload"
SHORT = """
name: short
extends: loop-overload
load: {seconds: 420}
"""


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


@pytest.mark.long
@pytest.mark.parametrize("name", cases.names())
def test_it_holds_them_when_the_operator_starts_again_in_the_middle(name: str) -> None:
    scenario = cases.with_restarts(cases.read(name))
    assert cases.play(scenario, cases.scanpool_of(scenario)).broken == ()


@pytest.mark.parametrize("name", cases.names())
def test_every_case_is_compared_with_both_baselines(name: str) -> None:
    assert {type(one) for one in cases.rivals(cases.read(name))} == {Keda, Formula}


def test_scaling_on_depth_alone_breaks_what_scanpool_holds_under_overload() -> None:
    by_depth = rivals(cases.read(OVERLOAD))[Keda]
    (bound,) = (one for one in by_depth.verdicts if "429s" in one.requirement)
    assert not bound.holds
    assert by_depth.refused_share > 0.5
    assert played(OVERLOAD).refused_share <= 0.001


def ready(outcome: Outcome, start: float, end: float) -> dict[str, float]:
    """Return the mean of each pipeline's ready replicas between two moments."""
    return {
        track.pipeline: mean(one.ready for one in track.samples if start <= one.seconds <= end)
        for track in outcome.result.tracks
    }


def test_an_idle_share_is_lent_and_taken_back() -> None:
    outcome = played("loop-two-pools")
    alone = ready(outcome, 400, 1_200)
    both = ready(outcome, 1_500, 2_350)
    last = ready(outcome, 3_000, 3_500)
    assert alone["late"] == last["early"] == 0
    assert alone["early"] > 5
    assert last["late"] > 5
    assert both["early"] == pytest.approx(both["late"], abs=1)


def test_pools_share_by_their_weights() -> None:
    scenario = cases.read("loop-five-pools")
    weights = {one.name: one.weight or 1 for one in scenario.tenants}
    found = ready(played(scenario.name), 600, 3_600)
    for name, replicas in found.items():
        share = weights[name] / sum(weights.values()) * sum(found.values())
        assert replicas == pytest.approx(share, abs=1)


def test_where_a_limit_feeds_nearly_a_whole_number_it_does_so_on_either_side() -> None:
    below, above = (use.feeds for use in played("loop-near-whole").uses)
    assert 3.85 <= below < 4 < above <= 4.15


def refusals_hold(outcome: Outcome) -> bool:
    (bound,) = (one for one in outcome.verdicts if "429s" in one.requirement)
    return bound.holds


def test_429s_may_be_allowed_as_a_fixed_number_meets_them() -> None:
    scenario = cases.read("loop-less-than-one")
    one, two = (Fixed(kind="fixed", replicas=replicas) for replicas in (1, 2))
    assert played(scenario.name, one).refused_share > 0.5
    assert refusals_hold(played(scenario.name, one))
    assert not refusals_hold(played(scenario.name, two))


def without_a_reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plan with all that the bucket holds."""
    level = watermarks.level

    def changed(bucket: Bucket, limit: int, _: int, start_seconds: float, now: float) -> Level:
        return level(bucket, limit, 0, start_seconds, now)

    monkeypatch.setattr(watermarks, "level", changed)


def without_reckoning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the level as the provider told it last, and as if it stood still."""
    monkeypatch.setattr(looks, "carried_on", lambda tokens, *_: tokens)


def spent_by_each_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each pool of a key take what a bucket that is high has for all of them."""
    entitlement, by_level = sharing.entitlement, provider_ceiling.by_level
    states = [State.NOT_TOLD]

    def noted(limit: int, level: Level, replica: Replica, factor: float, unit: Unit) -> Terms:
        states[0] = level.state
        return by_level(limit, level, replica, factor, unit)

    def changed(unit: Unit, own: Claim, others: tuple[Claim, ...]) -> Entitlement | None:
        return entitlement(unit, own, () if states[0] is State.HIGH else others)

    monkeypatch.setattr(provider_ceiling, "by_level", noted)
    monkeypatch.setattr(sharing, "entitlement", changed)


@pytest.mark.long
@pytest.mark.parametrize(
    ("breaks", "name", "bound"),
    [
        pytest.param(without_a_reserve, "loop-bursts", "429s", id="no reserve"),
        pytest.param(without_reckoning, "loop-bursts", "429s", id="no reckoning: refused"),
        pytest.param(without_reckoning, "loop-one-and-a-half", "use", id="no reckoning: unused"),
        pytest.param(spent_by_each_pool, "loop-five-pools", "429s", id="spent by each: all there"),
        pytest.param(spent_by_each_pool, "loop-six-pools", "429s", id="spent by each: come and go"),
    ],
)
def test_a_part_of_the_law_that_is_taken_out_breaks_the_case_that_names_it(
    breaks: Callable[[pytest.MonkeyPatch], None],
    name: str,
    bound: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    breaks(monkeypatch)
    scenario = cases.read(name)
    found = cases.play(scenario, cases.scanpool_of(scenario))
    assert any(bound in one.requirement for one in found.broken)


def test_a_restart_comes_half_way_and_soon_after_each_event() -> None:
    scenario = cases.with_restarts(cases.read("loop-limits"))
    added = [one.at_seconds for one in scenario.events if one.kind == "restartController"]
    assert added == [1_230, 1_800, 2_430]


@pytest.mark.parametrize(
    ("bounds", "code", "words"),
    [
        pytest.param("{}", 0, "none", id="all hold"),
        pytest.param("{mostCostError: 0}", 1, "cost of a replica off", id="broken"),
    ],
)
def test_the_command_prints_a_table_and_fails_where_a_bound_is_broken(
    bounds: str, code: int, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, table = tmp_path / "short.yaml", tmp_path / "short.md"
    file.write_text(f"{SHORT}bounds: {bounds}\n", "utf-8")
    assert main(["cases", str(file), "--restart", "--markdown", str(table)]) == code
    out = capsys.readouterr().out
    assert words in out
    assert ("scanpool breaks bounds of short" in out) == bool(code)
    assert "| scanpool, restarted " in table.read_text("utf-8")


def test_a_scenario_without_bounds_is_no_case(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cases", "vu-1000"]) == 2
    assert "vu-1000 is no closed-loop case" in capsys.readouterr().err
