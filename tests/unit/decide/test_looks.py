"""What looks at the level of the provider's bucket tell of the use between them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import NOW
from scanpool.decide import looks
from scanpool.decide.looks import Look, Looks
from scanpool_sandbox.limiter import Admitted, Limiter

LIMIT = 2_000_000
COST = 500_000.0


def series(*levels: float, every: float = 10, busy: int = 2, limit: int = LIMIT) -> Looks:
    """Return looks that found these shares of the limit, one after the other."""
    return tuple(
        Look(NOW + every * index, int(share * limit), limit, 0.0, busy, busy)
        for index, share in enumerate(levels)
    )


def others(seen: Looks, cost: float | None) -> float | None:
    mean = looks.others(seen, cost)
    return None if mean is None else mean.tokens


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        pytest.param(series(0.5, 0.5, 0.5, 0.5), 1_000_000, id="steady: use is the refill"),
        pytest.param(series(0.5, 0.45, 0.4, 0.35), 1_600_000, id="falls"),
        pytest.param(series(0.5, 0.52, 0.54, 0.56), 760_000, id="rises"),
        pytest.param(series(0.2, 0.35, 0.5, 0.65), -800_000, id="rises as if it were idle"),
        pytest.param(series(0.5, 0.5), None, id="too short"),
        pytest.param(series(0.5, 0.5, every=91), None, id="too far apart"),
        pytest.param(series(0.98, 0.98, 0.98, 0.98), None, id="full"),
        pytest.param(series(0.98, 0.8, 0.98, 0.8), None, id="full at either end"),
        pytest.param(series(0.98, 0.8, 0.8, 0.8), 1_000_000, id="full before that"),
        # Half of the bucket at once, a minute ago and then again: half of the limit a minute.
        pytest.param(
            series(0.8, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.3, 0.4, 0.5), 1_000_000, id="bursts"
        ),
    ],
)
def test_others_use_what_the_level_tells_beyond_the_pools_own(
    seen: Looks, told: float | None
) -> None:
    assert others(seen, COST) == (None if told is None else pytest.approx(told))


def test_without_a_cost_only_idle_replicas_tell_others() -> None:
    assert others(series(0.5, 0.5, 0.5), None) is None
    assert others(series(0.5, 0.5, 0.5, busy=0), None) == LIMIT


def test_the_first_calls_of_a_replica_are_nobody_elses_unless_the_bucket_runs_empty() -> None:
    def started(*levels: float) -> Looks:
        found = series(*levels)
        return (replace(found[0], busy=1), *found[1:])

    assert others(started(0.9, 0.8, 0.7, 0.6), COST) is None
    assert others(started(0.5, 0.34, 0.24, 0.14), COST) == pytest.approx(2_523_333, rel=1e-3)


def test_what_was_only_reckoned_tells_nothing() -> None:
    seen = tuple(replace(one, is_told=False) for one in series(0.5, 0.4, 0.3))

    assert others(seen, COST) is None


@pytest.mark.parametrize(
    ("seen", "stepped"),
    [
        (series(0.9, 0.7, 0.5, 0.3, 1.0), True),
        (series(0.5, 0.66, 0.82), False),
        (series(0.5, 1.0, every=60), False),
        ((*series(0.5), replace(series(0.9, 0.9)[1], is_told=False)), False),
    ],
    ids=["by-the-clock", "as-fast-as-it-flows", "a-minute-apart", "after-a-reckoned-one"],
)
def test_a_bucket_that_is_filled_by_the_clock_is_told(seen: Looks, *, stepped: bool) -> None:
    assert looks.is_stepped(seen) is stepped


def test_beside_a_bucket_that_is_filled_by_the_clock_use_is_what_it_falls_by() -> None:
    """Six falls of a twentieth of the limit in ten seconds are 0.3 of the limit a minute."""
    seen = series(0.75, 0.7, 0.65, 1.0, 0.95, 0.9, 0.85, 0.8, busy=0)

    assert others(seen, COST) == pytest.approx(0.3 * LIMIT)


def test_the_lowest_level_and_the_largest_fall_are_those_of_the_last_seconds() -> None:
    seen = series(0.1, 0.9, 0.4, 0.6, 0.5, every=20)

    assert looks.lowest(seen, 60) == 0.4
    assert looks.lowest(seen, 600) == 0.1
    assert looks.largest_fall(seen) == 1_000_000
    assert looks.largest_fall(series(0.9, 0.4, 0.6, 0.6, every=60)) == 0


def test_a_level_has_risen_if_it_came_up_by_more_than_a_call() -> None:
    seen = series(0.30, 0.10, 0.11, 0.13)

    assert looks.has_risen(seen, NOW + 10)
    assert not looks.has_risen(seen, NOW)
    assert not looks.has_risen(seen[:2], NOW + 10)


@given(
    limit=st.integers(60_000, 40_000_000),
    calls=st.lists(st.tuples(st.floats(0, 5), st.floats(0, 0.1)), min_size=20, max_size=100),
)
def test_they_tell_what_was_used_of_the_providers_own_limiter(
    limit: int, calls: list[tuple[float, float]]
) -> None:
    """At whatever moments it is called, as long as the bucket is never full."""
    limiter = Limiter(tokens_per_minute=limit, requests_per_minute=10**6)
    limiter.admit(max(1, limit // 2), 0.0)
    at, spent, seen = 0.0, 0, ()
    for wait, share in calls:
        at += wait
        while (look_at := 10.0 * len(seen)) <= at:
            level = limiter.token_level(look_at)
            seen = (*seen, Look(look_at, level.remaining, limit))
            if level.level >= limit * looks.FULL_SHARE or len(seen) > 6:
                break
        else:
            if limiter.token_level(at).level >= limit:
                break
            if isinstance(limiter.admit(tokens := max(1, int(share * limit)), at), Admitted):
                spent += tokens
            continue
        break
    whole = tuple(replace(one, idle=0.0) for one in seen if not one.is_full)
    if len(whole) == len(seen) == 7:
        assert others(whole, None) == pytest.approx(spent, rel=1e-3, abs=limit * 1e-3)
