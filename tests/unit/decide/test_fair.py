"""Weighted max-min fairness; each property is named after its rule."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import floor, fsum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import strategies  # noqa: F401 - its profile takes the deadline off slow machines
from scanpool.decide.ask import ROUNDING_DIGITS, Ask, whole
from scanpool.decide.fair import Asks, Swap
from scanpool.models.fields import MOST_REPLICAS
from splits import by_name, in_replicas, share

MILLION = 1_000_000.0
# Of what there is, or of a replica: grants are sums and quotients of floats.
ROUNDING = 1e-9


def ask(name: str, **changes: Any) -> Ask:
    """Build an ask of a pool that wants all it can get, at a million tokens per replica."""
    usual: dict[str, Any] = {
        "weight": 1,
        "floor": 0.0,
        "claim": MOST_REPLICAS * MILLION,
        "step": MILLION,
        "held": 0,
    }
    return Ask(name, **usual | changes)


# --- Shares ---


@pytest.mark.parametrize(
    ("total", "asks", "expected"),
    [
        pytest.param(60.0, [ask("a"), ask("b")], {"a": 30, "b": 30}, id="alike"),
        pytest.param(60.0, [ask("a"), ask("b", weight=2)], {"a": 20, "b": 40}, id="by weight"),
        pytest.param(60.0, [ask("a"), ask("b", claim=10)], {"a": 50, "b": 10}, id="idle is lent"),
        pytest.param(60.0, [ask("a"), ask("b", claim=0)], {"a": 60, "b": 0}, id="all is lent"),
        pytest.param(
            60.0,
            [ask("a", claim=5), ask("b", claim=20, weight=2), ask("c")],
            {"a": 5, "b": 20, "c": 35},
            id="one claim after the other is met",
        ),
        pytest.param(
            60.0,
            [ask("a", floor=40), ask("b"), ask("c")],
            {"a": 40, "b": 10, "c": 10},
            id="the floor first",
        ),
        pytest.param(
            60.0,
            [ask("a", floor=15), ask("b"), ask("c")],
            {"a": 20, "b": 20, "c": 20},
            id="a floor below the share changes nothing",
        ),
        pytest.param(
            60.0,
            [ask("a", floor=40, claim=5), ask("b")],
            {"a": 5, "b": 55},
            id="no more than the claim, whatever the floor",
        ),
        pytest.param(
            60.0,
            [ask("a", floor=80), ask("b", floor=10), ask("c")],
            {"a": 50, "b": 10, "c": 0},
            id="floors that do not fit",
        ),
        pytest.param(
            60.0, [ask("a", claim=10), ask("b", claim=20)], {"a": 10, "b": 20}, id="enough for all"
        ),
        pytest.param(0.0, [ask("a", floor=5)], {"a": 0}, id="nothing"),
        pytest.param(-60.0, [ask("a", floor=5)], {"a": 0}, id="less than nothing"),
        pytest.param(60.0, [], {}, id="nobody"),
    ],
)
def test_the_total_is_shared(total: float, asks: list[Ask], expected: dict[str, float]) -> None:
    assert share(total, asks) == pytest.approx(expected)


names = st.sampled_from([f"scan/pool-{number}" for number in range(9)])
amounts = st.just(0.0) | st.floats(1e-3, 1e9)
steps = st.sampled_from([500_000.0, MILLION]) | st.floats(1.0, 5e6)
weights = st.integers(1, 5) | st.integers(1, 1_000)
few = st.integers(0, 12)


def several(one: st.SearchStrategy[Ask], least: int = 1) -> st.SearchStrategy[list[Ask]]:
    return st.lists(one, min_size=least, max_size=6, unique_by=lambda each: each.name)


streams = several(
    st.builds(Ask, names, weights, floor=amounts, claim=amounts, step=steps, held=few)
)


@st.composite
def _pools_asks(draw: st.DrawFn) -> Ask:
    step = draw(steps)
    return Ask(
        draw(names),
        draw(weights),
        floor=draw(st.integers(0, 3)) * step,
        claim=draw(few) * step,
        step=step,
        held=draw(few),
    )


asks_of_pools = several(_pools_asks())
totals = st.just(0.0) | st.integers(1, 30).map(lambda one: one * MILLION) | st.floats(1e-3, 5e7)


def claims_of(asks: Sequence[Ask]) -> float:
    return fsum(one.claim for one in asks)


@given(totals, streams | asks_of_pools)
def test_what_there_is_is_given_out_as_far_as_it_is_claimed(total: float, asks: list[Ask]) -> None:
    given_out = fsum(share(total, asks).values())

    assert given_out == pytest.approx(min(total, claims_of(asks)), rel=ROUNDING)


@given(totals, streams | asks_of_pools)
def test_nobody_gets_more_than_it_claims(total: float, asks: list[Ask]) -> None:
    grants = share(total, asks)

    assert all(0 <= grants[one.name] <= one.claim for one in asks)


@given(totals, streams | asks_of_pools)
def test_floors_come_first(total: float, asks: list[Ask]) -> None:
    """Where they fit everyone has its own; where they do not nobody has more than its own."""
    grants = share(total, asks)
    floors = {one.name: min(one.floor, one.claim) for one in asks}

    if fsum(floors.values()) <= total:
        assert all(grants[name] >= least for name, least in floors.items())
    else:
        assert all(grants[name] <= least for name, least in floors.items())


@given(totals, streams | asks_of_pools)
def test_only_a_floor_gets_more_for_its_weight_than_who_lacks_something(
    total: float, asks: list[Ask]
) -> None:
    """What weighted max-min fairness is."""
    grants = share(total, asks)
    floors_fit = fsum(min(one.floor, one.claim) for one in asks) <= total
    near = ROUNDING * total

    for poor in asks:
        wants = poor.claim if floors_fit else min(poor.floor, poor.claim)
        if grants[poor.name] >= wants - near:
            continue
        for rich in asks:
            if grants[rich.name] > (rich.floor if floors_fit else 0.0) + near:
                most = grants[poor.name] / poor.weight * rich.weight
                assert grants[rich.name] <= most + near * max(1.0, rich.weight / poor.weight)


@given(totals, streams | asks_of_pools, st.randoms(use_true_random=False))
def test_the_order_of_the_asks_does_not_matter(total: float, asks: list[Ask], chance: Any) -> None:
    shuffled = list(asks)
    chance.shuffle(shuffled)

    assert share(total, shuffled) == share(total, asks)
    assert in_replicas(total, shuffled) == in_replicas(total, asks)


@given(totals, amounts, streams | asks_of_pools)
def test_of_more_nobody_gets_less(total: float, more: float, asks: list[Ask]) -> None:
    before, after = share(total, asks), share(total + more, asks)

    assert all(after[name] >= before[name] - ROUNDING * total for name in before)


@given(totals, streams | asks_of_pools, amounts)
def test_who_claims_more_gets_no_less_and_nobody_else_more(
    total: float, asks: list[Ask], more: float
) -> None:
    eager, *rest = asks
    before = share(total, asks)
    after = share(total, [replace(eager, claim=eager.claim + more), *rest])

    assert after[eager.name] >= before[eager.name] - ROUNDING * total
    assert all(after[one.name] <= before[one.name] + ROUNDING * total for one in rest)


@given(totals, streams | asks_of_pools, weights)
def test_who_weighs_more_gets_no_less_and_nobody_else_more(
    total: float, asks: list[Ask], more: int
) -> None:
    heavy, *rest = asks
    before = share(total, asks)
    after = share(total, [replace(heavy, weight=heavy.weight + more), *rest])

    assert after[heavy.name] >= before[heavy.name] - ROUNDING * total
    assert all(after[one.name] <= before[one.name] + ROUNDING * total for one in rest)


@given(totals, streams | asks_of_pools)
def test_equal_asks_get_equal_grants(total: float, asks: list[Ask]) -> None:
    twin = replace(asks[0], name="scan/twin")
    grants = share(total, [*asks, twin])

    assert grants[twin.name] == grants[asks[0].name]


@given(totals, streams | asks_of_pools, amounts)
def test_who_claims_nothing_leaves_all_to_the_others(
    total: float, asks: list[Ask], least: float
) -> None:
    idle = ask("scan/idle", claim=0.0, floor=least)

    assert share(total, [*asks, idle]) == share(total, asks) | {idle.name: 0.0}
    assert in_replicas(total, [*asks, idle]) == in_replicas(total, asks) | {idle.name: 0}


# --- Whole replicas ---


@pytest.mark.parametrize(
    ("millions", "asks", "expected"),
    [
        pytest.param(6.9, [ask("a")], {"a": 6}, id="alone"),
        pytest.param(
            6.9, [ask("a", claim=2 * MILLION)], {"a": 2}, id="alone, no more than claimed"
        ),
        pytest.param(0.9, [ask("a")], {"a": 1}, id="alone, the last replica"),
        pytest.param(0.9, [ask("a", claim=0)], {"a": 0}, id="nobody claims the last replica"),
        pytest.param(0.0, [ask("a", floor=MILLION)], {"a": 0}, id="nothing"),
        pytest.param(-1.0, [ask("a", floor=MILLION)], {"a": 0}, id="less than nothing"),
        pytest.param(
            6.0, [ask("a", weight=2), ask("b")], {"a": 4, "b": 2}, id="exactly whole replicas"
        ),
        pytest.param(
            3.0,
            [ask("a", step=300_000.0), ask("b", claim=0)],
            {"a": 10, "b": 0},
            id="0.3 goes ten times into 3",
        ),
        pytest.param(
            5.0, [ask("a"), ask("b", held=3)], {"a": 2, "b": 3}, id="the rest: who has it keeps it"
        ),
        pytest.param(
            5.0,
            [ask("a", weight=36), ask("b", weight=64)],
            {"a": 2, "b": 3},
            id="the rest: the largest part of a replica",
        ),
        pytest.param(
            5.0,
            [ask("a", weight=28), ask("b", weight=72)],
            {"a": 1, "b": 4},
            id="the rest: the largest part, however many it has",
        ),
        pytest.param(
            5.1,
            [ask("a"), ask("b", weight=2, step=2 * MILLION)],
            {"a": 1, "b": 2},
            id="the rest: equal parts, the larger weight",
        ),
        pytest.param(
            5.3,
            [ask("a"), ask("b", weight=5, step=5 * MILLION)],
            {"a": 0, "b": 1},
            id="the rest: parts that are equal but for a rounding error",
        ),
        pytest.param(
            1.5,
            [ask("a"), ask("b", weight=2, step=2 * MILLION)],
            {"a": 1, "b": 0},
            id="the rest: what does not fit is passed over",
        ),
        pytest.param(
            3.0,
            [ask("a"), ask("b", weight=2, step=2 * MILLION, claim=8 * MILLION)],
            {"a": 1, "b": 1},
            id="steps of their own",
        ),
        pytest.param(
            5.0,
            [ask("b", step=2 * MILLION), ask("a", step=2 * MILLION)],
            {"a": 1, "b": 1},
            id="a rest that is too small for anyone",
        ),
        pytest.param(
            5.8,
            [ask("a", weight=9, held=1), ask("b", weight=49, step=5 * MILLION)],
            {"a": 5, "b": 0},
            id="the rest: beyond what it held, where it fits nobody else",
        ),
        pytest.param(
            7.3,
            [ask("a", weight=9), ask("b", weight=56, step=10 * MILLION), ask("c", weight=8)],
            {"a": 4, "b": 0, "c": 3},
            id="the rest: by turns, where it fits nobody else",
        ),
        pytest.param(
            3.3,
            [ask("a", weight=9), ask("b", weight=56, step=10 * MILLION), ask("c", weight=8)],
            {"a": 2, "b": 0, "c": 1},
            id="the rest: the larger part again, where it fits nobody else",
        ),
        pytest.param(3.0, [ask("b"), ask("a")], {"a": 2, "b": 1}, id="the rest: by name"),
        pytest.param(
            0.5, [ask("a"), ask("b", weight=2)], {"a": 0, "b": 1}, id="the last: the larger part"
        ),
        pytest.param(
            0.5,
            [ask("a"), ask("b", weight=2), ask("c", held=1)],
            {"a": 0, "b": 0, "c": 1},
            id="the last: who has it",
        ),
        pytest.param(
            0.5,
            [ask("a", weight=2, step=10 * MILLION), ask("b")],
            {"a": 0, "b": 1},
            id="the last: the larger part, not the larger weight",
        ),
    ],
)
def test_the_total_is_shared_in_whole_replicas(
    millions: float, asks: list[Ask], expected: dict[str, int]
) -> None:
    assert in_replicas(millions * MILLION, asks) == expected


def cost(given_out: Mapping[str, int], asks: Sequence[Ask]) -> float:
    return fsum(given_out[one.name] * one.step for one in asks)


@given(totals, asks_of_pools)
def test_the_replicas_cost_no_more_than_there_is_but_for_the_last(
    total: float, asks: list[Ask]
) -> None:
    given_out = in_replicas(total, asks)

    if cost(given_out, asks) > total * (1 + ROUNDING):
        assert total > 0
        assert sum(given_out.values()) == 1
        assert all(one.step > total for one in asks if one.claim)


@given(totals, streams | asks_of_pools)
def test_everyone_gets_the_whole_replicas_of_its_share(total: float, asks: list[Ask]) -> None:
    grants, given_out = share(total, asks), in_replicas(total, asks)

    for one in asks:
        assert given_out[one.name] >= min(floor(grants[one.name] / one.step), MOST_REPLICAS)


@given(totals, streams | asks_of_pools)
def test_nobody_gets_more_replicas_than_it_claims(total: float, asks: list[Ask]) -> None:
    given_out = in_replicas(total, asks)

    assert all(given_out[one.name] * one.step <= one.claim * (1 + ROUNDING) for one in asks)


@given(totals, asks_of_pools)
def test_nobody_is_refused_a_replica_that_fits(total: float, asks: list[Ask]) -> None:
    given_out = in_replicas(total, asks)
    rest = total - cost(given_out, asks)

    for one in asks:
        if (given_out[one.name] + 0.5) * one.step < one.claim:
            assert one.step > rest * (1 - ROUNDING)


@given(totals, asks_of_pools)
def test_somebody_works_while_there_is_anything(total: float, asks: list[Ask]) -> None:
    anyone = total > 0 and claims_of(asks) > 0

    assert any(in_replicas(total, asks).values()) == anyone


@given(totals, asks_of_pools)
def test_who_got_its_replicas_gets_the_same_again(total: float, asks: list[Ask]) -> None:
    given_out = in_replicas(total, asks)
    settled = [replace(one, held=given_out[one.name]) for one in asks]

    assert in_replicas(total, settled) == given_out


@given(totals.filter(bool), _pools_asks())
def test_alone_a_pool_gets_what_fits(total: float, one: Ask) -> None:
    fits = max(floor(total / one.step + ROUNDING), 1)

    assert in_replicas(total, [one]) == {one.name: min(fits, round(one.claim / one.step))}


@pytest.mark.parametrize("step", [5e-324, 1e-300, 1e-9, 1e-3, 1e300])
def test_an_absurd_cost_of_a_replica_ends_in_a_number_a_pool_can_have(step: float) -> None:
    asks = [
        ask("a", step=step, claim=1e6 * step),
        ask("b", step=3 * step, claim=3e6 * step, weight=1_000),
        ask("c", held=3),
    ]

    given_out = in_replicas(4 * MILLION, asks)
    assert all(0 <= replicas <= MOST_REPLICAS for replicas in given_out.values())


def turn_by_turn(total: float, asks: Sequence[Ask]) -> dict[str, int]:
    """Give out the rest as it is said in `in_replicas`: look at everyone for each replica."""
    grants = share(total, asks)
    parts = {one.name: grants[one.name] / one.step for one in asks}
    given_out = {name: whole(part) for name, part in parts.items()}
    rest = total - cost(given_out, asks)

    def turn(one: Ask) -> tuple[int, bool, float, int, str]:
        replicas = given_out[one.name]
        missing = round(replicas - parts[one.name], ROUNDING_DIGITS)
        return -one.priority, replicas >= one.held, missing, -one.weight, one.name

    def first_of(waiting: Sequence[Ask]) -> Ask | None:
        claiming = [one for one in waiting if given_out[one.name] < whole(one.claim / one.step)]
        return min(claiming, key=turn, default=None)

    first, waiting = first_of(asks), list(asks)
    while (one := first_of(waiting)) is not None:
        if whole(rest / one.step):
            given_out[one.name] += 1
            rest -= one.step
        else:
            waiting.remove(one)
    if total > 0 and first is not None and not any(given_out.values()):
        given_out[first.name] = 1
    return given_out


# Whole numbers, and their halves, whose sums are exact in any order.
halves = st.integers(0, 24).map(lambda one: one / 2)
exact_asks = several(
    st.builds(
        Ask,
        names,
        st.integers(1, 3),
        floor=st.just(0.0) | halves,
        claim=halves,
        step=st.sampled_from([1.0, 1.5, 2.0, 5.0]),
        held=few,
        priority=st.sampled_from([0, 0, 1]),
    )
)


@given(st.integers(-1, 80).map(lambda one: one / 2), exact_asks)
def test_the_rest_is_given_out_turn_by_turn(total: float, asks: list[Ask]) -> None:
    assert in_replicas(total, asks) == turn_by_turn(total, asks)


@given(totals, streams | asks_of_pools)
def test_who_gets_less_than_it_asks_for_gets_no_more_for_asking_for_more(
    total: float, asks: list[Ask]
) -> None:
    given_out = in_replicas(total, asks)

    for one in asks:
        greedy = replace(one, claim=MOST_REPLICAS * one.step)
        if given_out[one.name] < one.wants:
            others = [other for other in asks if other is not one]
            assert in_replicas(total, [greedy, *others]) == given_out


# --- Kept from change to change ---


@given(totals, st.lists(exact_asks | asks_of_pools, max_size=4), exact_asks | asks_of_pools)
def test_asks_that_came_and_went_leave_no_trace(
    total: float, courses: list[list[Ask]], last: list[Ask]
) -> None:
    asks, there = Asks(), dict[str, Ask]()
    for course in [*courses, last]:
        for one in course:
            swap = Swap(there.get(one.name), one)
            swapped = asks.given(total, swap)
            asks = asks.changed(swap)
            there[one.name] = one
            expected = in_replicas(total, there.values())
            assert by_name(swapped, there.values()) == expected
            assert by_name(asks.given(total), there.values()) == expected
    for one in last:
        swap = Swap(there.pop(one.name))
        asks, left = asks.changed(swap), there.values()
        assert by_name(asks.given(total), left) == in_replicas(total, left)
        assert by_name(asks.given(2 * total), left) == in_replicas(2 * total, left)


@given(totals, exact_asks | asks_of_pools)
def test_who_waits_holds_less_than_it_is_granted(total: float, asks: list[Ask]) -> None:
    found = Asks(asks).given(total)

    granted = by_name(found, asks)
    waiting = {one.name: replicas for one, replicas in found.waiting}
    held = {one.name: one.held for one in asks}
    assert waiting == {name: most for name, most in granted.items() if held[name] < most}
