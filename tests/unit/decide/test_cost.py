"""What a replica costs, and how that is learned."""

from dataclasses import replace

import pytest

from builders import (
    ANSWER,
    NOW,
    VISION,
    backlog,
    llm,
    llm_signals,
    memory,
    queue,
    signals,
    workers,
)
from scanpool.decide import checkpoint, restore
from scanpool.decide.behavior import Scaling
from scanpool.decide.cost import Cost, CostSource, Learned, cost, step
from scanpool.decide.history import History
from scanpool.decide.llm_signals import Flow, Use
from scanpool.models.claims import Unit

WINDOW = 60
# A window that lies wholly after the first calls of its replicas.
BUSY_SECONDS = WINDOW + 10
QUEUES = (queue(VISION, tokens=3_000), queue(ANSWER, tokens=1_500))
# 2 and 4 messages acknowledged per second: 2 x 60 x 3,000 + 4 x 60 x 1,500 tokens per minute, and
# 6 x 60 requests.
OWN = Flow(tokens=720_000, requests=360)


@pytest.mark.parametrize(
    ("learned", "hint", "expected"),
    [
        (600_000.0, 400_000, Cost(600_000, 300, source=CostSource.LEARNED)),
        (600_000.0, None, Cost(600_000, 300, source=CostSource.LEARNED)),
        (None, 400_000, Cost(400_000, 200, source=CostSource.SPEC)),
        (None, None, Cost()),
    ],
)
def test_what_a_replica_costs_is_learned_else_told_by_the_spec_else_unknown(
    learned: float | None, hint: int | None, expected: Cost
) -> None:
    """720,000 tokens go with 360 requests, so 600,000 go with 300."""
    known = Learned(learned)

    assert cost(known, llm(tokens_per_replica_minute=hint), QUEUES, OWN) == expected


def test_before_any_work_is_seen_requests_go_by_one_message_of_each_queue() -> None:
    """3,000 + 1,500 tokens are two requests; a queue that calls no LLM is none."""
    queues = [*QUEUES, queue("scan.reward", tokens=0)]

    found = cost(Learned(), llm(tokens_per_replica_minute=450_000), queues, Flow())
    assert found.requests == 200

    free = cost(Learned(), llm(), [queue(tokens=0)], Flow())
    assert free.requests is None


def using(tokens: float | None, at: float = NOW) -> Use:
    """Build what a pool that is alone uses, as averaged over the window that ends at a time."""
    own = Flow(tokens)
    return Use(own, own, Flow(0.0, 0.0, 0.0), "test", at, at)


def taught(
    known: Learned,
    now: float,
    own: float | None = 1_000_000,
    ready: int = 2,
    waiting: int = 100,
    starting: int = 0,
    delay: float = 0.0,
    hint: int | None = None,
    use: Use | None = None,
    refused_at: float | None = None,
    shrunk_at: float | None = None,
) -> Learned:
    """Return what is known after a tick of two busy replicas, unless told otherwise."""
    found = signals(
        now=now,
        workers=workers(ready, starting),
        backlog=backlog(waiting),
        llm=llm_signals(use=use or using(own, now - delay)),
    )
    return step(known, llm(tokens_per_replica_minute=hint), found, refused_at, shrunk_at)


def test_a_cost_is_learned_after_a_full_busy_window_with_the_same_replicas() -> None:
    known = Learned()
    for second in range(0, BUSY_SECONDS, 10):
        known = taught(known, NOW + second)
        assert known.tokens is None

    known = taught(known, NOW + BUSY_SECONDS)
    assert (known.tokens, known.at) == (500_000, NOW + BUSY_SECONDS)


@pytest.mark.parametrize(("hint", "first"), [(450_000, 488_843), (1_000_000, 611_565)])
def test_the_first_window_weighs_against_the_specs_figure_as_later_ones_weigh(
    hint: int, first: int
) -> None:
    """A minute is 78% of what a time constant of 40 s learns."""
    known = replace(BUSY, tokens=None, at=None)

    found = taught(known, NOW, hint=hint)
    assert found.tokens == pytest.approx(first, rel=1e-5)
    assert cost(found, llm(), QUEUES, OWN).confidence == pytest.approx(0.78, abs=0.01)


BUSY = Learned(300_000, NOW - 600, busy_since=NOW - BUSY_SECONDS, busy_replicas=2)


def test_a_busy_window_teaches() -> None:
    assert taught(BUSY, NOW).tokens == pytest.approx(500_000, rel=1e-3)


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(taught(BUSY, NOW, waiting=1), id="idle-fewer-messages-than-replicas"),
        pytest.param(taught(BUSY, NOW, ready=0), id="no-replica-is-ready"),
        pytest.param(taught(BUSY, NOW, starting=1), id="one-is-still-starting"),
        pytest.param(taught(BUSY, NOW, ready=3), id="replicas-have-changed"),
        pytest.param(taught(BUSY, NOW, own=None), id="own-use-is-unknown"),
        pytest.param(taught(BUSY, NOW, own=0), id="nothing-was-used"),
        pytest.param(taught(BUSY, NOW, refused_at=NOW), id="a-call-is-being-refused"),
        pytest.param(
            taught(BUSY, NOW, refused_at=NOW - WINDOW),
            id="a-call-was-refused-in-the-window",
        ),
    ],
)
def test_a_window_that_was_not_busy_calm_and_steady_teaches_nothing(after: Learned) -> None:
    assert after.tokens == 300_000


def test_refusals_before_the_window_do_not_matter() -> None:
    assert taught(BUSY, NOW, refused_at=NOW - WINDOW - 1).tokens != 300_000


def test_after_an_idle_tick_or_new_replicas_the_window_starts_anew() -> None:
    assert taught(BUSY, NOW, waiting=0).busy_since is None
    assert taught(BUSY, NOW, ready=3).busy_since == NOW


def told(known: Learned, hint: int | None = 300_000) -> Cost:
    return cost(known, llm(tokens_per_replica_minute=hint), QUEUES, OWN)


def test_a_figure_of_the_spec_gives_way_to_what_replicas_are_seen_to_use_at_least() -> None:
    """Told too little, a pool grows into 429s, and what is throttled teaches nothing."""
    known = taught(Learned(), NOW, own=800_000, refused_at=NOW)
    assert (told(known).tokens, told(known).source) == (400_000, CostSource.SEEN)
    assert told(known).confidence == 0
    assert known.tokens is None

    known = taught(known, NOW + 10, own=600_000, refused_at=NOW)
    assert told(known).tokens == 400_000, "the most that was seen counts"
    assert told(known, hint=321_000).source is CostSource.SPEC, "a quarter more may be noise"
    assert told(known, hint=None).tokens is None, "at least so much may still be far too little"


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(taught(Learned(), NOW, starting=2), id="starting-ones-count-too"),
        pytest.param(
            taught(Learned(), NOW, shrunk_at=NOW - 30),
            id="use-of-replicas-that-were-taken-away",
        ),
        pytest.param(taught(Learned(), NOW, own=None), id="unknown-use"),
        pytest.param(taught(Learned(), NOW, ready=0), id="no-replicas"),
    ],
)
def test_what_may_be_the_use_of_more_replicas_shows_no_least(after: Learned) -> None:
    assert told(after, hint=250_000).tokens == 250_000


def test_use_that_may_be_anybodys_shows_no_least() -> None:
    anybodys = replace(using(5_000_000), own_is_told=False)

    assert taught(Learned(), NOW, use=anybodys).least is None


def test_replicas_that_were_added_or_taken_away_before_the_window_do_not_matter() -> None:
    past = History(scalings=(Scaling(NOW - 61, -2), Scaling(NOW - 10, 1)))

    assert told(taught(Learned(), NOW, shrunk_at=past.shrunk_at)).source is CostSource.SEEN


def test_what_is_learned_takes_the_place_of_what_was_seen() -> None:
    known = replace(BUSY, tokens=None, at=None, least=700_000.0)

    known = taught(known, NOW)
    assert known.least is None
    assert (told(known).tokens, told(known).source) == (500_000, CostSource.LEARNED)


def test_an_old_rate_that_dies_away_shows_no_mix() -> None:
    fading = Flow(tokens=5e-324, requests=1.0, output_tokens=5e-324)

    found = cost(Learned(), llm(tokens_per_replica_minute=450_000), QUEUES, fading)
    assert found.requests == 200
    assert found.output_share is None


def averaged(old: float, new: float, seconds: float) -> float:
    """Return the average over the window, some time after the use changed at once."""
    share = min(max(seconds, 0.0) / WINDOW, 1.0)
    return old + share * (new - old)


@pytest.mark.parametrize("tick", [1, 10, 15, 30])
@pytest.mark.parametrize("new", [100_000, 600_000])
@pytest.mark.parametrize("delay", [0, 15])
def test_a_new_mix_is_learned_to_95_percent_within_three_minutes_window_and_all(
    tick: int, new: int, delay: int
) -> None:
    known = replace(BUSY, at=NOW, busy_since=NOW - 600)
    for second in range(tick, 181, tick):
        own = 2 * averaged(300_000, new, second - delay)
        known = taught(known, NOW + second, own=own, delay=delay)

    assert known.tokens is not None
    left = abs(known.tokens - new) / abs(300_000 - new)
    assert left <= 0.05
    assert left > 0.015, "faster than needed, so noisier than needed"


# --- The window of a reading that is late ---


@pytest.mark.parametrize("tick", [5, 10, 60])
@pytest.mark.parametrize("delay", [0, 15, 60, 300])
def test_what_was_idle_teaches_nothing_however_late_the_use_shows(tick: int, delay: int) -> None:
    """A minute late, the first full minute of work ends two minutes after it began."""
    known, first = Learned(), None
    for second in range(0, 600, tick):
        own = 2 * averaged(0, 500_000, second - delay)
        known = taught(known, NOW + second, own=own, delay=delay)
        if known.tokens is not None:
            assert known.tokens == pytest.approx(500_000)
            first = second if first is None else first

    assert first == -(-(BUSY_SECONDS + delay) // tick) * tick


def test_a_call_that_was_refused_in_the_window_of_a_late_reading_teaches_nothing() -> None:
    known, refused_at = replace(BUSY, busy_since=NOW - 600), NOW - 119

    assert taught(known, NOW, delay=60, refused_at=refused_at).tokens == 300_000
    assert taught(known, NOW + 2, delay=60, refused_at=refused_at).tokens != 300_000


def test_use_of_unknown_time_teaches_nothing() -> None:
    own = Flow(1_000_000)
    untold = Use(own, own, Flow(0.0))

    assert taught(BUSY, NOW, use=untold) == BUSY


def test_a_clock_that_is_set_back_teaches_slowly_rather_than_the_wrong_way() -> None:
    """The last lesson was at a time that is yet to come."""
    known = taught(replace(BUSY, at=NOW + 600), NOW)
    assert known.tokens == 300_000

    known = taught(known, NOW + 10)
    assert known.tokens is not None
    assert 300_000 < known.tokens < 500_000


@pytest.mark.parametrize("span", [60, 120, 300])
def test_a_use_that_has_a_window_of_its_own_teaches_once_all_of_that_was_busy(span: int) -> None:
    """Where the level of the bucket tells the use, it is an average between two probes."""
    own = Flow(1_000_000)
    told = Use(own, own, Flow(0.0), "test", NOW, NOW, NOW - span)

    for busy_since, cost_after in ((NOW - span - 9, 300_000), (NOW - span - 10, 500_000)):
        known = taught(replace(BUSY, busy_since=busy_since), NOW, use=told)
        assert known.tokens == pytest.approx(cost_after, rel=1e-3)


# --- Confidence ---


def confidence(known: Learned) -> float:
    return cost(known, llm(), QUEUES, OWN).confidence


def test_the_specs_figure_rests_on_nothing_that_was_measured() -> None:
    assert confidence(Learned()) == 0
    assert cost(Learned(), llm(tokens_per_replica_minute=None), QUEUES, OWN).confidence == 0


def test_confidence_grows_with_every_busy_window_up_to_certainty() -> None:
    known, course = Learned(), []
    for second in range(0, 1_200, 10):
        known = taught(known, NOW + second)
        course.append(confidence(known))

    assert course == sorted(course)
    assert course[6] == 0
    assert course[7] == pytest.approx(0.78, abs=0.01), "one full window"
    assert course[-1] == pytest.approx(1)
    assert known.seconds == 600


def test_a_pause_is_no_learning() -> None:
    before = replace(BUSY, seconds=60.0, at=NOW - 3_600)

    assert taught(before, NOW).seconds == 60 + WINDOW


def test_idle_time_leaves_cost_and_confidence_as_they_were() -> None:
    before = replace(BUSY, seconds=120.0)
    after = before
    for second in range(0, 3_600, 60):
        after = taught(after, NOW + second, waiting=0, own=0)

    assert after.tokens == before.tokens
    assert confidence(after) == confidence(before)


def test_cost_and_confidence_survive_a_restart() -> None:
    known = Learned()
    for second in range(0, 300, 10):
        known = taught(known, NOW + second)
    back = restore(checkpoint(memory(cost=known)), NOW + 330).llm.cost

    assert cost(back, llm(), QUEUES, OWN).tokens == 500_000
    assert cost(back, llm(), QUEUES, OWN).source is CostSource.LEARNED
    assert confidence(back) == pytest.approx(confidence(known), abs=0.01)
    waiting = taught(back, NOW + 340, own=10_000_000)
    assert waiting.tokens == 500_000, "a full window has to be seen anew"


def test_the_cost_tells_when_it_was_learned() -> None:
    assert cost(replace(BUSY, at=NOW - 5), llm(), QUEUES, OWN).at == NOW - 5
    assert cost(Learned(), llm(), QUEUES, OWN).at is None


# --- The unit of each limit ---


@pytest.mark.parametrize(
    ("own", "amounts"),
    [
        pytest.param(Flow(1_000, 5, 200), (600, 480, 120), id="told-apart"),
        pytest.param(Flow(1_000, 5), (600, 600, 600), id="together-counts-as-both"),
        pytest.param(Flow(1_000, 5, 0), (600, 600, 0), id="no-output"),
        pytest.param(Flow(0, 0, 0), (600, 600, 600), id="nothing-is-used-yet"),
        pytest.param(Flow(1_000, 5, 1_001), (600, 0, 600), id="more-output-than-there-is"),
    ],
)
def test_input_and_output_share_the_cost_as_they_share_the_use(
    own: Flow, amounts: tuple[float, float, float]
) -> None:
    found = cost(Learned(600), llm(), QUEUES, own)

    units = (Unit.TOKENS, Unit.INPUT_TOKENS, Unit.OUTPUT_TOKENS)
    assert tuple(found.of(unit) for unit in units) == pytest.approx(amounts)
    assert found.of(Unit.REQUESTS) == found.requests


def test_an_unknown_cost_is_unknown_in_every_unit() -> None:
    assert [Cost().of(unit) for unit in Unit] == [None] * len(Unit)
