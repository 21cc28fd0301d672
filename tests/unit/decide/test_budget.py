"""A budget that follows from change to change is the one that is worked out anew."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from math import fsum, inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import strategies  # noqa: F401 - its profile takes the deadline off slow machines
from scanpool.decide import budget, fair
from scanpool.decide.ask import Ask
from scanpool.decide.claimed import Claimed
from scanpool.decide.exact import exact, rounded
from scanpool.decide.rows import Standpoint, needed, row
from scanpool.decide.sharing import Split, divided, entitlement, unsplit
from scanpool.decide.turns import Turns
from scanpool.models.claims import Claim, Need, Unit
from scanpool.models.fields import MOST_REPLICAS

POOLS = ("a", "b", "c", "d", "e", "f", "g")
NEED = Need(1_000.0, 0.0, 100_000.0, 110_000.0)


def claim(pool: str, **changes: Any) -> Claim:
    usual = {"weight": 1, "floor": 0, "wanted": 2, "held": 1, "needs": {Unit.TOKENS: NEED}}
    return Claim(pool, **{**usual, **changes})


amounts = st.sampled_from([0.0, 500.0, 1_000.0]) | st.floats(0.0, 5_000.0)
counts = st.integers(0, 6)
needs = st.builds(
    Need,
    per_replica=st.sampled_from([0.0, 500.0, 1_000.0]) | st.floats(1.0, 3_000.0),
    own=amounts,
    plan=st.sampled_from([9_000.0, 10_000.0, 40_000.0]),
    keep=st.sampled_from([10_000.0, 45_000.0, inf]),
    others=amounts,
    factor=st.sampled_from([1.0, 0.5]),
    most=st.sampled_from([inf, 8_000.0]),
    spare=st.none() | amounts,
    is_full=st.booleans(),
    has_level=st.booleans(),
    beyond=amounts,
    has_spare=st.booleans(),
)
changes = st.builds(
    Claim,
    pool=st.sampled_from(POOLS),
    weight=st.integers(1, 3),
    floor=st.integers(0, 2),
    wanted=counts,
    held=counts,
    needs=st.fixed_dictionaries({}, optional={Unit.TOKENS: needs}),
    is_idle=st.booleans(),
    priority=st.sampled_from([0, 0, 1]),
    draining=st.integers(0, 2),
    wanted_lately=counts,
    is_busy=st.booleans(),
    ready=st.none() | counts,
)


@given(st.lists(st.tuples(changes, st.booleans()), max_size=25), changes)
def test_claims_that_came_and_went_leave_no_trace(
    course: list[tuple[Claim, bool]], me: Claim
) -> None:
    followed, left = Claimed(()), dict[str, Claim]()
    for one, is_gone in course:
        followed = followed.changed(one.pool, None if is_gone else one)
        left = {**left, one.pool: one}
        if is_gone:
            del left[one.pool]
        for is_full, has_level in ((True, True), (False, True), (False, False)):
            followed.budget(Unit.TOKENS, Standpoint(me.priority, is_full, has_level))

    anew = Claimed(left.values())

    peers = [one for name, one in sorted(left.items()) if name != me.pool]
    assert followed.beside(me.pool) == anew.beside(me.pool) == peers
    found = entitlement(Unit.TOKENS, me, followed.beside(me.pool))
    assert found == entitlement(Unit.TOKENS, me, anew.beside(me.pool))
    assert found == entitlement(Unit.TOKENS, me, peers)


def by_name(split: Split) -> Split:
    """Order those that wait, which is no matter."""
    return split._replace(waiting=sorted(split.waiting, key=lambda one: one[0].name))


@given(st.lists(changes, max_size=7), changes)
def test_where_nothing_has_to_be_split_sums_come_to_what_splitting_does(
    claims: list[Claim], me: Claim
) -> None:
    mine = needed(Unit.TOKENS, me)
    if mine is None:
        return
    by = Standpoint(me.priority, mine.is_full, mine.has_level)
    beside = Claimed(claims).budget(Unit.TOKENS, by).beside(me.pool)
    own, greedy = (
        row(me, mine, wanted, by) for wanted in (max(me.wanted, me.floor), MOST_REPLICAS)
    )
    for total in (mine.plan, 10 * mine.plan, 0.0, -1.0):
        found = unsplit(total, own, beside)
        if found is not None:
            split = divided(total, own, greedy, beside)
            assert by_name(found) == by_name(split)


@pytest.mark.parametrize(
    ("plan", "is_split"),
    [
        pytest.param(100_000.0, False, id="plenty"),
        # Three pools claim two thousand each; the fourth could have no more than they ask for.
        pytest.param(8_500.0, False, id="more than any asks for"),
        pytest.param(8_000.0, True, id="all of it"),
        pytest.param(5_000.0, True, id="less than they ask for"),
    ],
)
def test_sums_are_enough_as_long_as_there_is_more_than_all_ask_for(
    plan: float, is_split: bool
) -> None:
    need = replace(NEED, plan=plan)
    others = [claim(name, needs={Unit.TOKENS: need}) for name in "bcd"]
    by = Standpoint(0, is_full=False, has_level=False)
    beside = Claimed(others).budget(Unit.TOKENS, by).beside("a")

    found = unsplit(plan, row(claim("a"), need, 2, by), beside)

    assert (found is None) == is_split


def test_a_change_of_one_claim_looks_at_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[str] = []

    def noted(unit: Unit, one: Claim, by: Standpoint) -> Any:
        looked_at.append(one.pool)
        return seen(unit, one, by)

    seen = budget.seen
    monkeypatch.setattr(budget, "seen", noted)
    claimed = Claimed(claim(f"{number:03}") for number in range(100))
    entitlement(Unit.TOKENS, claim("000"), claimed.beside("000"))
    assert len(looked_at) == 100
    looked_at.clear()

    changed = claimed.changed("007", claim("007", held=2))
    found = [entitlement(Unit.TOKENS, claim(one), changed.beside(one)) for one in ("000", "099")]

    assert looked_at == ["007"]
    assert all(one is not None and (one.pools, one.first_pool) == (100, "000") for one in found)


@pytest.mark.parametrize(
    ("limits", "total"),
    [
        pytest.param((5_000.0, 5_000.0), 5_000.0, id="the other still finds as little"),
        pytest.param((5_000.0, 9_000.0), 9_000.0, id="nobody does any more"),
    ],
)
def test_what_a_pool_found_before_counts_only_as_long_as_another_finds_it(
    limits: tuple[float, float], total: float
) -> None:
    found = [
        claim(name, needs={Unit.TOKENS: replace(NEED, plan=plan)})
        for name, plan in zip("ab", limits, strict=True)
    ]
    me = claim("a", needs={Unit.TOKENS: replace(NEED, plan=9_000.0)})

    entitled = entitlement(Unit.TOKENS, me, Claimed(found).beside("a"))

    assert entitled is not None
    assert entitled.total == total


def test_pools_that_want_more_than_there_is_share_one_split_until_a_claim_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    splits: list[int] = []

    def noted(asks: Sequence[Ask], grants: Iterable[float]) -> Turns:
        splits.append(len(asks))
        return Turns(asks, grants)

    monkeypatch.setattr(fair, "Turns", noted)
    scarce = replace(NEED, plan=150_000.0)
    one, *others = [
        claim(f"{number:03}", wanted=3, needs={Unit.TOKENS: scarce}) for number in range(100)
    ]
    claimed = Claimed([one, *others])

    found = [entitlement(Unit.TOKENS, me, claimed.beside(me.pool)) for me in [one, *others]]
    assert all(each is not None and each.fits in (1, 2) for each in found)
    assert splits == [100]

    claimed = claimed.changed(one.pool, replace(one, wanted=4))
    for me in others:
        entitlement(Unit.TOKENS, me, claimed.beside(me.pool))
    assert splits == [100, 100]


finite = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300)


@given(st.lists(finite, max_size=20), st.lists(finite, max_size=20))
def test_sums_are_exact_whatever_came_and_went(stays: list[float], goes: list[float]) -> None:
    total = sum(map(exact, [*stays, *goes])) - sum(map(exact, goes))

    assert rounded(total) == fsum(stays) == float(sum(map(Fraction, stays)))


@given(finite)
def test_a_number_comes_back_as_it_was(number: float) -> None:
    assert rounded(exact(number)) == number
