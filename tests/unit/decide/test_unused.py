"""What a pool leaves of what it holds is its equals', as long as the bucket carries it."""

from dataclasses import replace
from typing import Any

import pytest

from builders import (
    API_KEY,
    NOW,
    depth,
    llm,
    observe,
    pods,
    pool,
    rates,
    seen,
    settled,
    target,
    think,
)
from scanpool.decide.sharing import Entitlement, entitlement
from scanpool.models.claims import Claim, Need, Unit
from scanpool.models.llm import ONLY
from scanpool.models.observation import ProviderState

MILLION = 1_000_000.0
LIMIT = 8 * MILLION
# With the bucket full, by the level.
FULL = Need(
    MILLION,
    0.0,
    LIMIT + 0.7 * MILLION,
    float("inf"),
    is_full=True,
    has_level=True,
    beyond=0.7 * MILLION,
)
LOW = replace(FULL, plan=LIMIT, keep=LIMIT, is_full=False, beyond=0.0)


def claim(pool: str, need: Need, **changes: Any) -> Claim:
    usual: dict[str, Any] = {"weight": 1, "floor": 0, "wanted": 20, "held": 4}
    return Claim(pool, needs={Unit.TOKENS: need}, **usual | changes)


def chat(need: Need = FULL, used: float = MILLION, **changes: Any) -> Claim:
    """Build a pool that holds four replicas, and whose messages wait for none of them."""
    usual: dict[str, Any] = {"wanted": 4, "is_busy": False}
    spare = 4 * MILLION - used
    return claim("chat", replace(need, own=used, spare=spare), **usual | changes)


def entitled(me: Claim, *peers: Claim) -> Entitlement:
    found = entitlement(Unit.TOKENS, me, peers)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("peer", "fits"),
    [
        pytest.param(chat(), 7, id="three of its four replicas are lent"),
        pytest.param(chat(is_busy=True), 4, id="a busy one leaves nothing"),
        pytest.param(chat(replace(FULL, own=0.0), used=4 * MILLION), 4, id="all of it is used"),
        pytest.param(
            replace(chat(), needs={Unit.TOKENS: replace(FULL, own=MILLION, spare=None)}), 4,
            id="what it uses is not known",
        ),
        # An idle one holds nothing: to leave some of that would be to take less than nothing.
        pytest.param(chat(used=0.0, is_idle=True), 8, id="idle"),
        pytest.param(chat(priority=-10), 4, id="a lower class lends to nobody"),
    ],
)  # fmt: skip
def test_beside_a_full_bucket_what_is_left_is_lent(peer: Claim, fits: int) -> None:
    assert entitled(claim("scan", FULL, held=4), peer).fits == fits


def test_what_is_lent_is_kept_below_a_full_bucket_and_nothing_more_taken() -> None:
    scan = claim("scan", LOW, held=6)
    found = entitled(scan, chat(LOW))
    assert (found.fits, found.keeps) == (6, 7)
    # Beyond that it is given back, and not all that was lent.
    found = entitled(replace(scan, held=8), chat(LOW))
    assert (found.fits, found.keeps) == (7, 7)
    # Its owner has work again, and waits for it.
    found = entitled(scan, chat(LOW, is_busy=True))
    assert (found.fits, found.keeps) == (4, 4)


def test_without_a_level_nothing_carries_what_is_taken_back() -> None:
    by_rate = replace(LOW, has_level=False)
    assert entitled(claim("scan", by_rate, held=6), chat(by_rate)).keeps == 4


def test_what_one_takes_its_cost_for_limits_no_equal_of_which_is_known_what_it_uses() -> None:
    """A pool whose cost is a guess finds nothing beyond the limit, for its own replicas."""
    guess = replace(FULL, plan=LIMIT, beyond=0.0)
    scan = claim("scan", replace(FULL, plan=LIMIT + 0.7 * MILLION), held=6)
    assert entitled(scan, chat(guess, used=1.5 * MILLION)).total == LIMIT + 0.7 * MILLION
    assert entitled(scan, chat(guess, used=1.5 * MILLION, is_busy=True)).total == LIMIT


def test_the_bucket_that_carries_what_is_lent_gives_less_beyond_the_limit() -> None:
    more = replace(FULL, plan=LIMIT + 0.9 * MILLION, beyond=0.9 * MILLION)
    scan = claim("scan", more, held=6)
    assert entitled(scan, chat(more)).total == LIMIT + 0.7 * MILLION
    assert entitled(scan, chat(more, is_busy=True)).total == LIMIT + 0.9 * MILLION


def test_beside_a_bucket_that_stays_full_one_more_fits_whatever_a_peer_takes_others_to_use() -> (
    None
):
    """Beside a full bucket nothing tells what others use but that it is not all of the limit."""
    careful = chat(replace(FULL, others=LIMIT - MILLION))
    scan = claim("scan", FULL, held=4)
    assert entitled(scan, careful).fits == 4
    lasting = claim("scan", replace(FULL, has_spare=True), held=4)
    assert entitled(lasting, careful).fits == 5


def test_a_replica_that_starts_hides_no_use_of_others() -> None:
    """What a peer sees of others' use cannot be a replica's that is not ready yet."""
    seen_by_peer = replace(FULL, own=MILLION, others=5 * MILLION)
    peer = claim("chat", seen_by_peer, held=1, wanted=1)
    # Four of the five million are the pool's, one is somebody's.
    assert entitled(claim("scan", FULL, held=4), peer).fits == 6
    assert entitled(claim("scan", FULL, held=5, ready=4), peer).fits == 6
    assert entitled(claim("scan", FULL, held=5), peer).fits == 7


SPEC = pool(llm=llm(tokens_per_minute=None, api_key_secret_ref=API_KEY))
HIGH = ProviderState(tokens_per_minute=2_000_000, tokens_remaining=2_000_000)
CALM: dict[str, Any] = {
    "queues": seen((depth(1, 20),)),
    "rates": seen((rates(0.5),)),
    "provider": seen(HIGH),
}


@pytest.mark.parametrize(
    ("changes", "spare", "is_busy"),
    [
        # Of two replicas of half a million; 90,000 are used, and a tenth of that is noise.
        pytest.param({}, 1_000_000 - 1.1 * 90_000, False, id="little-waits"),
        pytest.param({"queues": seen((depth(2, 20),))}, 1_000_000 - 1.1 * 90_000, True,
                     id="a-message-for-each"),
        pytest.param({"target": target(2, running=pods(2, ready_at=NOW - 5))}, None, False,
                     id="use-is-of-before"),
    ],
)  # fmt: skip
def test_a_claim_says_what_is_left_and_whether_messages_wait(
    changes: dict[str, Any], spare: float | None, *, is_busy: bool
) -> None:
    decision = think(SPEC, replace(observe(2), **{**CALM, **changes}), settled(2)).decision
    made = decision.claims[ONLY][ONLY]
    found = made.needs[Unit.TOKENS]
    assert found.spare == (None if spare is None else pytest.approx(spare))
    assert (made.is_busy, made.ready, found.has_level, found.is_full) == (is_busy, 2, True, True)
