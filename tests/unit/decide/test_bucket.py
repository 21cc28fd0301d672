"""What the falling level of the provider's token bucket tells of the whole key's use."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import (
    ANSWER,
    NOW,
    VISION,
    llm,
    memory,
    observe,
    pods,
    pool,
    queue,
    rates,
    seen,
    target,
    unseen,
)
from scanpool.decide import Memory, assess
from scanpool.decide.behavior import Scaling
from scanpool.decide.bucket import Bucket, Level, LevelUse, OthersUse, Own, step
from scanpool.decide.history import History
from scanpool.decide.llm_signals import Flow
from scanpool.models.observation import KeyUsage, ProviderState
from scanpool_sandbox.limiter import Admitted, Limiter

LIMIT = 2_000_000
WINDOW = 60
SPEC = pool(queue(VISION, tokens=3_000), queue(ANSWER, tokens=1_500), llm=llm())
WORKING = seen((rates(2.0, VISION), rates(4.0, ANSWER)))
# What those rates come to in tokens per minute, of replicas that have long been the same.
STEADY = Own(720_000, NOW - 600)
UNKNOWN = Own(None, None)


def looked(*levels: Level, bucket: Bucket | None = None, own: Own = UNKNOWN) -> Bucket:
    """Return what is known after some looks at the level."""
    known = bucket or Bucket()
    for one in levels:
        known = step(known, one, own, WINDOW)
    return known


def level(tokens: int, seconds: float = 0, limit: int = LIMIT) -> Level:
    return Level(NOW + seconds, tokens, limit)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        pytest.param(level(1_000_000), level(1_000_000, 60), 2_000_000, id="steady-as-the-refill"),
        pytest.param(level(1_500_000), level(1_000_000, 60), 2_500_000, id="falls"),
        pytest.param(level(1_500_000), level(1_000_000, 30), 3_000_000, id="falls-faster"),
        pytest.param(level(1_000_000), level(1_500_000, 60), 1_500_000, id="rises"),
        pytest.param(level(1_000_000), level(1_800_000, 24), 0, id="nobody-calls"),
        pytest.param(level(0), level(0, 300), 2_000_000, id="as-far-apart-as-may-be"),
        pytest.param(level(1_000_000), level(1_000_000, 301), None, id="too-far-apart"),
        pytest.param(level(1_800_001), level(1_000_000, 60), None, id="was-full"),
        pytest.param(level(1_000_000), level(1_800_001, 60), None, id="is-full"),
        pytest.param(level(1_000_000), level(1_000_000, 60, 4_000_000), None, id="another-limit"),
        pytest.param(level(1_000_000), level(500_000), None, id="the-same-answer"),
        pytest.param(level(1_000_000), level(500_000, -60), None, id="an-older-answer"),
    ],
)
def test_use_is_the_refill_less_the_change_of_the_level(
    before: Level, after: Level, told: float | None
) -> None:
    bucket = looked(before, after)

    assert bucket.use == (None if told is None else LevelUse(NOW, after.at, told))


def test_an_answer_that_several_ticks_see_is_one_look() -> None:
    bucket = looked(level(1_500_000), *[level(1_500_000)] * 3, level(1_000_000, 60))
    assert bucket.use == LevelUse(NOW, NOW + 60, 2_500_000)

    assert looked(*[level(1_000_000, 60)] * 3, bucket=bucket) == bucket


def test_only_the_last_level_is_kept() -> None:
    bucket = looked(*(level(one, 60 * one) for one in range(5)))

    assert bucket.level == Level(NOW + 240, 4, LIMIT)


def test_others_are_looked_for_anew_with_every_pair_and_kept_while_the_bucket_is_full() -> None:
    bucket = looked(level(1_500_000), level(1_000_000, 60), own=STEADY)
    gone = looked(level(1_780_000, 120), bucket=bucket, own=STEADY)
    assert gone.others == OthersUse(NOW + 120, 500_000)

    full = looked(level(2_000_000, 180), level(2_000_000, 240), bucket=gone, own=STEADY)
    assert full.others == gone.others


def test_what_the_pool_acknowledged_beyond_what_the_level_tells_is_nobody_elses() -> None:
    bucket = looked(level(300_000), level(1_780_000, 60), own=STEADY)

    assert bucket.use == LevelUse(NOW, NOW + 60, 520_000)
    assert bucket.others == OthersUse(NOW + 60, 0)


@given(
    limit=st.integers(60_000, 40_000_000),
    period=st.sampled_from([15, 60, 300]),
    calls=st.lists(st.tuples(st.floats(0, 20), st.floats(0, 0.4)), min_size=20, max_size=100),
)
def test_the_level_never_tells_less_than_was_used_and_just_that_if_it_never_was_full(
    limit: int, period: int, calls: list[tuple[float, float]]
) -> None:
    """Of the provider's own limiter, at whatever moments it is called and looked at."""
    limiter = Limiter(tokens_per_minute=limit, requests_per_minute=10**6)
    known, at, look, spent, was_full = Bucket(), 0.0, 0.0, 0, True
    for wait, share in calls:
        at += wait
        while look <= at:
            bucket = limiter.token_level(look)
            is_new = known.level is not None
            known = looked(Level(look, bucket.remaining, limit), bucket=known)
            if is_new and known.use is not None and known.use.at == look:
                real = spent * 60 / period
                # The header tells whole tokens: one may be missing at either look.
                rounding = 60 / period + 1e-6 * limit
                assert known.use.tokens >= real - rounding
                if not was_full:
                    assert known.use.tokens <= real + rounding
            spent, was_full = 0, bucket.level >= limit
            look += period
        was_full = was_full or limiter.token_level(at).level >= limit
        if isinstance(limiter.admit(tokens := max(1, int(share * limit)), at), Admitted):
            spent += tokens


# --- By the provider's answers ---


def answer(remaining: int | None, seconds: float = 0, limit: int | None = LIMIT) -> Any:
    """Build an answer of the provider that tells how much its bucket holds."""
    state = ProviderState(tokens_per_minute=limit, tokens_remaining=remaining)
    return seen(state, NOW + seconds)


def answered(*answers: Any, known: Memory | None = None, **changes: Any) -> Bucket:
    """Return what is known of the bucket after the answers of some ticks."""
    known = known or Memory()
    for provider in answers:
        found = assess(SPEC, observe(provider=provider, **changes), known, NOW + 60).llm
        assert found is not None
        known = memory(known.history, bucket=found.bucket)
    return known.llm.bucket


def test_what_an_answer_tells_of_the_bucket_is_a_look() -> None:
    bucket = answered(answer(1_500_000), answer(1_000_000, 60))

    assert bucket == looked(level(1_500_000), level(1_000_000, 60))


@pytest.mark.parametrize(
    "silent",
    [
        pytest.param(answer(None, 60), id="no-level"),
        pytest.param(answer(1_000_000, 60, None), id="no-limit"),
        pytest.param(unseen(), id="no-answer"),
    ],
)
def test_an_answer_that_tells_no_level_is_no_look(silent: Any) -> None:
    bucket = answered(answer(1_000_000), silent)

    assert bucket == Bucket(level(1_000_000))


@pytest.mark.parametrize("usage", [seen(KeyUsage(1.0)), unseen()])
def test_where_prometheus_is_asked_the_level_is_not(usage: Any) -> None:
    assert answered(answer(1_500_000), answer(1_000_000, 60), usage=usage) == Bucket()


@pytest.mark.parametrize(
    ("changes", "scalings", "told"),
    [
        pytest.param({}, (), True, id="steady"),
        pytest.param(
            {"target": target(1, pods(1, ready_at=NOW - 60))}, (), True, id="just-long-enough"
        ),
        pytest.param(
            {"target": target(1, pods(1, ready_at=NOW - 59))}, (), False, id="a-new-replica"
        ),
        pytest.param({"target": target(1, pods(1, ready=False))}, (), False, id="one-is-not-ready"),
        pytest.param({"target": target(2, pods(1))}, (), False, id="one-is-missing"),
        pytest.param({"target": target(0, pods(1))}, (), False, id="one-too-many"),
        pytest.param({}, (Scaling(NOW - 59, -1),), False, id="one-has-gone"),
        pytest.param({}, (Scaling(NOW - 60, -1),), True, id="long-ago"),
    ],
)
def test_what_others_use_shows_only_while_the_own_rates_are_of_the_same_time(
    changes: dict[str, Any], scalings: tuple[Scaling, ...], *, told: bool
) -> None:
    """A rate is an average over a minute: after a change of replicas the rest would be theirs."""
    bucket = answered(
        answer(1_500_000),
        answer(1_000_000, 60),
        known=memory(History(scalings=scalings)),
        rates=WORKING,
        **changes,
    )

    assert bucket.others == (OthersUse(NOW + 60, 1_780_000) if told else None)
    assert bucket.use is not None, "of the whole it tells all the same"


def test_a_tick_goes_by_the_level_that_it_has_just_seen() -> None:
    """Its answer ends the pair: the use that it tells is that of this tick, not of the next."""
    known = memory(bucket=answered(answer(1_500_000)))

    found = assess(SPEC, observe(provider=answer(1_000_000, 60)), known, NOW + 60).llm
    assert found is not None
    assert (found.use.source, found.use.whole) == ("bucket level", Flow(2_500_000))
