"""What is used of a key, by the pool and by others, from each source."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import (
    ANSWER,
    API_KEY,
    NOW,
    VISION,
    WHOLE_KEY,
    llm,
    observe,
    pods,
    pool,
    queue,
    rates,
    seen,
    settled,
    target,
    unseen,
)
from scanpool.decide import decide, use
from scanpool.decide.use import Flow, Use
from scanpool.models.budget import Unit
from scanpool.models.conditions import Reason
from scanpool.models.memory import Level, LevelUse, Memory, Scaling, UseSample
from scanpool.models.observation import KeyUsage, Observation, ProviderState, QueueRates
from scanpool.models.reading import Available, Unavailable
from scanpool_sandbox.limiter import Admitted, Limiter

QUEUES = (queue(VISION, tokens=3_000), queue(ANSWER, tokens=1_500))
WORKING = (rates(2.0, VISION), rates(4.0, ANSWER))
# 2 x 60 x 3,000 + 4 x 60 x 1,500 tokens and 6 x 60 requests, per minute.
OWN = Flow(tokens=720_000, requests=360)
NOBODY = Flow(0, 0, 0)


# --- Acknowledged messages ---


def test_own_use_is_acknowledged_messages_times_tokens_per_message() -> None:
    assert use.acknowledged(QUEUES, observe(rates=seen(WORKING))) == OWN


def test_a_queue_that_calls_no_llm_adds_neither_tokens_nor_requests() -> None:
    observation = observe(rates=seen((rates(2.0), rates(50.0, "scan.reward"))))

    own = use.acknowledged([queue(), queue("scan.reward", tokens=0)], observation)
    assert own == Flow(360_000, 120)


@pytest.mark.parametrize(
    "rated",
    [pytest.param((), id="no-rates"), pytest.param((rates(2.0),), id="one-queue-has-no-rate")],
)
def test_own_use_is_unknown_rather_than_zero_without_every_queues_rate(
    rated: tuple[QueueRates, ...],
) -> None:
    assert use.acknowledged(QUEUES, observe(rates=seen(rated))) == Flow()


@pytest.mark.parametrize("unread", [None, unseen()])
def test_own_use_is_unknown_without_rates(unread: None) -> None:
    assert use.acknowledged(QUEUES, observe(rates=unread)) == Flow()


def test_own_use_is_unknown_where_no_queue_is_said_to_cost_tokens() -> None:
    assert use.acknowledged([queue(tokens=0)], observe(rates=seen((rates(2.0),)))) == Flow()


# --- Whole, own and others ---


@pytest.mark.parametrize(
    ("observation", "whole", "own", "others"),
    [
        pytest.param(
            observe(rates=seen(WORKING), usage=seen(KeyUsage(1_000_000, 500))),
            Flow(1_000_000, 500),
            OWN,
            Flow(280_000, 140),
            id="others-are-the-whole-less-our-own",
        ),
        pytest.param(
            observe(rates=seen(WORKING), usage=seen(KeyUsage(700_000, None))),
            Flow(700_000, None),
            OWN,
            Flow(0, 0),
            id="others-never-use-less-than-nothing",
        ),
        pytest.param(
            observe(rates=seen(WORKING)), OWN, OWN, NOBODY, id="alone-where-no-one-else-is-seen"
        ),
        pytest.param(
            observe(usage=seen(KeyUsage(1_000_000, 500))),
            Flow(1_000_000, 500),
            Flow(1_000_000, 500),
            Flow(0, 0),
            id="all-use-is-ours-where-our-own-is-not-seen",
        ),
        pytest.param(
            observe(rates=seen(WORKING), usage=seen(KeyUsage(1_000_000, 500, 0, 900_000, 450))),
            Flow(1_000_000, 500),
            Flow(900_000, 450),
            Flow(100_000, 50),
            id="our-own-of-the-same-series-comes-before-the-rates",
        ),
        pytest.param(
            observe(rates=unseen(), usage=seen(KeyUsage(1_000_000, 500, 0, 900_000, 450))),
            Flow(1_000_000, 500),
            Flow(900_000, 450),
            Flow(100_000, 50),
            id="and-without-them",
        ),
        pytest.param(
            observe(usage=seen(KeyUsage(1_000_000, 500, 0, 0, 0))),
            Flow(1_000_000, 500),
            Flow(0, 0),
            Flow(1_000_000, 500),
            id="zero-of-our-own-is-known",
        ),
        pytest.param(
            observe(rates=unseen(), usage=seen(KeyUsage(1_000_000, 500))),
            Flow(1_000_000, 500),
            Flow(1_000_000, 500),
            Flow(1_000_000, 500),
            id="all-use-may-be-theirs-while-our-own-is-unread",
        ),
        pytest.param(
            observe(rates=seen(WORKING), usage=unseen()),
            OWN,
            OWN,
            Flow(),
            id="unknown-while-the-whole-is-unread",
        ),
        pytest.param(
            observe(
                rates=seen(WORKING),
                usage=seen(
                    KeyUsage(
                        1_000_000,
                        500,
                        own_tokens_per_minute=900_000,
                        own_requests_per_minute=450,
                        output_tokens_per_minute=200_000,
                        own_output_tokens_per_minute=150_000,
                    )
                ),
            ),
            Flow(1_000_000, 500, 200_000),
            Flow(900_000, 450, 150_000),
            Flow(100_000, 50, 50_000),
            id="output-is-told-apart-as-well",
        ),
        pytest.param(
            observe(
                rates=seen(WORKING),
                usage=seen(KeyUsage(1_000_000, 500, output_tokens_per_minute=200_000)),
            ),
            Flow(1_000_000, 500, 200_000),
            OWN,
            Flow(280_000, 140),
            id="others-output-is-unknown-while-our-own-is",
        ),
        pytest.param(observe(), Flow(), Flow(), NOBODY, id="nothing-is-seen"),
    ],
)
def test_what_others_use(observation: Observation, whole: Flow, own: Flow, others: Flow) -> None:
    found = use.measure(QUEUES, observation, Memory(), NOW)

    assert (found.whole, found.own, found.others) == (whole, own, others)


@pytest.mark.parametrize(
    ("observation", "source", "at", "own_at"),
    [
        pytest.param(
            observe(rates=seen(WORKING, NOW - 5), usage=seen(KeyUsage(1_000_000), NOW - 60)),
            "test",
            NOW - 60,
            NOW - 5,
            id="prometheus-and-acknowledged-messages",
        ),
        pytest.param(
            observe(
                rates=seen(WORKING, NOW - 5),
                usage=seen(KeyUsage(1_000_000, own_tokens_per_minute=1.0), NOW - 60),
            ),
            "test",
            NOW - 60,
            NOW - 60,
            id="prometheus-alone",
        ),
        pytest.param(
            observe(rates=seen(WORKING, NOW - 5)),
            "acknowledged messages",
            NOW - 5,
            NOW - 5,
            id="acknowledged-messages",
        ),
        pytest.param(
            observe(rates=seen(WORKING, NOW - 5), usage=unseen()),
            "acknowledged messages",
            NOW - 5,
            NOW - 5,
            id="prometheus-fails",
        ),
        pytest.param(observe(usage=unseen()), None, None, None, id="all-fails"),
        pytest.param(observe(), None, None, None, id="nothing-is-seen"),
    ],
)
def test_use_tells_where_it_comes_from_and_how_old_it_is(
    observation: Observation, source: str | None, at: float | None, own_at: float | None
) -> None:
    found = use.measure(QUEUES, observation, Memory(), NOW)

    assert (found.source, found.at, found.own_at) == (source, at, own_at)


@pytest.mark.parametrize(
    ("flow", "amounts"),
    [
        pytest.param(Flow(1_000, 5, 200), (1_000, 800, 200, 5), id="told-apart"),
        pytest.param(Flow(1_000, 5), (1_000, 1_000, 1_000, 5), id="together-counts-as-both"),
        pytest.param(Flow(100, 5, 200), (100, 0, 200, 5), id="never-less-than-nothing"),
        pytest.param(Flow(None, None, 200), (None, None, 200, None), id="only-output"),
        pytest.param(Flow(), (None, None, None, None), id="unknown"),
    ],
)
def test_what_is_used_of_each_limit(flow: Flow, amounts: tuple[float | None, ...]) -> None:
    units = (Unit.TOKENS, Unit.INPUT_TOKENS, Unit.OUTPUT_TOKENS, Unit.REQUESTS)

    assert tuple(flow.of(unit) for unit in units) == amounts


# --- The falling level of the provider's bucket ---

LIMIT = 2_000_000
WINDOW = 60


def level(remaining: int | None, at: float = NOW, limit: int | None = LIMIT) -> Any:
    """Build an answer of the provider that tells how much its bucket holds."""
    return seen(ProviderState(tokens_per_minute=limit, tokens_remaining=remaining), at)


def looked(*answers: Any, memory: Memory | None = None, **changes: Any) -> Memory:
    """Return what is known after the answers of some ticks."""
    known = memory or Memory()
    for answer in answers:
        known = use.learn_level(QUEUES, observe(provider=answer, **changes), known, WINDOW)
    return known


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        pytest.param(
            level(1_000_000), level(1_000_000, NOW + 60), 2_000_000, id="steady-as-the-refill"
        ),
        pytest.param(level(1_500_000), level(1_000_000, NOW + 60), 2_500_000, id="falls"),
        pytest.param(level(1_500_000), level(1_000_000, NOW + 30), 3_000_000, id="falls-faster"),
        pytest.param(level(1_000_000), level(1_500_000, NOW + 60), 1_500_000, id="rises"),
        pytest.param(level(1_000_000), level(1_800_000, NOW + 24), 0, id="nobody-calls"),
        pytest.param(level(0), level(0, NOW + 300), 2_000_000, id="as-far-apart-as-may-be"),
        pytest.param(level(1_000_000), level(1_000_000, NOW + 301), None, id="too-far-apart"),
        pytest.param(level(1_800_001), level(1_000_000, NOW + 60), None, id="was-full"),
        pytest.param(level(1_000_000), level(1_800_001, NOW + 60), None, id="is-full"),
        pytest.param(
            level(1_000_000), level(1_000_000, NOW + 60, 4_000_000), None, id="another-limit"
        ),
        pytest.param(level(1_000_000), level(None, NOW + 60), None, id="no-level"),
        pytest.param(level(1_000_000), level(1_000_000, NOW + 60, None), None, id="no-limit"),
        pytest.param(level(1_000_000), level(500_000), None, id="the-same-answer"),
        pytest.param(level(1_000_000), level(500_000, NOW - 60), None, id="an-older-answer"),
        pytest.param(level(1_000_000), unseen(), None, id="no-answer"),
    ],
)
def test_use_is_the_refill_less_the_change_of_the_level(
    before: Any, after: Any, told: float | None
) -> None:
    memory = looked(before, after)

    assert memory.level_use == (None if told is None else LevelUse(NOW, after.at, told))


def test_an_answer_that_several_ticks_see_is_one_look() -> None:
    memory = looked(level(1_500_000), *[level(1_500_000)] * 3, level(1_000_000, NOW + 60))
    assert memory.level_use == LevelUse(NOW, NOW + 60, 2_500_000)

    again = looked(*[level(1_000_000, NOW + 60)] * 3, memory=memory)
    assert again == memory


def test_only_the_last_level_is_kept() -> None:
    memory = looked(*(level(one, NOW + 60 * one) for one in range(5)))

    assert memory.level == Level(NOW + 240, 4, LIMIT)


@pytest.mark.parametrize("usage", [seen(KeyUsage(1.0)), unseen()])
def test_where_prometheus_is_asked_the_level_is_not(usage: Any) -> None:
    assert looked(level(1_500_000), level(1_000_000, NOW + 60), usage=usage) == Memory()


def test_where_nothing_else_is_seen_all_that_the_level_tells_is_the_pools() -> None:
    """An AMQP broker shows no rates."""
    memory = looked(level(1_500_000), level(1_000_000, NOW + 60))
    alone = Flow(2_500_000)

    for age in (0, 300):
        found = use.measure(QUEUES, observe(), memory, NOW + 60 + age)
        told = Use(alone, alone, NOBODY, "bucket level", NOW + 60, NOW + 60, NOW)
        assert found == replace(told, own_is_told=False)
    assert use.measure(QUEUES, observe(), memory, NOW + 361).own == Flow()


def test_the_level_adds_others_to_acknowledged_messages_for_a_quarter_of_an_hour() -> None:
    working: dict[str, Any] = {"rates": seen(WORKING)}
    memory = looked(level(1_500_000), level(1_000_000, NOW + 60), **working)

    for age in (0, 900):
        found = use.measure(QUEUES, observe(**working), memory, NOW + 60 + age)
        assert found.source == "acknowledged messages and bucket level"
        assert (found.whole, found.own) == (Flow(2_500_000, 360), OWN)
        assert found.others == Flow(2_500_000 - 720_000, 0)
    later = use.measure(QUEUES, observe(**working), memory, NOW + 961)
    assert (later.source, later.others) == ("acknowledged messages", NOBODY)


def test_others_are_looked_for_anew_with_every_pair_and_kept_while_the_bucket_is_full() -> None:
    working: dict[str, Any] = {"rates": seen(WORKING)}
    memory = looked(level(1_500_000), level(1_000_000, NOW + 60), **working)
    gone = looked(level(1_780_000, NOW + 120), memory=memory, **working)
    assert gone.level_others == UseSample(NOW + 120, 500_000)

    full = looked(level(2_000_000, NOW + 180), level(2_000_000, NOW + 240), memory=gone, **working)
    assert full.level_others == gone.level_others


def test_what_the_pool_acknowledged_beyond_what_the_level_tells_is_nobody_elses() -> None:
    memory = looked(level(300_000), level(1_780_000, NOW + 60), rates=seen(WORKING))

    assert memory.level_use == LevelUse(NOW, NOW + 60, 520_000)
    assert memory.level_others == UseSample(NOW + 60, 0)


@pytest.mark.parametrize(
    ("changes", "memory", "told"),
    [
        pytest.param({}, Memory(), True, id="steady"),
        pytest.param(
            {"target": target(1, pods(1, ready_at=NOW - 60))}, Memory(), True, id="just-long-enough"
        ),
        pytest.param(
            {"target": target(1, pods(1, ready_at=NOW - 59))}, Memory(), False, id="a-new-replica"
        ),
        pytest.param(
            {"target": target(1, pods(1, ready=False))}, Memory(), False, id="one-is-not-ready"
        ),
        pytest.param({"target": target(2, pods(1))}, Memory(), False, id="one-is-missing"),
        pytest.param({"target": target(0, pods(1))}, Memory(), False, id="one-too-many"),
        pytest.param({}, Memory(scalings=(Scaling(NOW - 59, -1),)), False, id="one-has-gone"),
        pytest.param({}, Memory(scalings=(Scaling(NOW - 60, -1),)), True, id="long-ago"),
    ],
)
def test_what_others_use_shows_only_while_the_own_rates_are_of_the_same_time(
    changes: dict[str, Any], memory: Memory, *, told: bool
) -> None:
    """A rate is an average over a minute: after a change of replicas the rest would be theirs."""
    known = looked(
        level(1_500_000), level(1_000_000, NOW + 60), memory=memory, rates=seen(WORKING), **changes
    )

    assert (known.level_others is not None) == told
    assert known.level_use is not None, "of the whole it tells all the same"


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
    memory, at, look, spent, was_full = Memory(), 0.0, 0.0, 0, True
    for wait, share in calls:
        at += wait
        while look <= at:
            bucket = limiter.token_level(look)
            is_new = memory.level is not None
            memory = looked(level(bucket.remaining, look, limit), memory=memory)
            if is_new and memory.level_use is not None and memory.level_use.at == look:
                real = spent * 60 / period
                # The header tells whole tokens: one may be missing at either look.
                rounding = 60 / period + 1e-6 * limit
                assert memory.level_use.tokens >= real - rounding
                if not was_full:
                    assert memory.level_use.tokens <= real + rounding
            spent, was_full = 0, bucket.level >= limit
            look += period
        was_full = was_full or limiter.token_level(at).level >= limit
        if isinstance(limiter.admit(tokens := max(1, int(share * limit)), at), Admitted):
            spent += tokens


# --- Readings that are stuck ---

WATCHING = llm(usage=WHOLE_KEY)


def using(tokens: float, at: float = NOW) -> Available[KeyUsage]:
    return seen(KeyUsage(tokens), at)


def watched(
    *shown: float, acked: float = 2.0, seconds: int = 10, window: int = WINDOW
) -> list[bool]:
    """Tell for each tick whether its reading of use counts; `acked` messages per second."""
    spec = llm(usage=WHOLE_KEY.model_copy(update={"window_seconds": window}))
    memory, counts = Memory(), []
    for number, tokens in enumerate(shown):
        now = NOW + seconds * number
        observation = observe(usage=using(tokens, now))
        vetted, memory = use.vet(spec, observation, Flow(acked * 180_000), memory, now)
        counts.append(vetted.usage == observation.usage)
    return counts


@pytest.mark.parametrize(
    ("window", "ticks"),
    [
        pytest.param(10, 18, id="180-s"),
        pytest.param(60, 18, id="as-long-as-three-windows"),
        pytest.param(100, 30, id="three-windows"),
    ],
)
def test_a_use_that_does_not_move_is_no_reading_after_180_s_and_three_windows(
    window: int, ticks: int
) -> None:
    assert watched(*[1e6] * (ticks + 3), window=window) == [True] * ticks + [False] * 3


def test_a_use_that_moves_in_its_last_digit_is_a_reading() -> None:
    assert all(watched(*(1e6 + number % 2 * 1e-9 for number in range(60))))


def test_a_use_that_moves_again_counts_at_once() -> None:
    assert watched(*[1e6] * 19, 1e6 + 1, 1e6 + 1)[-3:] == [False, True, True]


def test_no_use_while_messages_are_worked_off_is_no_reading_after_a_while() -> None:
    assert watched(*[0.0] * 20) == [True] * 18 + [False] * 2


@pytest.mark.parametrize(
    ("own", "acked", "counts"),
    [
        pytest.param(0.0, 2.0, False, id="labels-that-match-nothing"),
        pytest.param(0.0, 0.0, True, id="nothing-is-worked-off"),
        pytest.param(1.0, 2.0, True, id="labels-that-match"),
        pytest.param(None, 2.0, True, id="no-labels"),
    ],
)
def test_labels_that_show_no_use_while_messages_are_worked_off_are_wrong(
    own: float | None, acked: float, counts: bool
) -> None:
    """The pool's use would pass for that of others, and take its replicas away."""
    memory, vetted = Memory(), observe()
    for number in range(20):
        now = NOW + 10 * number
        usage = seen(KeyUsage(1_000_000 + number, own_tokens_per_minute=own), now)
        vetted, memory = use.vet(
            llm(usage=WHOLE_KEY), observe(usage=usage), Flow(acked * 180_000), memory, now
        )
    assert isinstance(vetted.usage, Available) is counts
    if not counts:
        assert "ownLabels" in vetted.usage.message  # type: ignore[union-attr]


def test_no_use_while_nothing_is_worked_off_is_a_reading() -> None:
    assert all(watched(*[0.0] * 60, acked=0.0))


def test_the_time_without_use_counts_from_when_messages_are_worked_off() -> None:
    memory = Memory()
    for second in range(0, 600, 10):
        working = second >= 300
        observation = observe(usage=using(0.0, NOW + second))
        vetted, memory = use.vet(
            WATCHING, observation, Flow(1.0 if working else 0.0), memory, NOW + second
        )
        assert isinstance(vetted.usage, Unavailable) == (second >= 480)


def test_own_use_that_is_not_known_takes_no_use_for_no_failure() -> None:
    memory = Memory()
    for second in range(0, 600, 10):
        observation = observe(usage=using(0.0, NOW + second))
        vetted, memory = use.vet(WATCHING, observation, Flow(), memory, NOW + second)
        assert vetted == observation


@pytest.mark.parametrize("usage", [None, unseen()])
def test_a_reading_that_is_not_there_is_not_stuck(usage: Any) -> None:
    observation = observe(usage=usage)

    assert use.vet(WATCHING, observation, OWN, Memory(), NOW) == (observation, Memory())


@pytest.mark.parametrize(
    ("tokens", "words"),
    [(400_321.0, "exactly 400,321 TPM for 180 s"), (0.0, "no tokens for 180 s")],
)
def test_a_reading_that_is_stuck_holds_the_pool_and_says_so(tokens: float, words: str) -> None:
    spec, memory = pool(llm=llm(usage=WHOLE_KEY, api_key_secret_ref=API_KEY)), settled(2)
    desired = []
    for second in range(0, 241, 10):
        now = NOW + second
        changed = tokens if second < 240 else tokens + 1
        observation = observe(
            2, 300, rates=seen((rates(2.0),), now), usage=using(changed, now), provider=level(0)
        )
        decision, memory = decide(spec, observation, memory, now)
        desired.append(decision.desired)
        stuck = [gap for gap in decision.gaps if gap.reason is Reason.USAGE_FROZEN]
        assert bool(stuck) == (180 <= second < 240)
        if stuck:
            assert words in stuck[0].message
            assert decision.token_ceiling is not None
            assert decision.token_ceiling.replicas is None

    assert desired == [3 if second < 180 or second == 240 else 2 for second in range(0, 241, 10)]
