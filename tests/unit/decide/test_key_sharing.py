"""Pools that share only some of the keys: no limit counts twice, and none is given up."""

from dataclasses import astuple, replace
from math import fsum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanpool.decide import key_sharing, sharing
from scanpool.models.claims import Claim, Need, Unit

LIMIT = 2_000_000
A, B = "a", "b"
MANY = 1_000
# Of floats.
ROUNDING = 1e-9


def claim(pool: str, limit: float, held: int = 0, cost: float = 500_000, wanted: int = 99) -> Claim:
    """Build what a pool that is alone with the others of its keys asks of all of them."""
    need = Need(cost, own=held * cost, plan=limit, keep=limit, others=0.0)
    return Claim(pool, 1, 0, wanted, held, {Unit.TOKENS: need})


def of(shares: dict[str, float]) -> dict[str, dict[Unit, float]]:
    return {key: {Unit.TOKENS: share} for key, share in shares.items()}


BOTH, ONE = of({A: 0.5, B: 0.5}), of({A: 1.0})


def on(key: str, whole: Claim, shares: dict[str, dict[Unit, float]]) -> Claim:
    return key_sharing.of_key(whole, shares[key])


@given(
    figures=st.tuples(*[st.floats(0, 1e9)] * 8), factor=st.floats(0.1, 1), is_full=st.booleans(),
    share=st.floats(0, 1),
)  # fmt: skip
def test_the_parts_of_a_need_come_to_all_of_it(
    figures: tuple[float, ...], factor: float, is_full: bool, share: float
) -> None:
    """Whatever it says: what a part forgot, pools of one key would forget of all."""
    *five, most, spare, beyond = figures
    whole = Need(*five, factor, most, spare, is_full, is_full, beyond, is_full)
    found = whole.times(share).plus(whole.times(1 - share))
    assert astuple(found) == pytest.approx(astuple(whole))


def test_a_pool_with_keys_of_its_own_has_all_of_them() -> None:
    found = key_sharing.entitlement(Unit.TOKENS, claim("x", 2 * LIMIT), {A: (), B: ()}, BOTH)
    assert found == sharing.entitlement(Unit.TOKENS, claim("x", 2 * LIMIT), ())
    assert found is not None
    assert found.fits == 8


@given(st.lists(st.tuples(st.sampled_from("vwxyz"), st.integers(0, 9)), max_size=5))
def test_a_pool_with_one_key_has_what_sharing_alone_gives_it(
    drawn: list[tuple[str, int]],
) -> None:
    """And its claim on the key is its claim, not a copy: so it is with nearly all pools."""
    me = claim("x", LIMIT)
    peers = [claim(name, LIMIT, held, wanted=held) for name, held in dict(drawn).items()]

    found = key_sharing.entitlement(Unit.TOKENS, me, {A: peers}, ONE)

    assert found == sharing.entitlement(Unit.TOKENS, me, peers)
    assert key_sharing.of_key(me, ONE[A]) is me


def test_with_one_key_sharing_is_asked_once_and_of_the_same_claim(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[Claim, object]] = []
    monkeypatch.setattr(sharing, "entitlement", lambda _, me, peers: asked.append((me, peers)))
    me, peers = claim("x", LIMIT), (claim("y", LIMIT),)

    key_sharing.entitlement(Unit.TOKENS, me, {A: peers}, ONE)

    assert len(asked) == 1
    assert asked[0][0] is me
    assert asked[0][1] is peers


def test_pools_of_the_same_keys_share_them_as_one() -> None:
    me, peer = claim("x", 2 * LIMIT), claim("y", 2 * LIMIT)
    peers = {key: (on(key, peer, BOTH),) for key in (A, B)}
    found = key_sharing.entitlement(Unit.TOKENS, me, peers, BOTH)
    assert found == sharing.entitlement(Unit.TOKENS, me, (peer,))
    assert found is not None
    assert (found.total, found.fits) == (2 * LIMIT, 4)


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        # Of key a each has half: two replicas' worth, which is all that the one pool may burn of
        # it with four replicas.
        pytest.param(99, 4, id="as-much-as-it-can"),
        # What the other leaves of key a is the pool's: 1.5 M of it, and as much of b.
        pytest.param(1, 6, id="little"),
        pytest.param(0, 8, id="nothing"),
    ],
)
def test_a_key_that_only_some_share_is_shared_for_itself(wanted: int, fits: int) -> None:
    me, peer = claim("x", 2 * LIMIT), claim("y", LIMIT, wanted=wanted)
    found = key_sharing.entitlement(Unit.TOKENS, me, {A: (peer,), B: ()}, BOTH)
    assert found is not None
    assert found.fits == fits
    assert found.total == LIMIT

    # And what the other sees of it: half of key a, not of both.
    other = key_sharing.entitlement(Unit.TOKENS, peer, {A: (on(A, me, BOTH),)}, ONE)
    assert other is not None
    assert other.fits == 2


limits = st.integers(3_000_000, 8_000_000)
costs = st.integers(20_000, 1_000_000)
Pools = dict[str, tuple[Claim, dict[str, dict[Unit, float]]]]


@given(limits, limits, costs, costs, costs, st.permutations("xyzxyz"))
def test_no_key_is_ever_promised_twice(
    a: int, b: int, x: int, y: int, z: int, order: list[str]
) -> None:
    """One pool burns both keys, one only a, one only b: whatever each takes in turn, it fits."""
    pools: Pools = {
        "x": (claim("x", a + b, cost=x, wanted=MANY), of({A: a / (a + b), B: b / (a + b)})),
        "y": (claim("y", a, cost=y, wanted=MANY), ONE),
        "z": (claim("z", b, cost=z, wanted=MANY), of({B: 1.0})),
    }
    for name in order:
        me, shares = pools[name]
        peers = {
            key: tuple(
                on(key, other, theirs)
                for other, theirs in pools.values()
                if other.pool != name and key in theirs
            )
            for key in shares
        }
        found = key_sharing.entitlement(Unit.TOKENS, me, peers, shares)
        assert found is not None
        pools[name] = (replace(me, held=found.fits), shares)
        assert burnt(pools, A) <= a * (1 + ROUNDING)
        assert burnt(pools, B) <= b * (1 + ROUNDING)
    # Each has a share, and one of the keys of the pool with both is used up but for a replica each.
    assert all(me.held > 0 for me, _ in pools.values())
    assert burnt(pools, A) > a - x - y or burnt(pools, B) > b - x - z


def burnt(pools: Pools, key: str) -> float:
    return fsum(
        me.held * on(key, me, shares).needs[Unit.TOKENS].per_replica
        for me, shares in pools.values()
        if key in shares
    )
