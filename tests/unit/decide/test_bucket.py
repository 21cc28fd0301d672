"""What is known of the provider's bucket from tick to tick."""

from dataclasses import replace
from typing import Any

import pytest

from builders import (
    API_KEY,
    NOW,
    VISION,
    depth,
    llm,
    memory,
    observe,
    pool,
    queue,
    rates,
    seen,
    settled,
    think,
    unseen,
)
from scanpool.decide import Memory, assess, bucket
from scanpool.decide.bucket import Bucket, Measured, OthersUse, reckoned, step
from scanpool.decide.llm_signals import Flow
from scanpool.decide.looks import Look
from scanpool.models.observation import KeyUsage, ProviderState
from scanpool.models.reading import Available, Reading

LIMIT = 2_000_000
COST = 500_000.0
STEADY = Measured(per_replica=COST, steady_since=NOW - 600)


def look(share: float, seconds: float = 0, replicas: int = 2, limit: int = LIMIT) -> Look:
    return Look(NOW + seconds, int(share * limit), limit, 0.0, replicas, replicas)


def looked(*series: Look, known: Bucket | None = None, measured: Measured = STEADY) -> Bucket:
    """Return what is known after some looks at the level, each in a tick of its own."""
    found = known or Bucket()
    for one in series:
        found = step(found, one, measured, one.at)
    return found


def others(found: Bucket) -> float | None:
    return None if found.others is None else found.others.tokens


def test_an_answer_that_several_ticks_see_is_one_look() -> None:
    assert len(looked(look(0.5), look(0.5), look(0.4, 10), look(0.4, 10)).looks) == 2


def test_looks_at_another_limit_are_forgotten_and_so_are_old_ones() -> None:
    found = looked(look(0.5), look(0.5, 10), look(0.5, 20, limit=LIMIT // 2))
    assert [one.limit for one in found.looks] == [LIMIT // 2]

    later = looked(*(look(0.5, 60.0 * one) for one in range(10)))
    assert [one.at - NOW for one in later.looks] == [360, 420, 480, 540]


def test_it_knows_since_when_the_same_replicas_are_ready() -> None:
    """A process that has just begun has changed none."""
    found = looked(look(0.5), look(0.5, 10))
    assert found.changed_at == 0

    grown = looked(look(0.5, 20, replicas=3), look(0.5, 30, replicas=3), known=found)
    assert grown.changed_at == NOW + 20


def test_what_the_level_tells_counts_more_than_what_is_measured() -> None:
    """A metric that shows nobody, or somebody who left a minute ago, is late or blind."""
    falling = [look(0.8 - 0.05 * one, 10.0 * one) for one in range(4)]

    for measured in (0.0, 900_000.0, None):
        told = replace(STEADY, whole=1e6, others=measured)
        assert others(looked(*falling, measured=told)) == pytest.approx(1_600_000)


@pytest.mark.parametrize(
    ("measured", "told", "found"),
    [
        (None, None, None),
        (300_000.0, None, 300_000),
        (None, 400_000.0, 400_000),
        (300_000.0, 400_000.0, 400_000),
        (600_000.0, 400_000.0, 600_000),
        # Beside a full bucket others leave what the pool uses itself.
        (1_900_000.0, None, 1_000_000),
    ],
)
def test_beside_a_full_bucket_the_more_careful_of_what_is_known_counts(
    measured: float | None, told: float | None, found: float | None
) -> None:
    known = Bucket(others=None if told is None else OthersUse(NOW - 60, told))
    starting = Measured(1e6, measured, COST, None)

    assert others(looked(look(1.0), known=known, measured=starting)) == found


@pytest.mark.parametrize(
    ("measured", "spare"),
    [
        pytest.param(STEADY, True, id="nothing-else-is-known"),
        pytest.param(replace(STEADY, whole=1_900_000.0), True, id="less-than-the-limit"),
        pytest.param(replace(STEADY, whole=1_950_000.0), False, id="nothing-to-look-for"),
        pytest.param(replace(STEADY, others=950_000.0), False, id="nothing-beside-others"),
        pytest.param(replace(STEADY, whole=4e6), True, id="no-use-that-a-full-bucket-allows"),
        pytest.param(replace(STEADY, steady_since=NOW - 29), False, id="not-long-enough"),
        pytest.param(replace(STEADY, steady_since=None), False, id="a-replica-starts"),
    ],
)
def test_a_bucket_that_stays_full_has_some_to_spare(measured: Measured, *, spare: bool) -> None:
    assert looked(look(1.0), measured=measured).has_spare is spare


def test_one_that_only_stays_high_has_it_later() -> None:
    """What it tells of others leaves no room, and yet it does not fall."""
    high = [look(0.85, 10.0 * one) for one in range(13)]

    assert not looked(*high[:12]).has_spare
    assert looked(*high).has_spare
    assert not looked(*high, measured=replace(STEADY, steady_since=NOW + 1)).has_spare
    assert not looked(*high[:9], look(0.79, 90), *high[10:]).has_spare


def test_between_answers_the_level_is_reckoned_on_and_told_to_be() -> None:
    found = looked(*(look(0.8 - 0.05 * one, 10.0 * one) for one in range(4)))
    assert found.use == pytest.approx(2_600_000)

    guess = reckoned(found, NOW + 60)
    assert guess is not None
    assert (guess.tokens, guess.is_told) == (pytest.approx(1_000_000), False)
    assert reckoned(found, NOW + 600) == replace(guess, at=NOW + 600, tokens=0)
    assert reckoned(Bucket(), NOW) is None
    assert looked(guess, known=found).told_at == NOW + 30


def silent(known: Bucket, measured: Measured, *, seconds: float = 10) -> Bucket:
    """Return what is known once the provider has been silent for so long."""
    latest = known.latest
    assert latest is not None
    guess = reckoned(known, latest.at + seconds)
    assert guess is not None
    return step(known, guess, measured, guess.at)


@pytest.mark.parametrize(
    ("last", "measured", "found"),
    [
        # Two replicas use 1 M of 2 M TPM: the level of a pool that is alone rises by 1/12 in 10 s.
        pytest.param(1 / 12, None, 0, id="nobody"),
        pytest.param(1 / 14, None, 71_429, id="a-minute-that-tells-a-little-more"),
        pytest.param(1 / 30, None, 600_000, id="somebody-has-come"),
        pytest.param(1 / 14, 0.0, 71_429, id="a-metric-that-shows-nobody"),
        pytest.param(1 / 12, 190_000.0, 0, id="a-metric-that-shows-hardly-anybody"),
        pytest.param(1 / 12, 210_000.0, 210_000, id="a-metric-that-shows-somebody"),
    ],
)
def test_in_silence_others_use_is_that_of_minutes_unless_somebody_has_clearly_come(
    last: float, measured: float | None, found: float
) -> None:
    """What one minute tells is too rough to reckon on for minutes."""
    alone = [look(one / 24, 5.0 * one) for one in range(13)]
    told = looked(*alone, *(look(0.5 + last * one, 60 + 10.0 * one) for one in range(1, 7)))
    known = silent(told, replace(STEADY, others=measured))

    assert others(known) == pytest.approx(found, abs=1)
    # And so it stays, however long.
    later = silent(known, replace(STEADY, others=measured))
    assert others(later) == others(known)


def test_a_use_that_the_level_contradicts_for_minutes_is_said_to_be_wrong() -> None:
    jumps = replace(STEADY, whole=3_100_000.0, others=2_100_000.0)
    looks = [look(0.9, 10.0 * one) for one in range(13)]
    found = looked(*looks, measured=jumps)

    assert others(found) == pytest.approx(LIMIT - 2 * COST), "and it is nobody's"
    assert bucket.contradiction(found, 3_100_000.0, NOW + 119) is None
    assert bucket.contradiction(found, 3_100_000.0, NOW + 120) == (
        "3,100,000 TPM of a limit of 2,000,000 for 120 s, while the provider's bucket is 90% full "
        "and refuses nobody"
    )
    calm = looked(look(0.9, 130), known=found)
    assert bucket.contradiction(calm, 1e6, NOW + 600) is None


@pytest.mark.parametrize(
    ("whole", "share", "wrong"),
    [(3_000_001.0, 0.1, True), (3e6, 0.1, False), (9e9, 0.09, False), (None, 1.0, False)],
)
def test_an_empty_bucket_contradicts_nothing(
    whole: float | None, share: float, *, wrong: bool
) -> None:
    assert bucket.is_implausible(whole, look(share)) is wrong


# --- By the provider's answers ---

SPEC = pool(queue(VISION, tokens=3_000), llm=llm(tokens_per_replica_minute=500_000))


def answer(share: float | None, seconds: float = 0, limit: int | None = LIMIT) -> Any:
    """Build an answer of the provider that tells how much its bucket holds."""
    tokens = None if share is None else int(share * LIMIT)
    return seen(ProviderState(tokens_per_minute=limit, tokens_remaining=tokens), NOW + seconds)


def answered(*answers: Reading[ProviderState], **changes: Any) -> Bucket:
    """Return what is known of the bucket after the answers of some ticks."""
    known = Memory()
    now = NOW
    for provider in answers:
        now = provider.at if isinstance(provider, Available) else now + 10
        waiting = {"queues": seen((depth(100),)), **changes}
        found = assess(SPEC, observe(2, provider=provider, **waiting), known, now).llm
        assert found is not None
        known = memory(known.history, bucket=found.bucket)
    return known.llm.bucket


def test_what_an_answer_tells_of_the_bucket_is_a_look_beside_what_the_pool_does() -> None:
    busy = answered(answer(0.8), answer(0.7, 10))
    assert busy.looks == (
        Look(NOW, 1_600_000, LIMIT, None, 2, 2),
        Look(NOW + 10, 1_400_000, LIMIT, None, 2, 2),
    )
    idle = answered(answer(0.8), queues=seen((depth(1),)), rates=seen((rates(2.0),)))
    assert idle.latest == Look(NOW, 1_600_000, LIMIT, 360_000, 2, 0)


@pytest.mark.parametrize(
    "silent",
    [
        pytest.param(answer(None, 10), id="no-level"),
        pytest.param(answer(0.5, 10, None), id="no-limit"),
    ],
)
def test_an_answer_that_tells_no_level_is_no_look(silent: Any) -> None:
    assert answered(answer(0.5), silent) == answered(answer(0.5))


def test_while_the_provider_is_silent_the_level_is_reckoned_on() -> None:
    found = answered(answer(0.5), unseen(), unseen())

    assert [(one.at - NOW, one.is_told) for one in found.looks] == [
        (0, True), (10, False), (20, False),
    ]  # fmt: skip
    # Two replicas use 1 M of 2 M TPM.
    assert [one.tokens for one in found.looks] == [1_000_000, 1_166_667, 1_333_334]
    assert found.told_at == NOW


def test_while_a_higher_limit_awaits_a_second_answer_the_level_is_reckoned_on() -> None:
    """The bucket of the higher limit counts with the limit, and nothing is given back meanwhile."""
    # By a share of 2 M TPM two replicas would stay.
    told = llm(
        tokens_per_minute=None, api_key_secret_ref=API_KEY, tokens_per_replica_minute=700_000
    )
    spec = pool(queue(VISION, tokens=3_000), llm=told)
    once, twice = (
        seen(ProviderState(tokens_per_minute=2 * LIMIT, tokens_remaining=2 * LIMIT), NOW + seconds)
        for seconds in (10, 20)
    )
    known, course = settled(3), []
    for now, provider in ((0, answer(0.8)), (10, once), (15, once), (20, twice)):
        tick = observe(3, queues=seen((depth(300),)), provider=provider)
        _, known, decision = think(spec, tick, known, NOW + now)
        latest = known.llm.bucket.latest
        assert latest is not None
        course.append((latest.limit, latest.is_told, decision.desired))

    assert course == [
        (LIMIT, True, 3), (LIMIT, False, 3), (LIMIT, False, 3), (2 * LIMIT, True, 5),
    ]  # fmt: skip


def test_the_level_puts_right_what_is_measured_of_others() -> None:
    """Prometheus shows the pool alone, and the bucket falls as if as much again were used."""
    usage = seen(KeyUsage(1_000_000.0, own_tokens_per_minute=1_000_000.0))
    known = Memory()
    for index in range(4):
        provider = answer(0.8 - 0.05 * index, 10.0 * index)
        tick = observe(2, queues=seen((depth(100),)), provider=provider, usage=usage)
        found = assess(SPEC, tick, known, NOW + 10 * index).llm
        assert found is not None
        known = memory(known.history, bucket=found.bucket)

    assert found.use.others == Flow(pytest.approx(1_600_000), 0.0)
    assert found.use.whole.tokens == pytest.approx(2_600_000)
    assert found.use.source == "test and bucket level"


@pytest.mark.parametrize(("age", "known"), [(90, True), (91, False)])
def test_a_process_begins_with_a_level_that_is_not_too_old(age: float, *, known: bool) -> None:
    found = looked(look(0.5, -age))

    again = bucket.restored(bucket.kept(found), NOW)
    assert bool(again.looks) is known
    assert again.told_at == (NOW - age if known else None)
