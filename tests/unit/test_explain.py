from typing import Any

import pytest

from builders import llm as llm_spec
from builders import pool
from scanpool.explain import explain
from scanpool.models.conditions import Condition, ConditionType, Reason
from scanpool.models.decision import CostSource, LimitedBy, Zone
from scanpool.models.memory import Quota
from scanpool.models.spec import PoolSpec
from scanpool.models.status import (
    CeilingsStatus,
    LlmStatus,
    MemoryStatus,
    PoolStatus,
    StepStatus,
)

READY = Condition(
    type=ConditionType.READY,
    status="True",
    observed_generation=1,
    last_transition_time="2026-01-28T05:07:00Z",
    reason=Reason.RECONCILED,
    message="Deployment scan-worker is scaled",
)
LLM = LlmStatus(
    limit_tokens_per_minute=2_000_000,
    used_tokens_per_minute=1_500_000,
    used_source="prometheus",
    others_tokens_per_minute=0,
    headroom_tokens_per_minute=500_000,
    headroom_percent=25,
    zone=Zone.YELLOW,
    tokens_per_replica_minute=500_000,
    tokens_per_replica_source=CostSource.LEARNED,
    quota=Quota.CLOSED,
)


def steps(demand: int, end: int, last: str) -> tuple[StepStatus, ...]:
    return (
        StepStatus(step="demand", before=3, after=demand, reason="queue scan.vision has messages"),
        StepStatus(step="tolerance", before=demand, after=demand, reason="a deviation"),
        StepStatus(step=last, before=demand, after=end, reason="the last word"),
    )


def explained(limited_by: LimitedBy, spec: PoolSpec | None = None, **changes: Any) -> str:
    usual: dict[str, Any] = {
        "replicas": 3,
        "ready_replicas": 3,
        "desired_replicas": 3,
        "limited_by": limited_by,
        "conditions": (READY,),
    }
    return explain(body(PoolStatus(**{**usual, **changes}), spec or pool(llm=llm_spec())))


def body(status: PoolStatus, spec: PoolSpec) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "scan", "name": "scan-worker", "uid": "u", "generation": 1},
        "spec": spec.model_dump(mode="json", by_alias=True, exclude_none=True),
        "status": status.model_dump(mode="json", by_alias=True, exclude_none=True),
    }


def test_a_pool_under_its_token_ceiling() -> None:
    text = explained(
        LimitedBy.TOKENS,
        backlog=80,
        backlog_source="management",
        ceilings=CeilingsStatus(tokens=3),
        llm=LLM,
        steps=steps(8, 3, "tokens ceiling"),
    )

    assert text == (
        "scan/scan-worker: 3 replicas, 3 ready, 3 desired, limited by Tokens\n"
        "  backlog      80 messages (management)\n"
        "  tokens       1,500,000 of 2,000,000 TPM used (prometheus), "
        "headroom 500,000 TPM (25%), zone Yellow\n"
        "  per replica  500,000 TPM (Learned); others on the key use 0 TPM; quota Closed\n"
        "\n"
        "How it came to that:\n"
        "  demand              3 -> 8  queue scan.vision has messages\n"
        "  tokens ceiling      8 -> 3  the last word\n"
        "\n"
        "What would lift it: 8 replicas need a limit of 4.8 M TPM.\n"
        "\n"
        "Conditions:\n"
        "  Ready=True (Reconciled): Deployment scan-worker is scaled"
    )


@pytest.mark.parametrize(
    ("others", "percent", "needed"),
    [
        pytest.param(0, 85, "4.8 M", id="alone"),
        pytest.param(400_000, 85, "5.2 M", id="with-others"),
        pytest.param(0, 100, "4.0 M", id="to-the-brim"),
        pytest.param(None, 50, "8.0 M", id="others-not-seen"),
    ],
)
def test_the_limit_that_it_would_take(others: int | None, percent: int, needed: str) -> None:
    text = explained(
        LimitedBy.TOKENS,
        pool(llm=llm_spec(target_utilization_percent=percent)),
        llm=LLM.model_copy(update={"others_tokens_per_minute": others}),
        steps=steps(8, 3, "tokens ceiling"),
    )

    assert f"8 replicas need a limit of {needed} TPM" in text


def test_no_more_is_named_than_max_replicas_would_use() -> None:
    text = explained(
        LimitedBy.TOKENS,
        pool(max_replicas=5, llm=llm_spec()),
        llm=LLM,
        steps=steps(30, 3, "tokens ceiling"),
    )

    assert "5 replicas need a limit of 3.0 M TPM" in text


def test_after_429s_it_is_time_that_lifts_the_ceiling() -> None:
    text = explained(
        LimitedBy.TOKENS,
        llm=LLM.model_copy(update={"backoff_percent": 70}),
        steps=steps(8, 3, "tokens ceiling"),
    )

    assert "After 429s 70% of the ceiling are in force" in text
    assert "need a limit" not in text


def test_growth_that_is_stopped_needs_no_higher_limit() -> None:
    text = explained(
        LimitedBy.TOKENS,
        llm=LLM.model_copy(update={"limit_tokens_per_minute": 9_000_000}),
        steps=steps(8, 3, "tokens ceiling"),
    )

    assert "What would lift it" not in text


def test_memory_trouble_with_room_left_is_told_by_the_rung_alone() -> None:
    roomy = MEMORY.model_copy(update={"fits": 6})
    text = explained(LimitedBy.MEMORY, memory=roomy, steps=steps(8, 3, "memory ceiling"))

    assert "What would lift it" not in text
    assert "the last word" in text


MEMORY = MemoryStatus(per_replica="512Mi", per_replica_source="requests", fits=0, nodes=2)


def test_a_pool_under_its_memory_ceiling() -> None:
    text = explained(LimitedBy.MEMORY, memory=MEMORY, steps=steps(8, 3, "memory ceiling"))

    assert "limited by Memory" in text
    assert "512Mi per replica (requests); 0 more fit on 2 nodes" in text
    assert "What would lift it: room on the nodes for 5 more replicas of 512Mi." in text


def test_a_pool_at_its_most_replicas() -> None:
    text = explained(LimitedBy.MAX_REPLICAS, steps=steps(12, 10, "bounds"))

    assert "What would lift it: spec.maxReplicas of 12." in text


def test_a_pool_whose_provider_refuses_to_be_paid() -> None:
    text = explained(
        LimitedBy.QUOTA,
        llm=LLM.model_copy(update={"quota": Quota.OPEN}),
        steps=steps(8, 1, "billing breaker"),
    )

    assert "quota Open" in text
    assert "What would lift it: credit on the provider's account." in text


def test_a_pool_that_holds_says_why_and_promises_nothing() -> None:
    reason = "the broker refuses connections"
    hold = StepStatus(step="hold", before=3, after=3, reason=reason)

    text = explained(LimitedBy.HOLD, steps=(hold,))

    assert "limited by Hold" in text
    assert f"  hold           3  {reason}" in text
    assert "What would lift it" not in text


def test_a_pool_that_nothing_limits_says_nothing_of_limits() -> None:
    text = explained(LimitedBy.NONE, steps=steps(3, 3, "floor"))

    assert "limited by" not in text
    assert "What would lift it" not in text


def test_what_is_unknown_is_called_so() -> None:
    text = explained(LimitedBy.HOLD, replicas=None, ready_replicas=None, llm=LlmStatus())

    assert "unknown replicas, unknown ready, 3 desired" in text
    assert "unknown of unknown TPM used, headroom unknown TPM" in text
    assert "None" not in text


def test_a_ceiling_without_figures_promises_nothing() -> None:
    assert "What would lift it" not in explained(LimitedBy.TOKENS, llm=LlmStatus())
    assert "What would lift it" not in explained(LimitedBy.MEMORY, steps=())


def test_a_pool_without_a_status_asks_for_the_operator() -> None:
    text = explain(body(PoolStatus(), pool()))

    assert text.startswith("scan/scan-worker has no status yet: is the operator running?")


def test_a_status_of_another_version_is_called_so() -> None:
    of_tomorrow = {**body(PoolStatus(), pool()), "status": {"limitedBy": "Moon"}}

    assert "a status of another version" in explain(of_tomorrow)
