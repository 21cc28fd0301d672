"""How pools on one key and model share its limit; each property is named after its rule."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import floor, fsum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import strategies  # noqa: F401 - its profile takes the deadline off slow machines
from scanpool.decide.ask import Ask
from scanpool.decide.sharing import CLEARLY, Entitlement, entitlement, free
from scanpool.models.claims import Claim, Need, Share, Unit
from scanpool.models.fields import MOST_REPLICAS
from splits import in_replicas, share

MILLION = 1_000_000.0
# Of what there is, or of a replica: grants are sums and quotients of floats.
ROUNDING = 1e-9


def claim(pool: str, **changes: Any) -> Claim:
    """Build a claim of a pool that wants ten replicas and has none."""
    usual: dict[str, Any] = {
        "weight": 1,
        "floor": 0,
        "wanted": 10,
        "held": 0,
        "needs": {Unit.TOKENS: need()},
    }
    return Claim(pool, **usual | changes)


def need(
    per_replica: float = MILLION,
    plan: float = 6 * MILLION,
    keep: float | None = None,
    **changes: float,
) -> Need:
    """Build a need that leaves no room above `plan`, by default, and sees no use by anyone."""
    usual = Need(per_replica, 0.0, plan, plan if keep is None else keep)
    return replace(usual, **changes)


def entitled(me: Claim, *peers: Claim) -> Entitlement:
    found = entitlement(Unit.TOKENS, me, peers)
    assert found is not None
    return found


# --- What a pool may have ---


def test_a_pool_that_does_not_need_the_limit_has_no_part_in_it() -> None:
    peer = claim("b")

    assert entitlement(Unit.REQUESTS, claim("a"), [peer]) is None
    assert entitlement(Unit.TOKENS, claim("a", needs={}), [peer]) is None
    assert entitlement(Unit.TOKENS, claim("a", needs={Unit.TOKENS: need(0.0)}), [peer]) is None


@pytest.mark.parametrize("needs", [{}, {Unit.REQUESTS: need()}, {Unit.TOKENS: need(0.0)}])
def test_a_peer_that_does_not_need_the_limit_takes_none(needs: Mapping[Unit, Need]) -> None:
    found = entitled(claim("a"), claim("b", held=5, needs=needs))

    assert (found.fits, found.keeps, found.others) == (6, 6, ())


@pytest.mark.parametrize(
    ("me", "peers", "fits", "keeps"),
    [
        pytest.param(claim("a"), [], 6, 6, id="alone"),
        pytest.param(claim("a", wanted=0), [], 6, 6, id="what it wants now does not bound it"),
        pytest.param(claim("a"), [claim("b", held=3)], 3, 3, id="half"),
        pytest.param(claim("a", weight=2), [claim("b", held=2)], 4, 4, id="by weight"),
        pytest.param(claim("a"), [claim("b", wanted=1, held=1)], 5, 5, id="what the other leaves"),
        pytest.param(claim("a"), [claim("b", wanted=0)], 6, 6, id="all that the other leaves"),
        pytest.param(
            claim("a"), [claim("b", wanted=0, floor=1, held=1)], 5, 5, id="but for its floor"
        ),
        pytest.param(claim("a"), [claim("b")], 3, 6, id="half, though the other holds none yet"),
        pytest.param(claim("a"), [claim("b", held=5)], 1, 3, id="what the other holds is not free"),
        pytest.param(claim("a"), [claim("b", held=6)], 0, 3, id="nothing is free"),
        pytest.param(claim("a", held=2), [claim("b", held=4)], 2, 3, id="nothing more is free"),
        pytest.param(claim("a", held=2), [claim("b", held=9)], 2, 3, id="held, whatever others do"),
        pytest.param(claim("a", held=5), [claim("b", held=1)], 3, 3, id="it has to give back"),
        pytest.param(claim("a"), [claim("b", held=2), claim("c", held=2)], 2, 2, id="a third"),
        pytest.param(
            claim("a", needs={Unit.TOKENS: need(2 * MILLION)}),
            [claim("b", held=3)],
            1,
            1,
            id="a dear one",
        ),
    ],
)
def test_a_pool_may_grow_to_its_part_of_what_is_free(
    me: Claim, peers: list[Claim], fits: int, keeps: int
) -> None:
    found = entitled(me, *peers)

    assert (found.fits, found.keeps) == (fits, keeps)


def test_the_most_careful_view_counts_for_all() -> None:
    careful = {Unit.TOKENS: need(plan=4 * MILLION, keep=9 * MILLION)}
    lavish = {Unit.TOKENS: need(plan=6 * MILLION, keep=8 * MILLION)}
    one, other = claim("a", held=2, needs=careful), claim("b", held=2, needs=lavish)

    for found in (entitled(one, other), entitled(other, one)):
        assert (found.total, found.fits, found.keeps) == (4 * MILLION, 2, 6)


@pytest.mark.parametrize(
    ("mine", "others", "keeps"),
    [
        pytest.param({"held": 120}, {"wanted": 80, "held": 80}, 140, id="nobody waits"),
        pytest.param({"held": 130}, {"held": 70}, 100, id="the other waits for its half"),
        pytest.param({"held": 110}, {"held": 90}, 130, id="not to change places"),
        pytest.param(
            {"held": 110}, {"held": 90, "floor": 100}, 100, id="the other lacks its floor"
        ),
        pytest.param({"held": 140, "weight": 2}, {"held": 60}, 160, id="alike for their weights"),
        pytest.param({"held": 160, "weight": 2}, {"held": 40}, 134, id="unlike for their weights"),
        pytest.param({"held": 75}, {"held": 125, "weight": 2}, 95, id="the other's weight, alike"),
        pytest.param({"held": 90}, {"held": 110, "weight": 2}, 67, id="the other's weight, unlike"),
        pytest.param({"held": 150}, {"wanted": 90, "held": 90}, 130, id="beyond the upper edge"),
    ],
)
def test_what_is_lent_is_given_back_when_its_owner_waits_for_it(
    mine: Mapping[str, int], others: Mapping[str, int], keeps: int
) -> None:
    """There are 200 to plan with, and 220 up to the upper edge."""
    needs = {Unit.TOKENS: need(plan=200 * MILLION, keep=220 * MILLION)}
    me, peer = (
        claim(pool, **{"wanted": 200, "needs": needs, **changes})
        for pool, changes in (("a", mine), ("b", others))
    )

    assert entitled(me, peer).keeps == keeps


@pytest.mark.parametrize(
    ("seen", "held", "used", "total"),
    [
        pytest.param({}, 2, 0, 6, id="nobody else is seen"),
        pytest.param({"others": 2}, 2, 0, 6, id="the others are the pool that holds as much"),
        pytest.param({"others": 2}, 3, 0, 6, id="which has grown since"),
        pytest.param({"others": 3}, 2, 3, 6, id="which has shrunk since"),
        pytest.param({"others": 3}, 2, 0, 5, id="somebody else is there, too"),
        pytest.param({"others": 9}, 2, 0, -1, id="and takes all"),
        pytest.param({"others": 3, "own": 2}, 2, 0, 5, id="whatever the pool itself uses"),
        pytest.param({"others": 4, "factor": 0.5}, 2, 0, 5, id="in a back-off"),
    ],
)
def test_what_others_use_is_theirs_as_far_as_it_is_no_pools(
    seen: Mapping[str, float], held: int, used: float, total: float
) -> None:
    """In millions, out of six."""
    in_tokens = {
        name: value if name == "factor" else value * MILLION for name, value in seen.items()
    }
    me = claim("a", needs={Unit.TOKENS: need(**in_tokens)})
    peer = claim("b", held=held, needs={Unit.TOKENS: need(own=used * MILLION)})

    assert entitled(me, peer).total == entitled(peer, me).total == total * MILLION


@pytest.mark.parametrize(
    ("held", "others_held", "others", "fits"),
    [
        pytest.param(0, 1, 1, 3, id="up to it, less what the others hold"),
        pytest.param(0, 1, 3, 1, id="and what is nobody's"),
        pytest.param(0, 4, 4, 0, id="nothing is left"),
        pytest.param(4, 2, 2, 4, id="it takes nothing away"),
        pytest.param(6, 0, 0, 5, id="nor keeps what is the other's"),
    ],
)
def test_a_limit_on_growth_limits_growth_alone(
    held: int, others_held: int, others: int, fits: int
) -> None:
    """Ten replicas' worth for two pools, of which four may be used as yet."""
    ramped = {Unit.TOKENS: need(plan=10 * MILLION, most=4 * MILLION, others=others * MILLION)}
    free = {Unit.TOKENS: need(plan=10 * MILLION)}
    me = claim("a", held=held, needs=ramped)
    peer = claim("b", held=others_held, needs=free)

    found = entitled(me, peer)
    assert (found.fits, found.total) == (
        fits,
        10 * MILLION - max(others - others_held, 0) * MILLION,
    )


def test_what_others_use_counts_at_both_edges() -> None:
    needs = {Unit.TOKENS: need(keep=8 * MILLION, others=2 * MILLION, factor=0.5)}

    found = entitled(claim("a", needs=needs))
    assert (found.fits, found.keeps) == (5, 7)


def test_what_the_others_hold_beyond_the_plan_is_not_kept_a_second_time() -> None:
    """Two cheap replicas are due by the plan, and a third dear one by the upper edge: not both."""
    sizes = {"a": (2, 0.5), "b": (3, 2.56), "c": (1, 0.5)}
    cheap, dear, least = [
        claim(
            pool,
            weight=8 if pool == "b" else 1,
            floor=1 if pool == "c" else 0,
            wanted=held,
            held=held,
            needs={Unit.TOKENS: need(size * MILLION, 7.96 * MILLION, 8.69 * MILLION)},
        )
        for pool, (held, size) in sizes.items()
    ]

    assert entitled(cheap, dear, least).keeps >= 2
    assert entitled(dear, cheap, least).keeps == 2


@pytest.mark.parametrize(
    ("plan", "others_hold", "fits"),
    [
        pytest.param(0.5, 0, 1, id="nobody runs"),
        pytest.param(0.5, 1, 0, id="another has it"),
        pytest.param(0.0, 0, 0, id="nothing at all"),
        pytest.param(-1.0, 0, 0, id="less than nothing"),
    ],
)
def test_one_of_all_pools_gets_the_last_replica(plan: float, others_hold: int, fits: int) -> None:
    needs = {Unit.TOKENS: need(plan=plan * MILLION)}

    found = entitled(claim("a", needs=needs), claim("b", held=others_hold, needs=needs))
    assert found.fits == fits


def test_the_status_shows_what_everyone_claims_and_gets() -> None:
    found = entitled(
        claim("b", weight=2, wanted=1, floor=2),
        claim("c", weight=3, wanted=9),
        claim("a", wanted=1, held=5),
        claim("d", needs={}),
    )

    assert found.total == 6 * MILLION
    assert found.share == Share("b", 2, 2 * MILLION, 2 * MILLION)
    assert found.others == (
        Share("a", 1, 1 * MILLION, 1 * MILLION),
        Share("c", 3, 9 * MILLION, 3 * MILLION),
    )


def test_the_last_replica_is_granted_no_more_than_there_is() -> None:
    needs = {Unit.TOKENS: need(plan=0.4 * MILLION)}
    found = entitled(claim("b", needs=needs), claim("a", needs=needs))

    assert (found.share.grant, [one.grant for one in found.others]) == (0.0, [0.4 * MILLION])


def test_what_is_free_is_what_the_others_do_not_hold() -> None:
    assert free(6.0, 4.0) == 2.0
    assert free(6.0, 9.0) == 0.0


names = st.sampled_from([f"scan/pool-{number}" for number in range(9)])
steps = st.sampled_from([500_000.0, MILLION]) | st.floats(1.0, 5e6)
weights = st.integers(1, 5) | st.integers(1, 1_000)
few = st.integers(0, 12)
totals = st.just(0.0) | st.integers(1, 30).map(lambda one: one * MILLION) | st.floats(1e-3, 5e7)


@given(totals.filter(bool), st.floats(1.0, 2.0), steps, few)
def test_alone_a_pool_may_have_what_fits(
    plan: float, edge: float, per_replica: float, held: int
) -> None:
    needs = {Unit.TOKENS: need(per_replica, plan, edge * plan)}

    found = entitled(claim("a", held=held, needs=needs))
    assert found.fits == min(max(floor(plan / per_replica + ROUNDING), 1), MOST_REPLICAS)
    assert found.keeps == min(max(floor(edge * plan / per_replica + ROUNDING), 1), MOST_REPLICAS)


plans = totals | st.floats(-1e6, 0.0)


@st.composite
def _claims(draw: st.DrawFn) -> list[Claim]:
    plan = draw(plans)
    needs = st.builds(
        need, steps, st.just(plan), st.sampled_from([1.0, 1.09, 2.0]).map(lambda one: one * plan)
    )
    pools = draw(st.lists(names, min_size=1, max_size=6, unique=True))
    return [
        Claim(
            pool,
            draw(weights),
            floor=draw(st.integers(0, 2)),
            wanted=draw(few),
            held=draw(few),
            needs={Unit.TOKENS: draw(needs)},
        )
        for pool in pools
    ]


def views(claims: Sequence[Claim]) -> list[tuple[Claim, Entitlement]]:
    """Return each pool's own view of the same limit."""
    return [(me, entitled(me, *(one for one in claims if one is not me))) for me in claims]


@given(_claims())
def test_what_a_pool_may_grow_to_it_also_keeps(claims: list[Claim]) -> None:
    assert all(0 <= found.fits <= found.keeps for _, found in views(claims))


@given(_claims())
def test_grants_never_sum_above_the_budget(claims: list[Claim]) -> None:
    for _, found in views(claims):
        given_out = fsum([found.share.grant, *(one.grant for one in found.others)])
        assert given_out <= max(found.total, 0.0) * (1 + ROUNDING)


@given(_claims())
def test_all_pools_see_the_same_shares(claims: list[Claim]) -> None:
    def by_name(found: Entitlement) -> list[Share]:
        return sorted([found.share, *found.others], key=lambda one: one.pool)

    first, *others = [by_name(found) for _, found in views(claims)]
    for seen in others:
        assert [one.pool for one in seen] == [one.pool for one in first]
        assert [one.grant for one in seen] == pytest.approx([one.grant for one in first])


@given(_claims(), st.randoms(use_true_random=False))
def test_the_order_of_the_peers_does_not_matter(claims: list[Claim], chance: Any) -> None:
    me, *peers = claims
    shuffled = list(peers)
    chance.shuffle(shuffled)

    assert entitled(me, *shuffled) == entitled(me, *peers)


def per_replica(one: Claim) -> float:
    return one.needs[Unit.TOKENS].per_replica


def spent(claims: Sequence[Claim]) -> float:
    return fsum(one.held * per_replica(one) for one in claims)


def act(claims: list[Claim], turn: int) -> list[Claim]:
    """Let one pool take what it wants as far as it may, and give back the rest; never its floor."""
    me = claims[turn]
    found = entitled(me, *claims[:turn], *claims[turn + 1 :])
    most = found.fits if me.held > found.keeps else max(found.fits, me.held)
    held = max(min(me.wanted, most), me.floor)
    return [replace(one, held=held) if one is me else one for one in claims]


@given(_claims(), st.data())
def test_growing_never_takes_the_pools_above_the_budget(
    claims: list[Claim], data: st.DataObject
) -> None:
    """But for floors, and for the last replica while nobody else runs."""
    plan = claims[0].needs[Unit.TOKENS].plan
    for turn in data.draw(st.lists(st.integers(0, len(claims) - 1), max_size=12)):
        grown = act(claims, turn)
        if grown[turn].held > max(claims[turn].held, claims[turn].floor) and (
            spent(grown) > plan * (1 + ROUNDING)
        ):
            assert sum(one.held for one in grown) == 1
        claims = grown


@given(_claims())
def test_pools_come_to_rest_with_what_they_are_entitled_to(claims: list[Claim]) -> None:
    """From whatever they hold: idle shares are taken, and given back to who wants its own."""
    rounds = 0
    while (after := round_of(claims)) != claims:
        claims, rounds = after, rounds + 1
        assert rounds <= 3 * len(claims)

    plan = claims[0].needs[Unit.TOKENS].plan
    if fsum(one.floor * per_replica(one) for one in claims) > plan:
        return
    asks = [
        Ask(
            one.pool,
            one.weight,
            floor=one.floor * per_replica(one),
            claim=max(one.wanted, one.floor) * per_replica(one),
            step=per_replica(one),
            held=one.held,
        )
        for one in claims
    ]
    grants, granted = share(plan, asks), in_replicas(plan, asks)
    lent = [one for one in asks if one.held > granted[one.name]]
    for one in asks:
        if one.held < floor(grants[one.name] / one.step):
            # Somebody holds of its part, but for the weights not clearly more than it has left.
            left = (1 + CLEARLY) * one.held * one.step / one.weight
            assert any((rich.held - 1) * rich.step / rich.weight <= left for rich in lent)
    keep = min(one.needs[Unit.TOKENS].keep for one in claims)
    assert spent(claims) <= keep * (1 + ROUNDING) or sum(one.held for one in claims) == 1


def round_of(claims: list[Claim]) -> list[Claim]:
    for turn in range(len(claims)):
        claims = act(claims, turn)
    return claims
