from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanpool.decide.breaker import Quota
from scanpool.decide.cost import CostSource
from scanpool.decide.limits import KeptLimit
from scanpool.decide.memory import Checkpoint
from scanpool.models.claims import Unit
from scanpool.models.conditions import Condition, ConditionType, LimitedBy, Reason
from scanpool.report.news import is_news
from scanpool.report.pool_status import (
    BudgetStatus,
    ClaimantStatus,
    FigureStatus,
    LlmStatus,
    MemoryStatus,
    PoolStatus,
    QueueStatus,
    RefusalStatus,
    ScalingStatus,
    StepStatus,
)
from scanpool.report.room_status import LackStatus
from scanpool.report.spend_status import SpendStatus
from scanpool.report.zone import Zone

READY, LIMITED = ConditionType.READY, ConditionType.SCALING_LIMITED


def condition(kind: ConditionType = READY, **changes: Any) -> Condition:
    usual: dict[str, Any] = {
        "type": kind,
        "status": "True",
        "observed_generation": 1,
        "last_transition_time": "2026-01-28T05:07:00Z",
        "reason": Reason.RECONCILED,
        "message": "Deployment scan-worker is scaled",
    }
    return Condition(**{**usual, **changes})


def refused(code: str, per_minute: int) -> RefusalStatus:
    return RefusalStatus(code=code, per_minute=per_minute)


def figure(name: str, source: str = "prometheus", second: int = 0) -> FigureStatus:
    return FigureStatus(name=name, source=source, at=f"2026-01-28T05:07:{second:02}Z")


def claimant(name: str = "team/b", **changes: Any) -> ClaimantStatus:
    usual: dict[str, Any] = {
        "pool": name,
        "weight": 1,
        "claim_tokens_per_minute": 1_000_000,
        "grant_tokens_per_minute": 500_000,
    }
    return ClaimantStatus(**{**usual, **changes})


def budget(**changes: Any) -> BudgetStatus:
    usual: dict[str, Any] = {
        "tokens_per_minute": 1_500_000,
        "claim_tokens_per_minute": 4_000_000,
        "grant_tokens_per_minute": 1_000_000,
        "others": (claimant(),),
    }
    return BudgetStatus(**{**usual, **changes})


def shares(**changes: Any) -> LlmStatus:
    return llm(budget=budget(**changes))


def llm(**changes: Any) -> LlmStatus:
    usual: dict[str, Any] = {
        "limit_tokens_per_minute": 2_000_000,
        "limit_source": "probe",
        "used_tokens_per_minute": 1_480_000,
        "used_source": "prometheus",
        "own_tokens_per_minute": 1_280_000,
        "others_tokens_per_minute": 200_000,
        "headroom_tokens_per_minute": 520_000,
        "headroom_percent": 26,
        "zone": Zone.YELLOW,
        "tokens_per_replica_minute": 500_000,
        "tokens_per_replica_source": CostSource.LEARNED,
        "requests_per_minute_limit": 10_000,
        "requests_per_minute_used": 500,
        "rate_limited_per_minute": 0,
        "backoff_percent": 100,
        "tokens_per_replica_confidence_percent": 78,
        "binding_limit": Unit.TOKENS,
        "input_tokens_per_minute_limit": 1_600_000,
        "output_tokens_per_minute_limit": 400_000,
        "probe_tokens_per_minute": 26,
        "calls_per_task": 1.0,
        "refusals": (refused("rate_limit_exceeded", 20), refused("slow_down", 1)),
        "budget": budget(),
        "figures": (figure("used"), figure("quota", "probe")),
        "quota": Quota.CLOSED,
        "observed_at": "2026-01-28T05:07:00Z",
    }
    return LlmStatus(**{**usual, **changes})


def spend(**changes: Any) -> SpendStatus:
    usual: dict[str, Any] = {
        "per_hour": 2.0,
        "today": 10.0,
        "per_day": 40.0,
        "zone": Zone.GREEN,
        "per_call": 0.02,
        "ends_at": "2026-01-28T15:00:00Z",
    }
    return SpendStatus(**{**usual, **changes})


def status(**changes: Any) -> PoolStatus:
    usual: dict[str, Any] = {
        "observed_generation": 1,
        "selector": "app=scan-worker",
        "replicas": 3,
        "ready_replicas": 3,
        "probe_restarts": 0,
        "desired_replicas": 3,
        "limited_by": LimitedBy.NONE,
        "backlog": 100,
        "backlog_source": "management",
        "ceilings": {"tokens": 4, "requests": 20, "memory": 6},
        "llm": llm(),
        "queues": (QueueStatus(name="scan.vision", ready=40, unacked=60, tokens_waiting=300_000),),
        "memory": MemoryStatus(per_replica="512Mi", per_replica_source="requests", fits=3, nodes=2),
        "steps": (
            StepStatus(step="demand", before=3, after=10, reason="100 messages"),
            StepStatus(step="bounds", before=10, after=3, reason="maxReplicas 3"),
        ),
        "spend": spend(),
        "conditions": (condition(), condition(LIMITED, message="500,000 TPM per replica")),
        "checkpoint": Checkpoint(tokens_per_replica_minute=500_000, working_set_bytes=2**29),
    }
    return PoolStatus(**{**usual, **changes})


def steps(demand: int, bounds: int = 3, *, reason: str = "words") -> tuple[StepStatus, ...]:
    return (
        StepStatus(step="demand", before=3, after=demand, reason=reason),
        StepStatus(step="bounds", before=demand, after=bounds, reason=reason),
    )


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"backlog": 110}, id="backlog-by-a-tenth"),
        pytest.param({"backlog": 90}, id="backlog-by-a-tenth-less"),
        pytest.param(
            {"queues": (QueueStatus(name="scan.vision", ready=0, unacked=99),)}, id="one-queue"
        ),
        pytest.param({"backlog": 105, "steps": steps(11)}, id="demand-that-follows-the-backlog"),
        pytest.param({"steps": steps(10, reason="other figures")}, id="words-of-a-step"),
        pytest.param({"llm": llm(used_tokens_per_minute=1_520_000)}, id="used-by-2%-of-the-limit"),
        pytest.param({"llm": llm(own_tokens_per_minute=1_240_000)}, id="own-use"),
        pytest.param({"llm": llm(others_tokens_per_minute=160_000)}, id="others-use"),
        pytest.param(
            {"llm": llm(headroom_tokens_per_minute=480_000, headroom_percent=24)}, id="headroom"
        ),
        pytest.param(
            {"llm": llm(used_tokens_per_minute=1_510_000, zone=Zone.ORANGE)},
            id="the-edge-of-a-zone",
        ),
        pytest.param({"llm": llm(tokens_per_replica_minute=540_000)}, id="cost-by-a-tenth"),
        pytest.param({"llm": llm(requests_per_minute_used=700)}, id="requests-by-2%-of-the-limit"),
        pytest.param({"llm": llm(observed_at="2026-01-28T06:00:00Z")}, id="time-of-reading"),
        pytest.param({"spend": spend(today=10.39)}, id="spent-by-1%-of-the-budget"),
        pytest.param({"spend": spend(per_hour=2.19, per_call=0.0219)}, id="spend-by-a-tenth"),
        pytest.param(
            {"ceilings": {"tokens": 5, "requests": 19, "memory": 6}},
            id="a-rates-ceiling-by-one-replica",
        ),
        pytest.param(
            {
                "memory": MemoryStatus(
                    per_replica="530Mi", per_replica_source="requests", fits=3, nodes=2
                )
            },
            id="working-set",
        ),
        pytest.param(
            {
                "checkpoint": Checkpoint(
                    tokens_per_replica_minute=520_000,
                    learned_seconds=600,
                    others_tokens_per_minute=300_000,
                    others_at=1_769_576_820.0,
                    working_set_bytes=2**28,
                )
            },
            id="learned-figures-in-the-checkpoint",
        ),
        pytest.param(
            {"llm": llm(figures=(figure("used", second=10), figure("quota", "probe", 12)))},
            id="when-the-figures-were-read",
        ),
        pytest.param(
            {"llm": llm(tokens_per_replica_confidence_percent=95)}, id="a-little-more-confidence"
        ),
        pytest.param({"llm": llm(probe_tokens_per_minute=9)}, id="a-probe-answered-in-fewer-words"),
        pytest.param({"llm": llm(calls_per_task=1.2)}, id="calls-per-task"),
        pytest.param(
            {"llm": llm(refusals=(refused("rate_limit_exceeded", 22), refused("slow_down", 1)))},
            id="refusals-by-a-tenth",
        ),
        pytest.param({"llm": shares(tokens_per_minute=1_540_000)}, id="budget-by-2%-of-the-limit"),
        pytest.param({"llm": shares(grant_tokens_per_minute=960_000)}, id="grant"),
        pytest.param({"llm": shares(claim_tokens_per_minute=4_400_000)}, id="a-claim-by-a-tenth"),
        pytest.param(
            {
                "llm": shares(
                    others=(
                        claimant(claim_tokens_per_minute=960_000, grant_tokens_per_minute=540_000),
                    )
                )
            },
            id="anothers-claim-and-grant",
        ),
        pytest.param(
            {"conditions": (condition(), condition(LIMITED, message="510,000 TPM per replica"))},
            id="figures-in-the-message-of-ScalingLimited",
        ),
    ],
)
def test_noise_is_no_news(changes: dict[str, Any]) -> None:
    assert not is_news(status(), status(**changes))


@pytest.mark.parametrize(
    ("limit", "was", "now", "is_told"),
    [
        pytest.param(None, 500, 550, False, id="a-tenth"),
        pytest.param(None, 500, 551, True, id="more-than-a-tenth"),
        pytest.param(None, 0, 6, False, id="what-probes-make"),
        pytest.param(None, 1, 0, False, id="a-probe-that-is-counted-no-more"),
        pytest.param(None, 0, 7, True, id="more-than-probes-make"),
        pytest.param(60, 0, 6, False, id="beside-a-small-limit"),
    ],
)
def test_requests_that_are_no_news(limit: int | None, was: int, now: int, *, is_told: bool) -> None:
    old, new = (
        llm(requests_per_minute_limit=limit, requests_per_minute_used=used) for used in (was, now)
    )

    assert is_news(status(llm=old), status(llm=new)) == is_told


def test_the_words_of_a_probe_are_noise_whatever_the_limit() -> None:
    was = llm(limit_tokens_per_minute=None, probe_tokens_per_minute=26)
    now = llm(limit_tokens_per_minute=None, probe_tokens_per_minute=19)

    assert not is_news(status(llm=was), status(llm=now))


def roomy(fits: int) -> PoolStatus:
    return status(
        ceilings={"tokens": 4, "requests": 20, "memory": 3 + fits},
        memory=MemoryStatus(
            per_replica="512Mi", per_replica_source="requests", fits=fits, nodes=20
        ),
    )


@pytest.mark.parametrize(("fits", "is_told"), [(99, False), (90, False), (110, False), (80, True)])
def test_a_pod_that_comes_or_goes_elsewhere_is_news_only_where_room_is_scarce(
    fits: int, is_told: bool
) -> None:
    assert is_news(roomy(100), roomy(fits)) == is_told


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"backlog": 111}, id="backlog"),
        pytest.param({"backlog": None}, id="backlog-unknown"),
        pytest.param({"backlog_source": "amqp"}, id="backlog-source"),
        pytest.param({"queues": ()}, id="queues"),
        pytest.param({"replicas": 4}, id="replicas"),
        pytest.param({"ready_replicas": 2}, id="ready"),
        pytest.param({"probe_restarts": 1}, id="probe-restarts"),
        pytest.param({"observed_generation": 2}, id="generation"),
        pytest.param({"steps": steps(10, 4)}, id="a-step"),
        pytest.param({"steps": ()}, id="another-ladder"),
        pytest.param({"llm": None}, id="no-llm"),
        pytest.param({"llm": llm(limit_tokens_per_minute=4_000_000)}, id="tier-upgrade"),
        pytest.param({"llm": llm(used_tokens_per_minute=1_530_000)}, id="used"),
        pytest.param({"llm": llm(used_tokens_per_minute=None)}, id="used-unknown"),
        pytest.param({"llm": llm(others_tokens_per_minute=250_000)}, id="others"),
        pytest.param(
            {"llm": llm(used_tokens_per_minute=1_600_000, zone=Zone.ORANGE)}, id="another-zone"
        ),
        pytest.param({"llm": llm(zone=Zone.EXCEEDED)}, id="refused-calls-zone"),
        pytest.param({"llm": llm(rate_limited_per_minute=1)}, id="first-429"),
        pytest.param({"llm": llm(backoff_percent=70)}, id="back-off"),
        pytest.param({"llm": llm(quota=Quota.OPEN)}, id="breaker"),
        pytest.param({"llm": llm(tokens_per_replica_minute=560_000)}, id="cost"),
        pytest.param({"llm": llm(requests_per_minute_used=701)}, id="requests"),
        pytest.param({"llm": llm(requests_per_minute_used=None)}, id="requests-unknown"),
        pytest.param({"llm": llm(tokens_per_replica_source=CostSource.SPEC)}, id="cost-source"),
        pytest.param({"ceilings": {"tokens": 2, "requests": 20, "memory": 6}}, id="ceiling"),
        pytest.param({"ceilings": {"requests": 20, "memory": 6}}, id="ceiling-unknown"),
        pytest.param({"ceilings": {"tokens": 4, "requests": 20, "memory": 5}}, id="memory-ceiling"),
        pytest.param(
            {
                "memory": MemoryStatus(
                    per_replica="512Mi", per_replica_source="requests", fits=2, nodes=2
                )
            },
            id="room",
        ),
        pytest.param({"spend": None}, id="no-prices"),
        pytest.param({"spend": spend(today=10.5)}, id="spent"),
        pytest.param({"spend": spend(today=0.0)}, id="another-day"),
        pytest.param({"spend": spend(per_hour=2.3)}, id="spend"),
        pytest.param({"spend": spend(per_day=50.0)}, id="another-budget"),
        pytest.param({"spend": spend(zone=Zone.EXCEEDED)}, id="budget-used-up"),
        pytest.param({"last_scale_time": "2026-01-28T05:07:30Z"}, id="scaled"),
        pytest.param({"checkpoint": Checkpoint(quota=Quota.OPEN)}, id="checkpoint"),
        pytest.param({"checkpoint": None}, id="no-checkpoint"),
        pytest.param(
            {
                "checkpoint": Checkpoint(
                    limits=(KeptLimit(unit=Unit.TOKENS, value=2_000_000, source="probe"),)
                )
            },
            id="a-limit-to-remember",
        ),
        pytest.param(
            {"llm": llm(figures=(figure("used", "bucket level"), figure("quota", "probe")))},
            id="another-source",
        ),
        pytest.param({"llm": llm(figures=(figure("used"),))}, id="a-figure-less"),
        pytest.param({"llm": llm(tokens_per_replica_confidence_percent=100)}, id="confidence"),
        pytest.param({"llm": llm(tokens_per_replica_confidence_percent=0)}, id="a-guess"),
        pytest.param({"llm": llm(input_tokens_per_minute_limit=1_590_000)}, id="input-limit"),
        pytest.param({"llm": llm(output_tokens_per_minute_limit=410_000)}, id="output-limit"),
        pytest.param({"llm": llm(probe_tokens_per_minute=None)}, id="probe-off"),
        pytest.param({"llm": llm(calls_per_task=3.0)}, id="retries"),
        pytest.param({"llm": llm(calls_per_task=None)}, id="calls-not-counted-any-more"),
        pytest.param({"llm": llm(refusals=())}, id="no-refusals"),
        pytest.param(
            {
                "llm": llm(
                    refusals=(
                        refused("insufficient_quota", 1),
                        refused("rate_limit_exceeded", 20),
                        refused("slow_down", 1),
                    )
                )
            },
            id="a-new-code",
        ),
        pytest.param(
            {"llm": llm(refusals=(refused("rate_limit_exceeded", 23), refused("slow_down", 1)))},
            id="refusals",
        ),
        pytest.param({"llm": llm(budget=None)}, id="alone-again"),
        pytest.param({"llm": shares(tokens_per_minute=1_550_000)}, id="budget"),
        pytest.param({"llm": shares(grant_tokens_per_minute=950_000)}, id="granted-less"),
        pytest.param({"llm": shares(claim_tokens_per_minute=4_500_000)}, id="claims-more"),
        pytest.param(
            {"conditions": (condition(message="another remedy"), condition(LIMITED))}, id="message"
        ),
        pytest.param(
            {"conditions": (condition(reason=Reason.OBSERVE_MODE), condition(LIMITED))}, id="reason"
        ),
    ],
)
def test_what_a_person_or_the_next_process_needs_is_news(changes: dict[str, Any]) -> None:
    assert is_news(status(), status(**changes))


def test_confidence_that_grows_by_itself_is_told_in_few_steps() -> None:
    written, writes = 0, 0
    for percent in range(1, 101):
        was = llm(tokens_per_replica_confidence_percent=written)
        now = llm(tokens_per_replica_confidence_percent=percent)
        if is_news(status(llm=was), status(llm=now)):
            written, writes = percent, writes + 1

    assert (written, writes) == (100, 4)


@pytest.mark.parametrize(
    ("lacks", "is_told"),
    [
        pytest.param([("memory", ("node-b",))], False, id="other-nodes"),
        pytest.param([("memory", ("node-a", "node-b"))], False, id="more-nodes"),
        pytest.param([("cpu", ("node-a",))], True, id="something-else"),
        pytest.param([("memory", ("node-a",)), ("cpu", ("node-b",))], True, id="more"),
    ],
)
def test_what_nodes_lack_is_news_and_not_which_of_them_it_is(
    lacks: list[tuple[str, tuple[str, ...]]], *, is_told: bool
) -> None:
    def lacking(*lacks: tuple[str, tuple[str, ...]]) -> PoolStatus:
        told = tuple(LackStatus(what=what, nodes=len(names), names=names) for what, names in lacks)
        memory = roomy(1).memory
        assert memory is not None
        return status(memory=memory.model_copy(update={"lacks": told}))

    assert is_news(lacking(("memory", ("node-a",))), lacking(*lacks)) == is_told


def test_a_slow_drift_is_news_once_it_adds_up() -> None:
    written, writes = 1_000_000, 0
    for used in range(1_000_000, 1_200_001, 10_000):
        before, now = llm(used_tokens_per_minute=written), llm(used_tokens_per_minute=used)
        if is_news(status(llm=before), status(llm=now)):
            written, writes = used, writes + 1

    assert writes == 4


# --- for every status ---

amounts = st.integers(0, 10**7)
counts = st.none() | amounts
words = st.text(max_size=5)


def holds_int(annotation: Any) -> bool:
    return annotation is int or any(map(holds_int, get_args(annotation)))


llms = st.builds(
    LlmStatus,
    **{name: counts for name, of in LlmStatus.model_fields.items() if holds_int(of.annotation)},
    calls_per_task=st.none() | st.floats(0, 9),
    refusals=st.lists(
        st.builds(RefusalStatus, code=words, per_minute=st.integers(0, 99)),
        max_size=2,
        unique_by=lambda one: one.code,
    ).map(tuple),
    budget=st.none()
    | st.builds(
        BudgetStatus,
        tokens_per_minute=amounts,
        claim_tokens_per_minute=amounts,
        grant_tokens_per_minute=amounts,
        others=st.lists(
            st.builds(
                ClaimantStatus,
                pool=words,
                weight=st.integers(1, 9),
                claim_tokens_per_minute=amounts,
                grant_tokens_per_minute=amounts,
            ),
            max_size=2,
            unique_by=lambda one: one.pool,
        ).map(tuple),
    ),
    figures=st.lists(st.builds(FigureStatus, name=words, source=words, at=words), max_size=2).map(
        tuple
    ),
    zone=st.none() | st.sampled_from(Zone),
    binding_limit=st.none() | st.sampled_from(Unit),
    quota=st.none() | st.sampled_from(Quota),
    observed_at=words,
)
statuses = st.builds(
    PoolStatus,
    replicas=counts,
    desired_replicas=counts,
    limited_by=st.sampled_from(LimitedBy),
    backlog=counts,
    ceilings=st.none()
    | st.dictionaries(st.sampled_from(["tokens", "requests", "memory"]), amounts),
    llm=st.none() | llms,
    queues=st.lists(st.builds(QueueStatus, name=words, ready=st.integers(0, 9)), max_size=2).map(
        tuple
    ),
    steps=st.lists(
        st.builds(
            StepStatus,
            step=st.sampled_from(["demand", "bounds"]),
            before=st.integers(0, 9),
            after=st.integers(0, 9),
            reason=words,
        ),
        max_size=2,
    ).map(tuple),
    scalings=st.lists(
        st.builds(
            ScalingStatus,
            time=words,
            from_replicas=st.integers(0, 9),
            to_replicas=st.integers(0, 9),
            limited_by=st.sampled_from(LimitedBy),
            reason=words,
        ),
        max_size=2,
    ).map(tuple),
    conditions=st.lists(
        st.builds(
            condition,
            kind=st.sampled_from(ConditionType),
            status=st.sampled_from(["True", "False", "Unknown"]),
            message=words,
        ),
        min_size=1,
        max_size=3,
    ).map(tuple),
    checkpoint=st.none() | st.builds(Checkpoint, quota=st.sampled_from(Quota)),
)


@given(statuses)
def test_no_status_is_news_to_itself(one: PoolStatus) -> None:
    assert not is_news(one, one)


@given(statuses, statuses)
def test_another_outcome_is_always_news(one: PoolStatus, other: PoolStatus) -> None:
    def outcome(of: PoolStatus) -> object:
        settled = [(each.type, each.status, each.reason) for each in of.conditions]
        return of.desired_replicas, of.replicas, of.limited_by, settled, of.scalings

    if outcome(one) != outcome(other):
        assert is_news(one, other)


@given(statuses, st.sampled_from(["True", "False", "Unknown"]))
def test_a_condition_that_turns_is_always_news(one: PoolStatus, turned: str) -> None:
    first, *rest = one.conditions
    other = one.model_copy(
        update={"conditions": (first.model_copy(update={"status": turned}), *rest)}
    )

    assert is_news(one, other) == (first.status != turned)


@pytest.mark.parametrize(
    ("before", "after", "is_told"),
    [(70, 76, False), (70, 78, True), (97, 100, True), (100, 97, True)],
)
def test_a_back_off_that_recovers_is_told_in_steps_and_when_it_is_over(
    before: int, after: int, is_told: bool
) -> None:
    held, recovered = (
        PoolStatus(llm=LlmStatus(backoff_percent=percent)) for percent in (before, after)
    )
    assert is_news(held, recovered) is is_told


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"others": ()}, id="a-claimant-less"),
        pytest.param({"others": (claimant(), claimant("team/c"))}, id="a-new-claimant"),
        pytest.param({"others": (claimant(weight=2),)}, id="another-weight"),
        pytest.param(
            {"others": (claimant(claim_tokens_per_minute=1_200_000),)}, id="another-claims-more"
        ),
        pytest.param(
            {"others": (claimant(grant_tokens_per_minute=550_000),)}, id="another-is-granted-more"
        ),
        pytest.param({"more_others": 7}, id="more-of-them"),
        pytest.param({"first_pool": "another/first"}, id="another-first"),
    ],
)
def test_others_claims_alone_are_no_news(changes: dict[str, Any]) -> None:
    """On a key of a thousand pools, each would otherwise be written for each of the others."""
    assert not is_news(status(), status(llm=shares(**changes)))
