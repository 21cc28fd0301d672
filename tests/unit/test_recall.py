from dataclasses import replace

import pytest

from builders import MEBIBYTE, NOW, blinded, depth, llm, observe, pods, pool, rates, seen, target
from scanpool.decide import after_scaling, checkpoint, decide, recall, restore
from scanpool.decide.recall import recommend
from scanpool.models.budget import Unit
from scanpool.models.memory import (
    Checkpoint,
    KnownLimit,
    Level,
    LevelUse,
    LimitCheckpoint,
    Memory,
    Quota,
    Recommendation,
    Scaling,
    UseSample,
    WorkingSet,
)
from scanpool.models.observation import KeyUsage, Observation, ProviderState
from scanpool.models.spec import PoolSpec

SPEC = pool(llm=llm())


def before(spec: PoolSpec, observation: Observation, memory: Memory, now: float) -> Memory:
    return recall.before(spec, observation, memory, now)[1]


@pytest.mark.parametrize(
    ("observed", "reverts"),
    [
        pytest.param([5, 5, 5], [0, 0, 0], id="left-alone"),
        pytest.param([2, 2, 2], [1, 1, 1], id="set-back-once"),
        pytest.param([5, 2, 5], [0, 1, 1], id="set-back-later"),
        pytest.param([9], [1], id="raised-by-someone-else"),
    ],
)
def test_replicas_that_someone_else_sets_back_are_noticed_once(
    observed: list[int], reverts: list[int]
) -> None:
    memory, found = after_scaling(Memory(), 2, 5, NOW), []
    for tick, replicas in enumerate(observed, start=1):
        memory = before(SPEC, observe(replicas), memory, NOW + 10 * tick)
        found.append(len(memory.reverted_at))

    assert found == reverts


def test_each_scaling_that_is_set_back_counts_and_is_forgotten_after_ten_minutes() -> None:
    memory = Memory()
    for tick in range(3):
        memory = after_scaling(memory, 2, 5, NOW + 20 * tick)
        memory = before(SPEC, observe(2), memory, NOW + 20 * tick + 10)
    assert len(memory.reverted_at) == 3

    for seconds, left in ((609, 3), (610, 2), (630, 1), (650, 0)):
        assert len(before(SPEC, observe(2), memory, NOW + seconds).reverted_at) == left


def test_the_decision_tells_how_often_it_was_set_back() -> None:
    memory = replace(after_scaling(Memory(), 2, 5, NOW - 10), reverted_at=(NOW - 100,))

    assert decide(SPEC, observe(2), memory, NOW)[0].reverts == 2


def test_a_scaling_that_the_api_server_took_is_remembered() -> None:
    memory = after_scaling(after_scaling(Memory(), 2, 5, NOW), 5, 4, NOW + 10)

    assert memory.scalings == (Scaling(NOW, 3), Scaling(NOW + 10, -1))
    assert memory.last_desired == 4


def test_failed_readings_of_the_depth_are_counted_in_a_row() -> None:
    memory = Memory()
    for failures in (1, 2, 3):
        memory = before(SPEC, observe(), memory, NOW)
        assert memory.failed_depth_readings == failures

    assert before(SPEC, observe(messages=0), memory, NOW).failed_depth_readings == 0


def busy(**changes: object) -> Observation:
    """See two busy replicas that use 300,000 tokens per minute each."""
    seen_by_all: dict[str, object] = {
        "target": target(2),
        "queues": seen((depth(100),)),
        "rates": seen((rates(600_000 / 3_000 / 60),)),
        "usage": seen(KeyUsage(1_500_000, rate_limited_per_minute=0.0)),
    }
    return Observation(**{**seen_by_all, **changes})  # type: ignore[arg-type]


LEARNING = Memory(
    busy_since=NOW - 600, busy_replicas=2, tokens_per_replica=250_000, learned_at=NOW - 600
)


def test_readings_that_are_there_teach_the_cost() -> None:
    assert before(SPEC, busy(), LEARNING, NOW).tokens_per_replica == pytest.approx(
        300_000, rel=0.01
    )


@pytest.mark.parametrize("missing", ["queues", "rates", "usage"])
def test_a_reading_that_fails_teaches_no_cost(missing: str) -> None:
    """Without rates the others' use would look like the pool's own: the ceiling would come down."""
    assert before(SPEC, blinded(busy(), missing), LEARNING, NOW).tokens_per_replica == 250_000


def test_a_429_is_known_before_the_cost_is_learned() -> None:
    refused = seen(KeyUsage(1_500_000, rate_limited_per_minute=1.0))

    assert before(SPEC, busy(usage=refused), LEARNING, NOW).tokens_per_replica == 250_000


def test_a_pool_without_a_provider_learns_nothing_of_one() -> None:
    memory = before(pool(), busy(), LEARNING, NOW)

    assert memory == replace(LEARNING, scalings=())


def test_working_sets_and_old_scalings_are_kept_up_to_date() -> None:
    old = Memory(scalings=(Scaling(NOW - 1_800, 2), Scaling(NOW - 10, 1)))
    observation = observe(target=target(2, pods(2, memory_used=7)))

    memory = before(pool(), observation, old, NOW)
    assert memory.scalings == (Scaling(NOW - 10, 1),)
    assert memory.working_sets == (WorkingSet(NOW, 7),)


def test_a_recommendation_is_added() -> None:
    past = (Recommendation(NOW - 301, 9), Recommendation(NOW - 10, 4))

    memory = recommend(pool(), Memory(recommendations=past), 3, NOW)
    assert memory.recommendations == (Recommendation(NOW - 10, 4), Recommendation(NOW, 3))


FULL = Memory(
    recommendations=(Recommendation(NOW, 3),),
    scalings=(Scaling(NOW, 1),),
    tokens_per_replica=548_321.0,
    learned_at=NOW - 50,
    learned_seconds=299.0,
    busy_since=NOW - 60,
    busy_replicas=3,
    rate_limited_at=NOW - 20,
    backoff_at=NOW - 30,
    backoff_factor=0.7,
    growth_stopped_until=NOW + 800,
    quota=Quota.OPEN,
    quota_code="insufficient_quota",
    quota_since=NOW - 5,
    quota_refusals=4,
    quota_refused_at=NOW - 2,
    quota_closed_at=NOW - 3_600,
    quota_suspected=True,
    limits={
        Unit.REQUESTS: KnownLimit(10_000, "admin", NOW - 30),
        Unit.TOKENS: KnownLimit(2_000_000, "probe", NOW - 20, 4_000_000, NOW - 20),
    },
    level=Level(NOW - 20, 1_000_000, 2_000_000),
    level_use=LevelUse(NOW - 80, NOW - 20, 1_500_000),
    level_others=UseSample(NOW - 20, 500_000),
    same_use=UseSample(NOW - 10, 1_600_000),
    silent_since=NOW - 10,
    uses=(UseSample(NOW - 40, 1_400_000),),
    working_sets=(WorkingSet(NOW, 700 * MEBIBYTE),),
    failed_depth_readings=2,
    last_desired=3,
    reverted_at=(NOW,),
)


def test_a_checkpoint_has_what_must_survive_and_is_rounded() -> None:
    assert checkpoint(FULL) == Checkpoint(
        tokens_per_replica_minute=550_000,
        learned_seconds=240,
        limits=(
            LimitCheckpoint(unit=Unit.REQUESTS, value=10_000, source="admin"),
            LimitCheckpoint(unit=Unit.TOKENS, value=2_000_000, source="probe"),
        ),
        others_tokens_per_minute=500_000,
        others_at=NOW - 20,
        rate_limited_at=NOW - 20,
        backoff_at=NOW - 30,
        backoff_factor=0.7,
        growth_stopped_until=NOW + 800,
        quota=Quota.OPEN,
        quota_code="insufficient_quota",
        quota_since=NOW - 5,
        quota_refusals=4,
        quota_closed_at=NOW - 3_600,
        working_set_bytes=704 * MEBIBYTE,
    )
    assert checkpoint(Memory()) == Checkpoint()


def test_a_process_starts_with_its_predecessors_checkpoint_and_an_empty_window() -> None:
    assert restore(checkpoint(FULL), NOW + 60) == Memory(
        tokens_per_replica=550_000,
        learned_at=NOW + 60,
        learned_seconds=240.0,
        limits={
            Unit.REQUESTS: KnownLimit(10_000, "admin", NOW + 60),
            Unit.TOKENS: KnownLimit(2_000_000, "probe", NOW + 60),
        },
        level_others=UseSample(NOW - 20, 500_000),
        rate_limited_at=NOW - 20,
        backoff_at=NOW - 30,
        backoff_factor=0.7,
        growth_stopped_until=NOW + 800,
        quota=Quota.OPEN,
        quota_code="insufficient_quota",
        quota_since=NOW - 5,
        quota_refusals=4,
        quota_closed_at=NOW - 3_600,
        working_sets=(WorkingSet(NOW + 60, 704 * MEBIBYTE),),
    )
    assert restore(None, NOW) == restore(Checkpoint(), NOW) == Memory()


@pytest.mark.parametrize(
    ("cost", "kept"),
    [(548_321, 550_000), (994_999, 990_000), (995_001, 1_000_000), (12, 12), (1, 1)],
)
def test_a_cost_is_kept_to_two_digits(cost: float, kept: int) -> None:
    assert checkpoint(Memory(tokens_per_replica=cost)).tokens_per_replica_minute == kept


def test_a_cost_of_less_than_a_token_a_minute_is_not_kept_as_free() -> None:
    kept = checkpoint(Memory(tokens_per_replica=0.4)).tokens_per_replica_minute

    assert kept is None or kept >= 1


@pytest.mark.parametrize(
    ("mebibytes", "kept"), [(704, 704), (703, 704), (673, 704), (672, 672), (1, 32)]
)
def test_a_working_set_is_kept_in_steps_of_32_mebibytes(mebibytes: int, kept: int) -> None:
    memory = Memory(working_sets=(WorkingSet(NOW, mebibytes * MEBIBYTE),))

    assert checkpoint(memory).working_set_bytes == kept * MEBIBYTE


def test_noise_in_the_figures_does_not_change_the_checkpoint() -> None:
    noisy = replace(
        FULL,
        tokens_per_replica=551_900.0,
        learned_seconds=241.0,
        working_sets=(WorkingSet(NOW, 690 * MEBIBYTE),),
    )

    assert checkpoint(noisy) == checkpoint(FULL)


def test_429s_between_the_last_good_answer_and_the_breakers_opening_were_billing() -> None:
    """A client that counts every refusal as a 429 makes them look like the limit."""
    answered = {Unit.TOKENS: KnownLimit(2_000_000, "probe", NOW - 60)}
    exhausted = seen(ProviderState(billing_code="insufficient_quota"))

    def factor(backoff_at: float) -> float:
        memory = Memory(
            limits=answered, rate_limited_at=backoff_at, backoff_at=backoff_at, backoff_factor=0.7
        )
        return before(SPEC, observe(provider=exhausted), memory, NOW).backoff_factor

    assert factor(NOW - 30) == 1.0
    assert factor(NOW - 90) == 0.7
