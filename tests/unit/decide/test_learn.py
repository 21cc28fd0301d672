"""What a tick teaches, part by part, and what of it survives the process."""

from dataclasses import replace
from typing import Any

import pytest

from builders import (
    NOW,
    backlog,
    blinded,
    depth,
    llm,
    llm_signals,
    memory,
    observe,
    pods,
    pool,
    rates,
    seen,
    signals,
    target,
    think,
    workers,
)
from scanpool.decide import Memory, after_scaling, checkpoint, learn, restore
from scanpool.decide.backoff import Backoff
from scanpool.decide.behavior import Recommendation, Scaling
from scanpool.decide.belief import Belief
from scanpool.decide.breaker import Breaker, Quota
from scanpool.decide.bucket import Bucket, OthersUse
from scanpool.decide.contest import Revert
from scanpool.decide.cost import Learned
from scanpool.decide.history import History
from scanpool.decide.limits import KnownLimit, KnownLimits
from scanpool.decide.llm_signals import Refused
from scanpool.decide.looks import Look
from scanpool.decide.memory import Checkpoint, LlmMemory
from scanpool.decide.ramp import UseSample
from scanpool.decide.working_sets import WorkingSet, WorkingSets
from scanpool.models.claims import Unit
from scanpool.models.llm import ONLY
from scanpool.models.observation import KeyUsage, Observation, ProviderState
from scanpool.models.rivals import Rival, RivalKind, Writer
from scanpool.models.spec import Mode
from scanpool.models.units import MEBIBYTE

SPEC = pool(llm=llm())


# --- The history ---


def found(replicas: int, known: Memory, now: float) -> Memory:
    """Return the memory after a tick that finds so many replicas."""
    return learn(SPEC, signals(now=now, workers=workers(replicas)), known)


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
    known, noticed = after_scaling(Memory(), 2, 5, NOW), []
    for tick, replicas in enumerate(observed, start=1):
        known = found(replicas, known, NOW + 10 * tick)
        noticed.append(len(known.history.reverts))

    assert noticed == reverts


def test_each_scaling_that_is_set_back_counts_and_all_are_forgotten_together() -> None:
    known = Memory()
    for tick in range(3):
        known = after_scaling(known, 2, 5, NOW + 20 * tick)
        known = found(2, known, NOW + 20 * tick + 10)
    assert [one.at for one in known.history.reverts] == [NOW + 10, NOW + 30, NOW + 50]

    # Two minutes in which the replicas are left alone, and ten more.
    for seconds, left in ((769, 3), (770, 0)):
        assert len(found(2, known, NOW + seconds).history.reverts) == left


def test_a_pool_that_only_observes_is_set_back_by_nobody() -> None:
    """Whoever scales then is meant to; and what it did before is forgotten."""
    first = Revert(NOW - 10, Rival(RivalKind.OTHER, "something else", NOW - 10))
    known = after_scaling(memory(History(reverts=(first,))), 2, 5, NOW)
    only_looks = pool(mode=Mode.OBSERVE)

    history = think(only_looks, observe(3), known).memory.history
    assert (history.reverts, history.last_desired) == ((), None)


def test_the_decision_tells_how_often_it_was_set_back_and_by_whom() -> None:
    first = Revert(NOW - 100, Rival(RivalKind.OTHER, "something else", NOW - 100))
    known = after_scaling(memory(History(reverts=(first,))), 2, 5, NOW - 10)
    back = replace(target(2), writers=(Writer("kubectl-edit", "", NOW - 5),))

    contest = think(SPEC, observe(target=back), known).decision.contest
    assert contest is not None
    assert (contest.reverts, contest.by.kind) == (2, RivalKind.PERSON)


def test_a_scaling_that_the_api_server_took_is_remembered() -> None:
    known = after_scaling(after_scaling(Memory(), 2, 5, NOW), 5, 4, NOW + 10)

    assert known.history.scalings == (Scaling(NOW, 3), Scaling(NOW + 10, -1))
    assert known.history.last_desired == 4


def test_failed_readings_of_the_depth_are_counted_in_a_row() -> None:
    known = Memory()
    for failures in (1, 2, 3):
        known = learn(SPEC, signals(backlog=None), known)
        assert known.history.failed_depth_readings == failures

    assert learn(SPEC, signals(), known).history.failed_depth_readings == 0


@pytest.mark.parametrize(
    ("had", "changes", "found"),
    [
        pytest.param(None, {}, (NOW, 2), id="nothing-known"),
        pytest.param((NOW - 900, 4), {}, (NOW - 900, 4), id="a-quarter-of-an-hour-ago"),
        pytest.param((NOW - 901, 4), {}, (NOW, 2), id="too-long-ago"),
        pytest.param((NOW - 10, 2), {}, (NOW, 2), id="still-as-many"),
        pytest.param((NOW - 10, 1), {}, (NOW, 2), id="now-more"),
        pytest.param(
            (NOW - 10, 1), {"workers": workers(1, starting=2)}, (NOW, 1), id="not-those-that-start"
        ),
        pytest.param(
            (NOW - 10, 4), {"backlog": backlog(wanted=3)}, (NOW - 10, 3), id="fewer-are-asked-for"
        ),
        pytest.param(
            (NOW - 10, 4), {"backlog": None}, (NOW - 10, 4), id="nobody-knows-what-is-asked-for"
        ),
    ],
)
def test_the_most_replicas_of_late_are_remembered_as_far_as_they_are_asked_for(
    had: tuple[float, int] | None, changes: dict[str, Any], found: tuple[float, int]
) -> None:
    known = memory(History(had=None if had is None else Recommendation(*had)))

    usual = {"backlog": backlog(wanted=9)}
    assert learn(SPEC, signals(**{**usual, **changes}), known).history.had == found


def test_working_sets_and_old_scalings_are_kept_up_to_date() -> None:
    old = memory(History(scalings=(Scaling(NOW - 1_800, 2), Scaling(NOW - 10, 1))))
    observation = observe(target=target(2, pods(2, memory_used=7)))

    known = think(pool(), observation, old).memory
    assert known.history.scalings == (Scaling(NOW - 10, 1),)
    assert known.working_sets == WorkingSets((WorkingSet(NOW, 7),))


def test_a_recommendation_is_added() -> None:
    past = History((Recommendation(NOW - 301, 9), Recommendation(NOW - 10, 4)))

    known = learn(pool(), signals(workers=workers(3), backlog=None), memory(past))
    assert known.history.recommendations == (Recommendation(NOW - 10, 4), Recommendation(NOW, 3))


# --- What readings teach of the provider ---


def busy(**changes: object) -> Observation:
    """See two busy replicas that use 300,000 tokens per minute each."""
    seen_by_all: dict[str, object] = {
        "target": target(2),
        "queues": seen((depth(100),)),
        "rates": seen((rates(600_000 / 3_000 / 60),)),
        "usage": seen(KeyUsage(1_500_000, rate_limited_per_minute=0.0)),
    }
    return Observation(**{**seen_by_all, **changes})  # type: ignore[arg-type]


LEARNING = memory(cost=Learned(tokens=250_000, at=NOW - 600, busy_since=NOW - 600, busy_replicas=2))


def learned(observation: Observation) -> float | None:
    """Return the tokens per replica that are learned after a tick."""
    return think(SPEC, observation, LEARNING).memory.llm.cost.tokens


def test_readings_that_are_there_teach_the_cost() -> None:
    assert learned(busy()) == pytest.approx(300_000, rel=0.01)


@pytest.mark.parametrize("missing", ["queues", "rates", "usage"])
def test_a_reading_that_fails_teaches_no_cost(missing: str) -> None:
    """Without rates the others' use would look like the pool's own: the ceiling would come down."""
    assert learned(blinded(busy(), missing)) == 250_000


def test_a_429_is_known_before_the_cost_is_learned() -> None:
    refused = seen(KeyUsage(1_500_000, rate_limited_per_minute=1.0))

    assert learned(busy(usage=refused)) == 250_000


def test_a_pool_without_a_provider_learns_nothing_of_one() -> None:
    known = think(pool(), busy(), LEARNING).memory

    assert known.llms == {}
    assert known.working_sets == LEARNING.working_sets
    there = Recommendation(NOW, 2)
    assert known.history == History((there,), had=there), "the queues teach all the same"


# --- 429s that are refusals to be paid ---


def test_429s_between_the_last_good_answer_and_the_breakers_opening_were_billing() -> None:
    """A client that counts every refusal as a 429 makes them look like the limit."""
    answered = KnownLimits({Unit.TOKENS: KnownLimit(2_000_000, "probe", NOW - 60)})
    exhausted = observe(provider=seen(ProviderState(billing_code="insufficient_quota")))

    def factor(at: float) -> float:
        known = memory(limits=answered, backoff=Backoff(refused_at=at, at=at, factor=0.7))
        return think(SPEC, exhausted, known).memory.llm.backoff.factor

    assert factor(NOW - 30) == 1.0
    assert factor(NOW - 90) == 0.7


def test_the_last_good_answer_is_the_probes() -> None:
    """The Admin API tells limits whether or not anyone pays."""
    probe, admin = KnownLimit(1, "probe", NOW - 60), KnownLimit(1, "admin", NOW - 10)

    assert KnownLimits({Unit.TOKENS: probe, Unit.REQUESTS: admin}).answered_at == NOW - 60
    assert KnownLimits({Unit.REQUESTS: admin}).answered_at == KnownLimits().answered_at == 0


@pytest.mark.parametrize(
    ("closed_at", "factor"), [(NOW, 1.0), (NOW - 59, 1.0), (NOW - 60, 0.7), (None, 0.7)]
)
def test_the_workers_429s_after_an_exhausted_quota_teach_no_back_off(
    closed_at: float | None, factor: float
) -> None:
    refused = signals(llm=llm_signals(refused=Refused(per_minute=5.0)))

    known = learn(SPEC, refused, memory(breaker=Breaker(closed_at=closed_at)))
    assert known.llm.backoff.factor == pytest.approx(factor)


# --- What survives the process ---

FULL = memory(
    History(
        recommendations=(Recommendation(NOW, 3),),
        scalings=(Scaling(NOW, 1),),
        failed_depth_readings=2,
        last_desired=3,
        reverts=(Revert(NOW, Rival(RivalKind.OTHER, "something else", NOW)),),
        had=Recommendation(NOW - 100, 4),
    ),
    WorkingSets((WorkingSet(NOW, 700 * MEBIBYTE),)),
    cost=Learned(548_321.0, NOW - 50, 299.0, busy_since=NOW - 60, busy_replicas=3),
    backoff=Backoff(NOW - 20, NOW - 30, 0.7, growth_stopped_until=NOW + 800),
    breaker=Breaker(
        state=Quota.OPEN,
        code="insufficient_quota",
        since=NOW - 5,
        refusals=4,
        refused_at=NOW - 2,
        closed_at=NOW - 3_600,
        suspected=True,
    ),
    limits=KnownLimits(
        {
            Unit.REQUESTS: KnownLimit(10_000, "admin", NOW - 30),
            Unit.TOKENS: KnownLimit(2_000_000, "probe", NOW - 20, 4_000_000, NOW - 20),
        }
    ),
    bucket=Bucket(
        (Look(NOW - 20, 1_000_000, 2_000_000),),
        OthersUse(NOW - 20, 500_000),
    ),
    belief=Belief(1_600_000, NOW - 10, silent_since=NOW - 10),
    uses=(UseSample(NOW - 40, 1_400_000),),
)


def test_a_checkpoint_has_what_must_survive_and_is_rounded() -> None:
    assert checkpoint(FULL) == Checkpoint.model_validate(
        {
            "tokens_per_replica_minute": 550_000,
            "learned_seconds": 240,
            "limits": (
                {"unit": Unit.REQUESTS, "value": 10_000, "source": "admin"},
                {"unit": Unit.TOKENS, "value": 2_000_000, "source": "probe"},
            ),
            "others_tokens_per_minute": 500_000,
            "others_at": NOW - 20,
            "bucket_tokens": 1_000_000,
            "bucket_limit": 2_000_000,
            "bucket_at": NOW - 20,
            "rate_limited_at": NOW - 20,
            "backoff_at": NOW - 30,
            "backoff_factor": 0.7,
            "growth_stopped_until": NOW + 800,
            "quota": Quota.OPEN,
            "quota_code": "insufficient_quota",
            "quota_since": NOW - 5,
            "quota_refusals": 4,
            "quota_closed_at": NOW - 3_600,
            "working_set_bytes": 704 * MEBIBYTE,
            "had_replicas": 4,
            "had_at": NOW - 100,
        }
    )
    assert checkpoint(Memory()) == Checkpoint()


def test_a_process_starts_with_its_predecessors_checkpoint_and_an_empty_window() -> None:
    assert restore(checkpoint(FULL), NOW + 60) == Memory(
        history=History(had=Recommendation(NOW - 100, 4)),
        working_sets=WorkingSets((WorkingSet(NOW + 60, 704 * MEBIBYTE),)),
        llms={
            ONLY: LlmMemory(
                cost=Learned(550_000, NOW + 60, 240.0),
                limits=KnownLimits(
                    {
                        Unit.REQUESTS: KnownLimit(10_000, "admin", NOW + 60),
                        Unit.TOKENS: KnownLimit(2_000_000, "probe", NOW + 60),
                    }
                ),
                bucket=Bucket(
                    (Look(NOW - 20, 1_000_000, 2_000_000),),
                    OthersUse(NOW - 20, 500_000),
                    told_at=NOW - 20,
                    usual=OthersUse(NOW - 20, 500_000),
                ),
                backoff=Backoff(NOW - 20, NOW - 30, 0.7, NOW + 800),
                breaker=Breaker(
                    state=Quota.OPEN,
                    code="insufficient_quota",
                    since=NOW - 5,
                    refusals=4,
                    closed_at=NOW - 3_600,
                ),
            )
        },
    )
    assert restore(None, NOW) == restore(Checkpoint(), NOW) == Memory()


@pytest.mark.parametrize(
    ("cost", "kept"),
    [(548_321, 550_000), (994_999, 990_000), (995_001, 1_000_000), (12, 12), (1, 1)],
)
def test_a_cost_is_kept_to_two_digits(cost: float, kept: int) -> None:
    assert checkpoint(memory(cost=Learned(cost))).tokens_per_replica_minute == kept


def test_a_cost_of_less_than_a_token_a_minute_is_not_kept_as_free() -> None:
    kept = checkpoint(memory(cost=Learned(0.4))).tokens_per_replica_minute

    assert kept is None or kept >= 1


@pytest.mark.parametrize(
    ("mebibytes", "kept"), [(704, 704), (703, 704), (673, 704), (672, 672), (1, 32)]
)
def test_a_working_set_is_kept_in_steps_of_32_mebibytes(mebibytes: int, kept: int) -> None:
    sets = WorkingSets((WorkingSet(NOW, mebibytes * MEBIBYTE),))

    assert checkpoint(memory(working_sets=sets)).working_set_bytes == kept * MEBIBYTE


def test_noise_in_the_figures_does_not_change_the_checkpoint() -> None:
    noisy = replace(
        FULL,
        working_sets=WorkingSets((WorkingSet(NOW, 690 * MEBIBYTE),)),
        llms={
            ONLY: replace(FULL.llm, cost=replace(FULL.llm.cost, tokens=551_900.0, seconds=241.0))
        },
    )

    assert checkpoint(noisy) == checkpoint(FULL)
