"""What is used of a key, by the pool and by others, from each source."""

import pytest

from builders import ANSWER, NOW, VISION, observe, queue, rates, seen, unseen
from scanpool.decide import use
from scanpool.decide.use import Flow
from scanpool.models.memory import Memory
from scanpool.models.observation import KeyUsage, Observation, QueueRates

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
        pytest.param(observe(), Flow(), Flow(), NOBODY, id="nothing-is-seen"),
    ],
)
def test_what_others_use(observation: Observation, whole: Flow, own: Flow, others: Flow) -> None:
    found = use.measure(QUEUES, observation, Memory(), NOW)

    assert (found.whole, found.own, found.others) == (whole, own, others)
