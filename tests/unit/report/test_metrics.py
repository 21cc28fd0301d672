import pytest
from prometheus_client import CollectorRegistry

from scanpool.decide.breaker import Quota
from scanpool.models.conditions import Condition, ConditionType, LimitedBy, Reason
from scanpool.report.metrics import Metrics
from scanpool.report.pool_status import (
    BudgetStatus,
    FigureStatus,
    LlmStatus,
    PoolStatus,
    QueueStatus,
    RefusalStatus,
)
from scanpool.report.zone import Zone

# 2026-01-28T05:08:00Z
NOW = 1_769_576_880.0
POOL = {"namespace": "scan", "pool": "scan-worker"}
CONDITION = Condition(
    type=ConditionType.READY,
    status="False",
    observed_generation=1,
    last_transition_time="2026-01-28T05:07:00Z",
    reason=Reason.BROKER_UNREACHABLE,
    message="m",
)
FULL = PoolStatus(
    replicas=3,
    ready_replicas=2,
    probe_restarts=3,
    desired_replicas=4,
    limited_by=LimitedBy.TOKENS,
    backlog=120,
    ceilings={"tokens": 4, "requests": 9, "memory": 6},
    llm=LlmStatus(
        limit_tokens_per_minute=2_000_000,
        used_tokens_per_minute=1_500_000,
        own_tokens_per_minute=1_200_000,
        others_tokens_per_minute=300_000,
        headroom_tokens_per_minute=500_000,
        zone=Zone.YELLOW,
        tokens_per_replica_minute=430_000,
        tokens_per_replica_confidence_percent=78,
        requests_per_minute_limit=10_000,
        requests_per_minute_used=400,
        rate_limited_per_minute=0,
        backoff_percent=70,
        input_tokens_per_minute_limit=1_600_000,
        output_tokens_per_minute_limit=400_000,
        probe_tokens_per_minute=26,
        calls_per_task=1.3,
        refusals=(
            RefusalStatus(code="insufficient_quota", per_minute=2),
            RefusalStatus(code="rate_limit_exceeded", per_minute=40),
        ),
        budget=BudgetStatus(
            tokens_per_minute=1_700_000,
            claim_tokens_per_minute=4_300_000,
            grant_tokens_per_minute=860_000,
        ),
        figures=(
            FigureStatus(name="used", source="prometheus", at="2026-01-28T05:07:45Z"),
            FigureStatus(name="quota", source="probe", at="2026-01-28T05:07:00Z"),
        ),
        quota=Quota.HALF_OPEN,
        quota_ends_at="2026-01-28T08:00:00Z",
    ),
    conditions=(CONDITION,),
)
FIGURES = {
    "replicas": 3,
    "ready_replicas": 2,
    "probe_restarts": 3,
    "desired_replicas": 4,
    "backlog_messages": 120,
    "tpm_limit": 2_000_000,
    "tpm_used": 1_500_000,
    "tpm_own": 1_200_000,
    "tpm_others": 300_000,
    "tpm_headroom": 500_000,
    "tpm_per_replica": 430_000,
    "tpm_input_limit": 1_600_000,
    "tpm_output_limit": 400_000,
    "tpm_probe": 26,
    "rpm_limit": 10_000,
    "rpm_used": 400,
    "rate_limited_per_minute": 0,
    "calls_per_task": 1.3,
    "tpm_per_replica_confidence": 0.78,
    "backoff_factor": 0.7,
    "tpm_budget": 1_700_000,
    "tpm_budget_claim": 4_300_000,
    "tpm_budget_grant": 860_000,
}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    return Metrics(registry, clock=lambda: NOW)


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"scanpool_pool_{name}", {**POOL, **labels})


def samples_of(registry: CollectorRegistry, **labels: str) -> list[str]:
    return [
        sample.name
        for metric in registry.collect()
        for sample in metric.samples
        if labels.items() <= sample.labels.items()
    ]


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_of_the_status_is_shown(
    registry: CollectorRegistry, metrics: Metrics, name: str
) -> None:
    metrics.record("scan", "scan-worker", FULL)

    assert value(registry, name) == FIGURES[name]


def test_what_limits_a_pool_is_one_of_all_limits(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    metrics.record("scan", "scan-worker", FULL)

    assert {each: value(registry, "limited_by", limit=each) for each in LimitedBy} == {
        each: float(each is LimitedBy.TOKENS) for each in LimitedBy
    }
    assert [value(registry, "ceiling_replicas", limit=limit) for limit in (
        "tokens", "requests", "memory",
    )] == [4, 9, 6]  # fmt: skip


def test_an_end_is_shown_as_a_time_and_no_end_not_at_all(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    metrics.record("scan", "scan-worker", FULL)
    assert value(registry, "quota_ends_timestamp_seconds") == 1_769_587_200

    for told in (None, "tomorrow"):
        llm = FULL.llm.model_copy(update={"quota_ends_at": told})
        metrics.record("scan", "scan-worker", FULL.model_copy(update={"llm": llm}))
        assert value(registry, "quota_ends_timestamp_seconds") is None


def test_the_zone_and_the_breaker_are_one_of_all_states(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    metrics.record("scan", "scan-worker", FULL)

    assert {each: value(registry, "zone", zone=each) for each in Zone} == {
        each: float(each is Zone.YELLOW) for each in Zone
    }
    assert {each: value(registry, "breaker", state=each) for each in Quota} == {
        each: float(each is Quota.HALF_OPEN) for each in Quota
    }


def refused(registry: CollectorRegistry) -> dict[str, float]:
    return {
        sample.labels["code"]: sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "scanpool_pool_refused_per_minute"
    }


def test_refused_calls_are_shown_by_code_for_as_long_as_there_are_any(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    metrics.record("scan", "scan-worker", FULL)
    assert refused(registry) == {"insufficient_quota": 2, "rate_limit_exceeded": 40}

    one = RefusalStatus(code="rate_limit_exceeded", per_minute=3)
    metrics.record("scan", "scan-worker", PoolStatus(llm=LlmStatus(refusals=(one,))))
    assert refused(registry) == {"rate_limit_exceeded": 3}


def ages(registry: CollectorRegistry) -> dict[tuple[str, str], float]:
    return {
        (sample.labels["figure"], sample.labels["source"]): sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "scanpool_pool_figure_age_seconds"
    }


def test_a_figure_grows_old_between_ticks_and_when_ticks_stop(
    registry: CollectorRegistry,
) -> None:
    now = [NOW]
    metrics = Metrics(registry, clock=lambda: now[0])

    metrics.record("scan", "scan-worker", FULL)
    assert ages(registry) == {("used", "prometheus"): 15, ("quota", "probe"): 60}

    now[0] += 600
    assert ages(registry) == {("used", "prometheus"): 615, ("quota", "probe"): 660}
    metrics.forget("scan", "scan-worker")
    assert ages(registry) == {}


def test_a_figure_of_another_source_is_another_figure(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    metrics.record("scan", "scan-worker", FULL)
    by_acknowledgements = FigureStatus(
        name="used", source="acknowledged messages", at="2026-01-28T05:08:00Z"
    )

    metrics.record("scan", "scan-worker", PoolStatus(llm=LlmStatus(figures=(by_acknowledgements,))))

    assert ages(registry) == {("used", "acknowledged messages"): 0}


def test_what_another_hand_has_said_twice_is_one_series(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    told = [
        FigureStatus(name="used", source="prometheus", at=f"2026-01-28T05:0{minute}:00Z")
        for minute in (7, 8)
    ]

    metrics.record("scan", "scan-worker", PoolStatus(llm=LlmStatus(figures=tuple(told))))

    (family,) = (
        one for one in registry.collect() if one.name == "scanpool_pool_figure_age_seconds"
    )
    assert [(one.labels["figure"], one.value) for one in family.samples] == [("used", 0)]


@pytest.mark.parametrize("at", ["yesterday", ""])
def test_a_time_by_another_hand_has_no_age(
    registry: CollectorRegistry, metrics: Metrics, at: str
) -> None:
    odd = FigureStatus(name="used", source="prometheus", at=at)

    metrics.record("scan", "scan-worker", PoolStatus(replicas=3, llm=LlmStatus(figures=(odd,))))

    assert ages(registry) == {}
    assert value(registry, "replicas") == 3


def test_a_condition_shows_the_status_that_it_has(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    metrics.record("scan", "scan-worker", FULL)

    assert {
        status: value(registry, "condition", type="Ready", status=status)
        for status in ("True", "False", "Unknown")
    } == {"True": 0, "False": 1, "Unknown": 0}


@pytest.mark.parametrize(
    ("status", "known"),
    [
        pytest.param(PoolStatus(), set[str](), id="nothing-is-known"),
        pytest.param(
            PoolStatus(replicas=0, backlog=0, llm=LlmStatus(used_tokens_per_minute=0)),
            {"replicas", "backlog_messages", "tpm_used", "key"},
            id="a-zero-that-is-known",
        ),
        pytest.param(PoolStatus(ceilings={"memory": 2}), {"ceiling_replicas"}, id="one-ceiling"),
    ],
)
@pytest.mark.parametrize("before", [None, FULL], ids=["at-first", "any-more"])
def test_what_is_unknown_is_absent_and_not_zero(
    registry: CollectorRegistry,
    metrics: Metrics,
    before: PoolStatus | None,
    status: PoolStatus,
    known: set[str],
) -> None:
    if before is not None:
        metrics.record("scan", "scan-worker", before)

    metrics.record("scan", "scan-worker", status)

    assert samples_of(registry, **POOL) == [f"scanpool_pool_{name}" for name in FIGURES_ORDER
        if name in known]  # fmt: skip


FIGURES_ORDER = (*FIGURES, "ceiling_replicas", "key")


def test_the_tokens_that_wait_are_shown_by_queue(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    queues = (
        QueueStatus(name="scan.vision", ready=2, tokens_waiting=6_000),
        QueueStatus(name="scan.reward", ready=9),
    )
    metrics.record("scan", "scan-worker", PoolStatus(queues=queues))

    shown = {
        one.name: registry.get_sample_value(
            "scanpool_pool_backlog_tokens", {**POOL, "name": one.name}
        )
        for one in queues
    }
    assert shown == {"scan.vision": 6_000, "scan.reward": 0}


@pytest.mark.parametrize(
    ("first", "key"),
    [(None, "scan/scan-worker"), ("chat/chat-worker", "chat/chat-worker")],
)
def test_pools_of_one_key_show_one_name_for_it(
    registry: CollectorRegistry, metrics: Metrics, first: str | None, key: str
) -> None:
    budget = BudgetStatus(
        tokens_per_minute=3, claim_tokens_per_minute=1, grant_tokens_per_minute=1, first_pool=first
    )
    metrics.record("scan", "scan-worker", PoolStatus(llm=LlmStatus(budget=budget)))

    assert value(registry, "key", key=key) == 1
    assert samples_of(registry, **POOL).count("scanpool_pool_key") == 1


def test_a_pool_without_a_provider_has_no_key(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    metrics.record("scan", "scan-worker", PoolStatus(replicas=1))

    assert "scanpool_pool_key" not in samples_of(registry, **POOL)


def test_a_pool_that_is_forgotten_leaves_nothing_and_the_others_alone(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    metrics.record("scan", "scan-worker", FULL)
    metrics.record("team", "scan-worker", FULL)
    others = samples_of(registry, namespace="team")

    metrics.forget("scan", "scan-worker")

    assert samples_of(registry, namespace="scan") == []
    assert samples_of(registry, namespace="team") == others
    metrics.forget("scan", "scan-worker")


def test_a_pool_may_come_back(registry: CollectorRegistry, metrics: Metrics) -> None:
    for _ in range(2):
        metrics.record("scan", "scan-worker", FULL)
        assert value(registry, "replicas") == 3
        metrics.forget("scan", "scan-worker")
