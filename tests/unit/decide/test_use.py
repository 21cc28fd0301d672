"""What is used of a key, by the pool and by others, from each source."""

import pytest

from builders import (
    ANSWER,
    NOW,
    VISION,
    observe,
    queue,
    rates,
    seen,
    unseen,
)
from scanpool.decide.assess import use
from scanpool.decide.assess.use import Acknowledged
from scanpool.decide.bucket import Bucket, OthersUse
from scanpool.decide.llm_signals import Flow, Use
from scanpool.decide.looks import Look
from scanpool.models.claims import Unit
from scanpool.models.observation import KeyUsage, Observation, QueueRates
from scanpool.models.reading import Unavailable

QUEUES = (queue(VISION, tokens=3_000), queue(ANSWER, tokens=1_500))
WORKING = (rates(2.0, VISION), rates(4.0, ANSWER))
# 2 x 60 x 3,000 + 4 x 60 x 1,500 tokens and 6 x 60 requests, per minute.
OWN = Flow(tokens=720_000, requests=360)
NOBODY = Flow(0, 0, 0)


# --- Acknowledged messages ---


def test_own_use_is_acknowledged_messages_times_tokens_per_message() -> None:
    assert use.acknowledged(QUEUES, seen(WORKING)) == Acknowledged(OWN, NOW)


def test_a_queue_that_calls_no_llm_adds_neither_tokens_nor_requests() -> None:
    rated = seen((rates(2.0), rates(50.0, "scan.reward")))

    own = use.acknowledged([queue(), queue("scan.reward", tokens=0)], rated)
    assert own.flow == Flow(360_000, 120)


@pytest.mark.parametrize(
    "rated",
    [pytest.param((), id="no-rates"), pytest.param((rates(2.0),), id="one-queue-has-no-rate")],
)
def test_own_use_is_unknown_rather_than_zero_without_every_queues_rate(
    rated: tuple[QueueRates, ...],
) -> None:
    assert use.acknowledged(QUEUES, seen(rated)).flow == Flow()


@pytest.mark.parametrize("unread", [None, unseen()])
def test_own_use_is_unknown_without_rates(unread: Unavailable | None) -> None:
    assert use.acknowledged(QUEUES, unread) == Acknowledged()


def test_own_use_is_unknown_where_no_queue_is_said_to_cost_tokens() -> None:
    assert use.acknowledged([queue(tokens=0)], seen((rates(2.0),))).flow == Flow()


# --- Whole, own and others ---


def measured(observation: Observation, level: Bucket | None = None) -> Use:
    """Return the use by the readings, and by what is known of the bucket's level."""
    acked = use.acknowledged(QUEUES, observation.rates)
    return use.by_level(use.measure(observation, acked), level or Bucket())


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
            Flow(None, 500),
            id="unknown-where-our-own-is-not-seen",
        ),
        pytest.param(
            observe(rates=seen(()), usage=seen(KeyUsage(1_000_000, 500))),
            Flow(1_000_000, 500),
            Flow(1_000_000, 500),
            Flow(None, 500),
            id="unknown-while-the-broker-shows-no-rates",
        ),
        pytest.param(
            observe(0, usage=seen(KeyUsage(1_000_000, 500))),
            Flow(1_000_000, 500),
            Flow(0, 0),
            Flow(1_000_000, 500),
            id="without-a-pod-our-own-is-nothing",
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
    found = measured(observation)

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
    found = measured(observation)

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


# --- What the level of the provider's bucket tells ---

LOOK = Look(NOW + 60, 1_000_000, 2_000_000, 0.0, 2, 2)
LEVEL = Bucket((LOOK,), OthersUse(NOW + 60, 1_780_000), 400_000.0, 2)


def test_the_level_adds_others_to_acknowledged_messages() -> None:
    found = measured(observe(rates=seen(WORKING)), LEVEL)

    assert found.source == "acknowledged messages and bucket level"
    assert (found.whole, found.own) == (Flow(2_500_000, 360), OWN)
    assert found.others == Flow(1_780_000, 0, 0)
    assert found.others_are_told


@pytest.mark.parametrize(
    ("whole", "shown"),
    [
        pytest.param(1_000_000.0, 2_500_000, id="somebody-whom-it-does-not-show"),
        pytest.param(2_600_000.0, 2_600_000, id="somebody-who-has-just-gone"),
    ],
)
def test_the_level_counts_more_than_what_a_metric_shows_of_others(
    whole: float, shown: float
) -> None:
    usage = seen(KeyUsage(whole, own_tokens_per_minute=720_000.0))
    found = measured(observe(usage=usage), LEVEL)

    assert found.whole.tokens == shown
    assert (found.own.tokens, found.others.tokens) == (720_000, 1_780_000)


def test_a_use_that_the_level_contradicts_is_left_out() -> None:
    usage = seen(KeyUsage(3_100_000.0, own_tokens_per_minute=3_000_000.0))
    found = measured(observe(usage=usage), LEVEL)

    assert (found.whole.tokens, found.own.tokens) == (2_580_000, 800_000)
    assert not found.own_is_told


def test_where_a_metric_does_not_answer_the_level_still_tells_others() -> None:
    found = measured(observe(usage=unseen(), rates=seen(WORKING)), LEVEL)

    assert found.others.tokens == 1_780_000


def test_where_nothing_tells_the_pools_part_the_level_tells_the_others() -> None:
    usage = seen(KeyUsage(2_600_000.0))
    found = measured(observe(usage=usage), LEVEL)

    assert (found.others.tokens, found.others_are_told) == (1_780_000, True)
    assert (found.whole.tokens, found.own_is_told) == (2_600_000, False)


def test_where_nothing_tells_the_pools_part_all_that_the_level_tells_is_the_pools() -> None:
    """An AMQP broker shows no rates, and nobody has said what a replica costs."""
    unknown = Bucket((LOOK,), OthersUse(NOW + 60, 2_500_000))
    alone = Flow(2_500_000)

    assert measured(observe(), unknown) == Use(
        alone,
        alone,
        NOBODY,
        "bucket level",
        NOW + 60,
        NOW + 60,
        NOW,
        own_is_told=False,
        others_are_told=False,
    )
    costly = measured(observe(), LEVEL)
    assert (costly.own.tokens, costly.others.tokens) == (800_000, 1_780_000)
    assert not costly.own_is_told


@pytest.mark.parametrize("silent", [Bucket(), Bucket((LOOK,)), Bucket(others=LEVEL.others)])
def test_a_level_that_tells_nothing_changes_nothing(silent: Bucket) -> None:
    working = observe(rates=seen(WORKING))

    assert measured(working, silent) == measured(working)
