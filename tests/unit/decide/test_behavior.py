"""Parity with autoscaling/v2: every figure is worked out by hand from the HPA's rules."""

import pytest

from builders import NOW
from scanpool.decide.behavior import (
    Recommendation,
    Scaling,
    apply_policies,
    forget_scalings,
    recommend,
    scale_down_window,
    scale_up_window,
    stabilize,
)
from scanpool.models.spec import Behavior, PolicyType, ScalingPolicy, ScalingRules, SelectPolicy

MANY = 1_000


def pods(value: int, period: int = 15) -> ScalingPolicy:
    return ScalingPolicy(type=PolicyType.PODS, value=value, period_seconds=period)


def percent(value: int, period: int = 15) -> ScalingPolicy:
    return ScalingPolicy(type=PolicyType.PERCENT, value=value, period_seconds=period)


def up(*policies: ScalingPolicy, select: SelectPolicy = SelectPolicy.MAX) -> Behavior:
    return Behavior(scale_up=ScalingRules(policies=policies, select_policy=select))


def down(*policies: ScalingPolicy, select: SelectPolicy = SelectPolicy.MAX) -> Behavior:
    return Behavior(scale_down=ScalingRules(policies=policies, select_policy=select))


def ago(*ages_and_replicas: tuple[float, int]) -> tuple[Recommendation, ...]:
    return tuple(Recommendation(NOW - age, replicas) for age, replicas in ages_and_replicas)


def windows(up_seconds: int, down_seconds: int) -> Behavior:
    return Behavior(
        scale_up=ScalingRules(stabilization_window_seconds=up_seconds),
        scale_down=ScalingRules(stabilization_window_seconds=down_seconds),
    )


def test_the_default_windows_are_none_up_and_300_seconds_down() -> None:
    assert (scale_up_window(Behavior()), scale_down_window(Behavior())) == (0, 300)
    assert (scale_up_window(windows(60, 0)), scale_down_window(windows(60, 0))) == (60, 0)


@pytest.mark.parametrize(
    ("behavior", "current", "past", "asked", "stable"),
    [
        pytest.param(Behavior(), 2, ago((10, 2)), 9, 9, id="up-at-once"),
        pytest.param(Behavior(), 9, ago((10, 9)), 2, 9, id="down-not-before-the-window-agrees"),
        pytest.param(Behavior(), 9, ago((299, 7), (10, 2)), 2, 7, id="down-to-the-highest-of-300s"),
        pytest.param(Behavior(), 9, ago((301, 7), (10, 2)), 2, 2, id="older-is-forgotten"),
        pytest.param(Behavior(), 5, ago((200, 8)), 3, 5, id="the-window-itself-never-raises"),
        pytest.param(windows(60, 300), 2, ago((59, 4)), 9, 4, id="up-to-the-lowest-of-its-window"),
        pytest.param(windows(60, 300), 2, ago((59, 1)), 9, 2, id="an-up-window-never-lowers"),
        pytest.param(windows(60, 300), 2, ago((61, 4)), 9, 9, id="older-than-the-up-window"),
        pytest.param(windows(0, 0), 9, ago((1, 9)), 0, 0, id="down-at-once-without-a-window"),
        pytest.param(windows(60, 60), 5, ago((30, 2), (20, 9)), 5, 5, id="a-swing-changes-nothing"),
    ],
)
def test_the_whole_window_has_to_agree(
    behavior: Behavior, current: int, past: tuple[Recommendation, ...], asked: int, stable: int
) -> None:
    remembered = recommend(past, asked, behavior, NOW)

    assert stabilize(remembered, current, asked, behavior, NOW) == stable


def test_a_recommendation_is_remembered_as_long_as_the_longer_window() -> None:
    kept = recommend(ago((301, 9), (299, 8), (61, 7)), 2, windows(60, 300), NOW)
    assert kept == ago((299, 8), (61, 7), (0, 2))

    kept = recommend(ago((301, 9), (299, 8), (61, 7)), 2, windows(400, 60), NOW)
    assert [one.replicas for one in kept] == [9, 8, 7, 2]


@pytest.mark.parametrize(
    ("behavior", "current", "reached"),
    [
        pytest.param(Behavior(), 0, 4, id="default-0-to-4"),
        pytest.param(Behavior(), 1, 5, id="default-4-pods-are-more-than-100%"),
        pytest.param(Behavior(), 4, 8, id="default-4-pods-are-100%"),
        pytest.param(Behavior(), 10, 20, id="default-100%-is-more-than-4-pods"),
        pytest.param(up(pods(4), percent(100), select=SelectPolicy.MIN), 10, 14, id="min-of-two"),
        pytest.param(
            up(pods(4), percent(100), select=SelectPolicy.MIN), 1, 2, id="min-of-two-at-1"
        ),
        pytest.param(up(pods(3)), 7, 10, id="pods-only"),
        pytest.param(up(percent(50)), 3, 5, id="percent-rounds-up"),
        pytest.param(up(percent(1)), 3, 4, id="a-small-percentage-still-moves"),
        pytest.param(up(percent(12)), 25, 28, id="12%-of-25-is-3-exactly"),
        pytest.param(up(percent(100)), 0, 2, id="a-percentage-of-nothing-still-starts"),
        pytest.param(up(select=SelectPolicy.DISABLED), 3, 3, id="disabled"),
        pytest.param(up(pods(4), select=SelectPolicy.DISABLED), 0, 0, id="disabled-at-0"),
    ],
)
def test_up_as_far_as_the_policies_reach(behavior: Behavior, current: int, reached: int) -> None:
    assert apply_policies(MANY, current, behavior, (), NOW) == reached


@pytest.mark.parametrize(
    ("behavior", "current", "reached"),
    [
        pytest.param(Behavior(), 10, 0, id="default-all-at-once"),
        pytest.param(down(percent(50)), 10, 5, id="half"),
        pytest.param(down(percent(50)), 5, 2, id="percent-rounds-down"),
        pytest.param(down(percent(1)), 3, 2, id="a-small-percentage-still-moves"),
        pytest.param(down(percent(80)), 5, 1, id="80%-of-5-is-4-exactly"),
        pytest.param(down(percent(200)), 5, 0, id="more-than-all"),
        pytest.param(down(pods(3)), 10, 7, id="pods"),
        pytest.param(down(pods(3)), 2, 0, id="pods-below-zero"),
        pytest.param(down(pods(3), percent(50)), 10, 5, id="max-changes-the-most"),
        pytest.param(
            down(pods(3), percent(50), select=SelectPolicy.MIN), 10, 7, id="min-changes-the-least"
        ),
        pytest.param(down(select=SelectPolicy.DISABLED), 3, 3, id="disabled"),
    ],
)
def test_down_as_far_as_the_policies_reach(behavior: Behavior, current: int, reached: int) -> None:
    assert apply_policies(0, current, behavior, (), NOW) == reached


def test_policies_never_go_further_than_wanted() -> None:
    assert apply_policies(3, 1, Behavior(), (), NOW) == 3
    assert apply_policies(9, 10, Behavior(), (), NOW) == 9
    assert apply_policies(10, 10, Behavior(), (), NOW) == 10


@pytest.mark.parametrize(
    ("behavior", "current", "scalings", "wanted", "reached"),
    [
        pytest.param(Behavior(), 5, [(14.9, 4)], MANY, 5, id="the-period-is-used-up"),
        pytest.param(Behavior(), 5, [(15, 4)], MANY, 10, id="the-period-is-over"),
        pytest.param(Behavior(), 3, [(5, 2)], MANY, 5, id="what-is-left-of-the-period"),
        pytest.param(Behavior(), 5, [(5, -5)], MANY, 20, id="removals-count-back-up"),
        pytest.param(up(pods(4, 60)), 9, [(59, 2), (1, 1)], MANY, 10, id="several-in-one-period"),
        pytest.param(
            up(pods(4, 60), percent(100, 15)), 9, [(30, 4)], MANY, 18, id="each-policy-its-period"
        ),
        pytest.param(down(pods(3, 60)), 7, [(30, -3)], 0, 7, id="down-the-period-is-used-up"),
        pytest.param(down(pods(3, 60)), 8, [(30, -2)], 0, 7, id="down-what-is-left"),
        pytest.param(down(percent(50, 60)), 5, [(30, -5)], 0, 5, id="half-of-the-start-is-gone"),
        pytest.param(down(pods(1, 60)), 4, [(30, -3)], 0, 4, id="too-much-gone-raises-nothing"),
        pytest.param(up(pods(1, 60)), 9, [(30, 5)], MANY, 9, id="too-much-added-lowers-nothing"),
    ],
)
def test_policies_count_from_the_start_of_their_period(
    behavior: Behavior,
    current: int,
    scalings: list[tuple[float, int]],
    wanted: int,
    reached: int,
) -> None:
    done = [Scaling(NOW - age, change) for age, change in scalings]

    assert apply_policies(wanted, current, behavior, done, NOW) == reached


def test_a_scaling_is_remembered_as_long_as_the_longest_period_that_a_spec_can_have() -> None:
    old, young = Scaling(NOW - 1_800, 3), Scaling(NOW - 1_799, 2)

    assert forget_scalings([old, young], NOW) == (young,)
