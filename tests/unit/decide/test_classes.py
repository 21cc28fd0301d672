"""Pools of one key in classes: a lower one has what higher ones leave."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import fsum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import strategies  # noqa: F401 - its profile takes the deadline off slow machines
from builders import decided, llm, observe, pool, seen, settled, target, think
from scanpool.decide.ask import Ask
from scanpool.decide.sharing import Entitlement, entitlement
from scanpool.models.claims import Claim, Need, Unit
from scanpool.models.fields import MOST_REPLICAS
from splits import in_replicas, share

MILLION = 1_000_000.0
ROUNDING = 1e-9
HIGH, LOW = 10, -10


def ask(name: str, priority: int, **changes: Any) -> Ask:
    """Build an ask that wants all it can get, at a million tokens per replica."""
    usual: dict[str, Any] = {
        "weight": 1,
        "floor": 0.0,
        "claim": MOST_REPLICAS * MILLION,
        "step": MILLION,
        "held": 0,
        "priority": priority,
    }
    return Ask(name, **usual | changes)


# --- Shares ---


@pytest.mark.parametrize(
    ("asks", "expected"),
    [
        ([ask("chat", HIGH, claim=20), ask("batch", LOW)], {"chat": 20, "batch": 40}),
        ([ask("chat", HIGH), ask("batch", LOW)], {"chat": 60, "batch": 0}),
        ([ask("chat", HIGH), ask("batch", LOW, floor=10)], {"chat": 50, "batch": 10}),
        ([ask("chat", HIGH, claim=0), ask("batch", LOW)], {"chat": 0, "batch": 60}),
        (
            [ask("chat", HIGH, claim=20), ask("b", LOW), ask("c", LOW, weight=3)],
            {"chat": 20, "b": 10, "c": 30},
        ),
        (
            [ask("a", HIGH, claim=30), ask("b", 0, claim=20), ask("c", LOW, weight=1_000)],
            {"a": 30, "b": 20, "c": 10},
        ),
        # Floors that do not fit are shared whatever the class.
        ([ask("chat", HIGH, floor=60), ask("batch", LOW, floor=60)], {"chat": 30, "batch": 30}),
    ],
)
def test_the_total_is_shared_class_by_class(asks: list[Ask], expected: dict[str, float]) -> None:
    assert share(60.0, asks) == pytest.approx(expected)


names = st.sampled_from([f"scan/pool-{number}" for number in range(9)])
amounts = st.just(0.0) | st.floats(1e-3, 1e9)
asks_in_classes = st.lists(
    st.builds(
        Ask,
        names,
        st.integers(1, 1_000),
        floor=amounts,
        claim=amounts,
        step=st.sampled_from([500_000.0, MILLION]) | st.floats(1.0, 5e6),
        held=st.integers(0, 12),
        priority=st.integers(-2, 2),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda each: each.name,
)


def rounding(total: float) -> float:
    return ROUNDING * max(total, 1.0)


@given(amounts, asks_in_classes)
def test_nothing_is_lost_and_nobody_gets_more_than_it_claims(total: float, asks: list[Ask]) -> None:
    grants = share(total, asks)

    claimed = min(total, fsum(ask.claim for ask in asks))
    assert fsum(grants.values()) == pytest.approx(claimed, rel=1e-6, abs=1e-6)
    assert all(-rounding(total) <= grants[ask.name] <= ask.claim + rounding(total) for ask in asks)


@given(amounts, asks_in_classes)
def test_floors_of_all_classes_come_first(total: float, asks: list[Ask]) -> None:
    floors = {ask.name: min(ask.floor, ask.claim) for ask in asks}
    if fsum(floors.values()) <= total:
        grants = share(total, asks)
        assert all(grants[name] >= floor - rounding(total) for name, floor in floors.items())


@given(amounts, asks_in_classes)
def test_a_lower_class_has_more_than_its_floor_only_once_higher_ones_have_all(
    total: float, asks: list[Ask]
) -> None:
    grants = share(total, asks)
    for low in asks:
        if grants[low.name] <= min(low.floor, low.claim) + 1e-6 * max(total, 1.0):
            continue
        for high in asks:
            if high.priority > low.priority:
                assert grants[high.name] == pytest.approx(high.claim, rel=1e-6, abs=1e-3)


@given(amounts, asks_in_classes, st.integers(0, 1_000))
def test_what_a_lower_class_wants_and_weighs_takes_nothing_from_higher_ones(
    total: float, asks: list[Ask], weight: int
) -> None:
    lowest = min(ask.priority for ask in asks)
    others = [
        replace(ask, weight=weight + 1, claim=max(ask.claim, ask.floor) * 3)
        if ask.priority == lowest
        else ask
        for ask in asks
    ]
    if fsum(max(ask.floor, 0) for ask in others) > total:
        return
    # Floors count as far as they are claimed: they are claimed in both.
    before = share(total, [replace(a, claim=max(a.claim, a.floor)) for a in asks])
    after = share(total, [replace(a, claim=max(a.claim, a.floor)) for a in others])
    for ask in asks:
        if ask.priority > lowest:
            assert after[ask.name] == pytest.approx(before[ask.name], rel=1e-6, abs=1e-3)


@given(amounts, asks_in_classes)
def test_whole_replicas_do_not_pass_the_total(total: float, asks: list[Ask]) -> None:
    given_out = in_replicas(total, asks)
    used = fsum(given_out[ask.name] * ask.step for ask in asks)
    # Nobody's replica may fit: then one has the last.
    assert used <= total + 1e-6 * max(total, 1.0) or sum(given_out.values()) == 1


def test_what_is_left_of_a_replica_is_the_higher_class_s_first() -> None:
    asks = [
        ask("batch", LOW, claim=3 * MILLION, held=3, weight=9),
        ask("chat", HIGH, claim=2.4 * MILLION, floor=0.0),
    ]
    # Chat has two of its 2.4, batch 2.6 of its three: the one that is left could be either's.
    assert in_replicas(5 * MILLION, [asks[0], replace(asks[1], claim=3 * MILLION)]) == {
        "batch": 2,
        "chat": 3,
    }


# --- What a pool may have beside others ---


def claim(name: str, priority: int, **changes: Any) -> Claim:
    usual: dict[str, Any] = {
        "weight": 1,
        "floor": 1,
        "wanted": 10,
        "held": 0,
        "needs": {Unit.TOKENS: Need(MILLION, 0.0, 8 * MILLION, 8 * MILLION)},
        "priority": priority,
    }
    return Claim(name, **usual | changes)


def entitled(me: Claim, *peers: Claim) -> Entitlement:
    found = entitlement(Unit.TOKENS, me, peers)
    assert found is not None
    return found


def test_batch_gives_back_at_once_what_interactive_waits_for() -> None:
    batch = claim("batch", LOW, held=7)
    found = entitled(batch, claim("chat", HIGH, wanted=5, held=1))

    assert (found.fits, found.keeps, found.owes) == (3, 3, True)
    # Once interactive has what it wants, nothing is owed.
    found = entitled(replace(batch, held=3), claim("chat", HIGH, wanted=5, held=5))
    assert (found.fits, found.owes) == (3, False)


def test_interactive_takes_it_once_it_has_drained() -> None:
    chat = claim("chat", HIGH, wanted=5, held=1)

    assert entitled(chat, claim("batch", LOW, held=7)).fits == 1
    assert entitled(chat, claim("batch", LOW, held=3, draining=4)).fits == 1
    assert entitled(chat, claim("batch", LOW, held=3, draining=2)).fits == 3
    assert entitled(chat, claim("batch", LOW, held=3)).fits == 5


def test_between_equals_nobody_waits_for_pods_to_drain() -> None:
    chat = claim("chat", HIGH, wanted=4, held=1)

    assert entitled(chat, claim("other", HIGH, held=4, draining=3)).fits == 4


def test_the_floor_of_a_lower_class_is_not_taken() -> None:
    greedy = claim("chat", HIGH, wanted=20, held=6)

    assert entitled(greedy, claim("batch", LOW, floor=2, held=2)).fits == 6
    assert entitled(claim("batch", LOW, floor=2, held=2), greedy).keeps == 2
    # One that has less than that is owed it.
    found = entitled(replace(greedy, held=8), claim("batch", LOW, floor=2, held=0))
    assert found.keeps == 6


def test_a_lower_class_lends_of_what_higher_ones_leave() -> None:
    batch = claim("batch", LOW, held=1)

    assert entitled(batch, claim("chat", HIGH, wanted=2, held=2)).fits == 6
    assert entitled(batch, claim("chat", HIGH, wanted=0, held=1, is_idle=True)).fits == 8


def settle(claims: Sequence[Claim], drains: int) -> tuple[Mapping[str, int], int]:
    """Let pools decide by turns until nothing moves; a replica takes `drains` rounds to be gone.

    Returns what each has then, and the rounds until the first had what it has at the end.
    """
    them = list(claims)
    going: dict[str, list[int]] = {one.pool: [] for one in them}
    course = []
    for _ in range(40):
        for index, one in enumerate(them):
            peers = [other for other in them if other.pool != one.pool]
            found = entitled(one, *peers)
            wanted = max(one.wanted, one.floor)
            allowed = max(found.fits, one.held) if one.held <= found.keeps else found.fits
            desired = max(min(wanted, allowed), one.floor)
            going[one.pool] = [left - 1 for left in going[one.pool] if left > 1]
            going[one.pool] += [drains] * max(one.held - desired, 0)
            them[index] = replace(one, held=desired, draining=len(going[one.pool]))
        course.append(them[0].held)
    first = next(index for index, held in enumerate(course) if held == course[-1])
    return {one.pool: one.held for one in them}, first


@given(st.integers(0, 12), st.integers(1, 12), st.integers(0, 8), st.integers(1, 6))
def test_interactive_has_what_it_wants_after_a_drain_and_batch_the_rest(
    wanted: int, batch_wanted: int, batch_held: int, drains: int
) -> None:
    chat = claim("chat", HIGH, wanted=wanted, held=1)
    batch = claim("batch", LOW, wanted=batch_wanted, held=max(batch_held, 1))

    held, rounds = settle([chat, batch], drains)
    assert held["chat"] == min(max(wanted, 1), 7)
    assert held["batch"] == min(max(batch_wanted, 1), 8 - held["chat"])
    assert rounds <= drains + 2


def test_a_pool_claims_its_priority_and_what_drains() -> None:
    spec = pool(llm=llm(priority=LOW))
    there = replace(target(3), replicas=2, draining=4)
    _, _, decision = think(spec, observe(2, 20, target=there, rates=seen(())), settled(2))

    assert decision.llm is not None
    assert (decision.llm.claim.priority, decision.llm.claim.draining) == (LOW, 5)


def test_what_is_owed_is_given_back_at_once_although_the_bucket_moves_by_halves() -> None:
    """Beside equals half of the replicas at most go at once."""
    spec = pool(llm=llm(tokens_per_minute=8_000_000, tokens_per_replica_minute=1_000_000))
    waiting = claim("chat", HIGH, wanted=6, held=1)
    decision = think(spec, observe(7, 100), settled(7), peers=[waiting]).decision

    assert decision.desired <= 2
    assert decided(spec, observe(7, 100)).desired > 2
