import re
from collections.abc import Sequence
from typing import Any

import pytest

from builders import API_KEY, WHOLE_KEY, observe, pool, rates, seen, settled, think
from builders import llm as llm_spec
from scanpool.decide import checkpoint
from scanpool.decide.breaker import Quota
from scanpool.decide.cost import CostSource
from scanpool.decide.memory import Checkpoint
from scanpool.models.claims import Claim, Need, Unit
from scanpool.models.conditions import Condition, ConditionType, LimitedBy, Reason
from scanpool.models.llm import Ramp
from scanpool.models.observation import KeyUsage, Observation, ProviderState
from scanpool.models.spec import PoolSpec
from scanpool.report.explain import explain
from scanpool.report.pool_status import (
    BudgetStatus,
    ClaimantStatus,
    FigureStatus,
    LlmStatus,
    MemoryStatus,
    ObservedStatus,
    PoolStatus,
    RefusalStatus,
    ScalingStatus,
    StepStatus,
)
from scanpool.report.status import Outcome, Since, of_tick
from scanpool.report.zone import Zone

# 2026-01-28T05:07:00Z
OBSERVED = 1_769_576_820.0
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
    observed_at="2026-01-28T05:07:00Z",
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


def tried(
    spec: PoolSpec, observation: Observation, limit: LimitedBy, peers: Sequence[Claim] = ()
) -> tuple[str, int]:
    """Return what is explained of a pool of two replicas after a tick, and one of its ceilings."""
    signals, memory, decision = think(spec, observation, settled(2), peers=peers)
    outcome = Outcome(signals, decision)
    status = of_tick(Since(PoolStatus(), 1), spec, outcome, checkpoint(memory))
    replicas = decision.ceilings[limit].replicas
    assert replicas is not None
    return explain(body(status, spec)), replicas


def figures_in(text: str) -> list[str]:
    """Return the rows of the table of figures."""
    table = text.partition("The figures, at ")[2].partition("\n\n")[0]
    return [" ".join(row.split()) for row in table.splitlines()[1:]]


def test_a_pool_under_its_token_ceiling() -> None:
    text = explained(
        LimitedBy.TOKENS,
        backlog=80,
        backlog_source="management",
        ceilings={"tokens": 3},
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
        "The figures, at 2026-01-28T05:07:00Z:\n"
        "  limit             2,000,000 TPM\n"
        "  used              1,500,000 TPM\n"
        "  others                    0 TPM\n"
        "  headroom            500,000 TPM\n"
        "  tokensPerReplica    500,000 TPM\n"
        "  quota                    Closed\n"
        "\n"
        "How it came to that:\n"
        "  demand              3 -> 8  queue scan.vision has messages\n"
        "  tokens ceiling      8 -> 3  the last word\n"
        "\n"
        "What decided: the tokens ceiling, from 8 to 3.\n"
        "What would lift it: needs 4.8 M TPM for 8 replicas.\n"
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

    assert f"What would lift it: needs {needed} TPM for 8 replicas." in text


def test_no_more_is_named_than_max_replicas_would_use() -> None:
    text = explained(
        LimitedBy.TOKENS,
        pool(max_replicas=5, llm=llm_spec()),
        llm=LLM,
        steps=steps(30, 3, "tokens ceiling"),
    )

    assert "needs 3.0 M TPM for 5 replicas" in text


def test_after_429s_it_is_time_that_lifts_the_ceiling() -> None:
    text = explained(
        LimitedBy.TOKENS,
        llm=LLM.model_copy(update={"backoff_percent": 70, "limit_tokens_per_minute": 5_000_000}),
        steps=steps(8, 3, "tokens ceiling"),
    )

    assert (
        "What would lift it: time: after 429s 70% of the ceiling are in force, and all of it is "
        "back 3 min after none are measured any more.\n"
    ) in text


def test_after_429s_a_limit_that_is_too_small_is_named_as_well() -> None:
    text = explained(
        LimitedBy.TOKENS,
        llm=LLM.model_copy(update={"backoff_percent": 95}),
        steps=steps(8, 3, "tokens ceiling"),
    )

    assert (
        "back 1 min after none are measured any more; then needs 4.8 M TPM for 8 replicas."
    ) in text


@pytest.mark.parametrize(
    ("limited_by", "seconds", "told"),
    [
        pytest.param(LimitedBy.TOKENS, 601, True, id="in-force"),
        pytest.param(LimitedBy.TOKENS, -1, False, id="over"),
        pytest.param(LimitedBy.REQUESTS, 601, False, id="it-stops-no-requests"),
    ],
)
def test_after_a_slow_down_it_is_time_that_lets_it_grow(
    limited_by: LimitedBy, seconds: float, told: bool
) -> None:
    text = explained(
        limited_by,
        llm=LLM.model_copy(update={"limit_tokens_per_minute": 9_000_000}),
        checkpoint=Checkpoint(growth_stopped_until=OBSERVED + seconds),
        steps=steps(8, 3, "tokens ceiling"),
    )

    assert ("slow down" in text) == told
    assert ("time: the provider asked to slow down, so nothing grows for 11 min." in text) == told


def test_a_ramp_that_is_set_is_what_is_left_to_bind() -> None:
    text = explained(
        LimitedBy.TOKENS,
        pool(llm=llm_spec(ramp=Ramp(percent=30, period_seconds=600))),
        llm=LLM.model_copy(update={"limit_tokens_per_minute": 9_000_000}),
        steps=steps(8, 3, "tokens ceiling"),
    )

    assert (
        "What would lift it: time, or a wider llm.ramp: use may grow by 30% in 600 s, and freely "
        "up to 1.0 M TPM."
    ) in text


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        pytest.param({}, "needs about 14,900 RPM for 8 replicas", id="alone"),
        pytest.param(
            {"others_tokens_per_minute": 750_000}, "needs about 17,700 RPM", id="with-others"
        ),
        pytest.param({"used_tokens_per_minute": 0}, None, id="nothing-used"),
        pytest.param({"requests_per_minute_used": None}, None, id="requests-not-counted"),
        pytest.param({"requests_per_minute_limit": 20_000}, None, id="enough"),
    ],
)
def test_the_request_limit_that_it_would_take(changes: dict[str, Any], told: str | None) -> None:
    usual = {"requests_per_minute_limit": 5_000, "requests_per_minute_used": 4_743}
    text = explained(
        LimitedBy.REQUESTS,
        llm=LLM.model_copy(update={**usual, **changes}),
        steps=steps(8, 3, "requests ceiling"),
    )

    assert ("What would lift it" in text) == (told is not None)
    assert told is None or f"What would lift it: {told}" in text


def test_the_request_limit_that_is_named_is_the_one_that_it_takes() -> None:
    usage = seen(
        KeyUsage(
            1_400_000.0,
            700.0,
            0.0,
            own_tokens_per_minute=800_000.0,
            own_requests_per_minute=400.0,
        )
    )
    observation = observe(2, 80, usage=usage, rates=seen((rates(4.0),)))

    def explained_with(limit: int) -> tuple[str, int]:
        spec = pool(
            llm=llm_spec(tokens_per_minute=10**8, requests_per_minute=limit, usage=WHOLE_KEY)
        )
        return tried(spec, observation, LimitedBy.REQUESTS)

    text, ceiling = explained_with(1_200)
    assert ceiling < 8
    assert "What would lift it: needs about 2,800 RPM for 8 replicas." in text
    assert explained_with(2_800)[1] >= 8
    assert explained_with(2_600)[1] < 8


@pytest.mark.parametrize(
    ("side", "unit"), [("input", Unit.INPUT_TOKENS), ("output", Unit.OUTPUT_TOKENS)]
)
def test_a_limit_on_one_side_is_scaled_by_the_replicas(side: str, unit: Unit) -> None:
    rung = StepStatus(
        step="tokens ceiling", before=8, after=3, reason=f"85% of 800,000 {side} TPM less 0 used"
    )
    text = explained(
        LimitedBy.TOKENS,
        ceilings={"tokens": 3},
        llm=LLM.model_copy(
            update={f"{side}_tokens_per_minute_limit": 800_000, "binding_limit": unit}
        ),
        steps=(*steps(8, 8, "bounds"), rung),
    )

    assert f"What would lift it: needs at most 2.2 M {side} TPM for 8 replicas." in text
    assert f"{side}Limit 800,000 TPM" in figures_in(text)


def test_the_side_that_is_scaled_is_the_one_that_binds() -> None:
    spec = pool(llm=llm_spec(tokens_per_minute=None, api_key_secret_ref=API_KEY, usage=WHOLE_KEY))
    told = ProviderState(input_tokens_per_minute=9_000_000, output_tokens_per_minute=200_000)
    usage = KeyUsage(
        1_000_000.0,
        own_tokens_per_minute=1_000_000.0,
        output_tokens_per_minute=100_000.0,
        own_output_tokens_per_minute=100_000.0,
    )
    observation = observe(2, 80, usage=seen(usage), provider=seen(told), rates=seen((rates(4.0),)))

    text, ceiling = tried(spec, observation, LimitedBy.TOKENS)

    # 85% of 200,000 at 50,000 for a replica, a tenth of its tokens.
    assert ceiling == 3
    assert "What would lift it: needs at most 0.6 M output TPM for 8 replicas." in text


# --- beside other pools ---

PEERS = (
    Claim("team/b", 1, 1, 8, 1, {Unit.TOKENS: Need(500_000.0, 500_000.0, 1e12, 1e12)}),
    Claim("team/c", 3, 1, 2, 1, {Unit.TOKENS: Need(400_000.0, 400_000.0, 1e12, 1e12)}),
)


def decided_with(peers: tuple[Claim, ...], spec: PoolSpec) -> tuple[str, int]:
    """Return what is explained of a pool with a long queue, and its token ceiling."""
    usage = seen(KeyUsage(2_000_000.0, 600.0, 0.0, own_tokens_per_minute=800_000.0))
    observation = observe(2, 80, usage=usage, rates=seen((rates(4.0),)))
    return tried(spec, observation, LimitedBy.TOKENS, peers)


@pytest.mark.parametrize("weight", [1, 2, 9])
@pytest.mark.parametrize("peers", [PEERS, PEERS[:1], PEERS[1:], ()], ids=["two", "b", "c", "none"])
def test_the_limit_that_is_named_is_the_one_that_it_takes(
    peers: tuple[Claim, ...], weight: int
) -> None:
    """Not only in words: with that limit the decision allows the replicas, and well below not.

    Well below is a replica of each other pool: what is left of whole replicas may fall to this one.
    """

    def spec(limit: int) -> PoolSpec:
        return pool(llm=llm_spec(tokens_per_minute=limit, weight=weight, usage=WHOLE_KEY))

    text, ceiling = decided_with(peers, spec(2_000_000))
    assert ceiling < 8
    named = re.search(r"What would lift it: needs ([\d.]+) M TPM for 8 replicas", text)
    assert named is not None
    needed = round(float(named[1]) * 1_000_000)

    assert decided_with(peers, spec(needed))[1] >= 8
    replicas = sum(peer.needs[Unit.TOKENS].per_replica for peer in peers)
    below = needed - 200_000 - round(replicas / 0.85)
    assert decided_with(peers, spec(below))[1] < 8


def test_a_pool_that_shares_names_who_holds_the_rest() -> None:
    text, _ = decided_with(PEERS, pool(llm=llm_spec(weight=2, usage=WHOLE_KEY)))

    assert "pools; this one claims " in text
    assert "               team/b (weight 1) claims 4,000,000 and is granted " in text
    assert re.search(
        r"for 8 replicas beside 2 other pools \(team/b is granted [\d,]+ TPM, team/c is granted "
        r"[\d,]+ TPM\), or more of their part by an llm.weight above 2\.\n",
        text,
    )


def test_a_share_that_others_still_hold_takes_time() -> None:
    shared = LLM.model_copy(
        update={
            "budget": BudgetStatus(
                tokens_per_minute=1_700_000,
                claim_tokens_per_minute=1_000_000,
                grant_tokens_per_minute=1_000_000,
                others=(
                    ClaimantStatus(
                        pool="team/b",
                        weight=1,
                        claim_tokens_per_minute=500_000,
                        grant_tokens_per_minute=500_000,
                    ),
                ),
            )
        }
    )
    text = explained(LimitedBy.TOKENS, llm=shared, steps=steps(2, 1, "tokens ceiling"))

    assert (
        "What would lift it: time: the share is there, and other pools have yet to give back what "
        "they hold of it."
    ) in text


# --- floors, and what the provider refuses ---


@pytest.mark.parametrize(
    ("limited_by", "demand", "told"),
    [
        pytest.param(LimitedBy.TOKENS, 8, "needs 4.8 M TPM for 8 replicas", id="more-is-wanted"),
        pytest.param(LimitedBy.NONE, 4, "needs 2.4 M TPM for 4 replicas", id="just-the-floor"),
        pytest.param(LimitedBy.MIN_REPLICAS, 3, "needs 2.4 M TPM for 4 replicas", id="less"),
    ],
)
def test_a_floor_above_the_ceiling_may_be_lowered_as_well(
    limited_by: LimitedBy, demand: int, told: str
) -> None:
    above = READY.model_copy(
        update={"type": ConditionType.SCALING_LIMITED, "reason": Reason.FLOOR_ABOVE_CEILING}
    )
    text = explained(
        limited_by,
        pool(min_replicas=4, llm=llm_spec()),
        ceilings={"tokens": 3, "requests": 20},
        conditions=(READY, above),
        llm=LLM,
        steps=steps(demand, 4, "floor"),
    )

    assert (
        f"What would lift it: {told}; or spec.minReplicas of 3, so that 4 replicas buy no more "
        "429s."
    ) in text


def test_a_floor_above_the_request_ceiling_names_requests() -> None:
    above = READY.model_copy(
        update={"type": ConditionType.SCALING_LIMITED, "reason": Reason.FLOOR_ABOVE_CEILING}
    )
    text = explained(
        LimitedBy.NONE,
        pool(min_replicas=4, llm=llm_spec()),
        ceilings={"tokens": 9, "requests": 2},
        conditions=(READY, above),
        llm=LLM.model_copy(
            update={"requests_per_minute_limit": 5_000, "requests_per_minute_used": 4_743}
        ),
        steps=steps(4, 4, "floor"),
    )

    assert "needs about 7,500 RPM for 4 replicas; or spec.minReplicas of 2" in text


def test_a_floor_that_keeps_more_than_is_asked_for() -> None:
    text = explained(LimitedBy.MIN_REPLICAS, pool(min_replicas=4), steps=steps(2, 4, "bounds"))

    assert "What would lift it: spec.minReplicas of 2." in text


@pytest.mark.parametrize(
    ("quota", "told"),
    [
        (Quota.OPEN, "credit on the provider's account."),
        (Quota.HALF_OPEN, "time: the provider answers again, and one more answer closes"),
        (Quota.CLOSED, "time: after the provider's refusals the pool may have twice as many"),
    ],
)
def test_a_breaker_says_what_would_close_it(quota: Quota, told: str) -> None:
    text = explained(
        LimitedBy.QUOTA,
        llm=LLM.model_copy(update={"quota": quota}),
        steps=steps(8, 1, "billing breaker"),
    )

    assert f"What would lift it: {told}" in text


def test_a_refusal_that_ends_is_waited_for() -> None:
    ends = {"quota": Quota.OPEN, "quota_ends_at": "2026-01-28T08:00:00Z"}
    text = explained(
        LimitedBy.QUOTA, llm=LLM.model_copy(update=ends), steps=steps(8, 1, "billing breaker")
    )

    assert "quota Open until 2026-01-28T08:00:00Z\n" in text
    assert "What would lift it: time, until 2026-01-28T08:00:00Z; or a higher quota." in text


DAY = {"day_ends_at": "2026-01-29T00:00:00Z", "requests_per_minute_used": 400}


@pytest.mark.parametrize(
    ("limit", "figures", "told"),
    [
        (LimitedBy.TOKENS, {"binding_limit": Unit.TOKENS_A_DAY}, True),
        (LimitedBy.TOKENS, {"binding_limit": Unit.TOKENS}, False),
        (LimitedBy.REQUESTS, {"requests_per_day_limit": 900}, True),
        (
            LimitedBy.REQUESTS,
            {"requests_per_day_limit": 900, "requests_per_minute_limit": 90_000},
            True,
        ),
        (
            LimitedBy.REQUESTS,
            {"requests_per_day_limit": 900, "requests_per_minute_limit": 90},
            False,
        ),
    ],
)
def test_a_limit_of_a_day_takes_time(
    limit: LimitedBy, figures: dict[str, Any], *, told: bool
) -> None:
    text = explained(
        limit,
        llm=LLM.model_copy(update={**DAY, **figures}),
        ceilings={limit.lower(): 3},
        steps=steps(8, 3, f"{limit.lower()} ceiling"),
    )

    lift = "What would lift it: time, until 2026-01-29T00:00:00Z, or a higher limit of a day."
    assert (lift in text) is told


def test_refused_calls_have_a_line_and_retries_are_a_figure() -> None:
    text = explained(
        LimitedBy.NONE,
        llm=LLM.model_copy(
            update={
                "calls_per_task": 2.4,
                "refusals": (
                    RefusalStatus(code="insufficient_quota", per_minute=2),
                    RefusalStatus(code="rate_limit_exceeded", per_minute=1_200),
                ),
                "probe_tokens_per_minute": 26,
                "requests_per_minute_limit": 10_000,
                "requests_per_minute_used": 512,
            }
        ),
    )

    assert (
        "  refused      2 a minute with insufficient_quota, "
        "1,200 a minute with rate_limit_exceeded\n"
    ) in text
    assert {
        "requests 512 RPM", "requestLimit 10,000 RPM", "callsPerTask 2.4", "probe 26 TPM",
    } <= set(figures_in(text))  # fmt: skip


def test_calls_that_are_not_counted_have_none() -> None:
    text = explained(LimitedBy.NONE, llm=LLM)

    assert "  refused" not in text
    assert "callsPerTask" not in text


def test_each_figure_says_who_told_it_and_when() -> None:
    figures = (
        FigureStatus(name="used", source="prometheus", at="2026-01-28T05:06:48Z"),
        FigureStatus(name="limit", source="probe", at="2026-01-28T05:02:00Z"),
        FigureStatus(name="tokensPerReplica", source="Learned", at="2026-01-28T02:07:00Z"),
        FigureStatus(name="backoff", source="429s", at="2026-01-28T05:07:01Z"),
        FigureStatus(name="quota", source="probe", at="yesterday"),
        FigureStatus(name="tomorrow", source="probe", at="2026-01-28T05:07:00Z"),
    )
    text = explained(
        LimitedBy.NONE, llm=LLM.model_copy(update={"figures": figures, "backoff_percent": 70})
    )

    assert (
        "The figures, at 2026-01-28T05:07:00Z:\n"
        "  limit             2,000,000 TPM  probe       read 5 min before\n"
        "  used              1,500,000 TPM  prometheus  read 12 s before\n"
        "  others                    0 TPM\n"
        "  headroom            500,000 TPM\n"
        "  tokensPerReplica    500,000 TPM  Learned     read 3 h before\n"
        "  backoff                     70%  429s        read 0 s before\n"
        "  quota                    Closed  probe\n"
    ) in text


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


def test_a_pool_that_holds_says_why_and_promises_nothing() -> None:
    reason = "the broker refuses connections"
    hold = StepStatus(step="hold", before=3, after=3, reason=reason)

    text = explained(LimitedBy.HOLD, steps=(hold,))

    assert "limited by Hold" in text
    assert "What decided: the hold, which leaves it at 3." in text
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


@pytest.mark.parametrize(
    ("observed", "line"),
    [
        (
            ObservedStatus(),
            "  observed     0 changes of replicas left undone within the last hour",
        ),
        (
            ObservedStatus(
                changes=1,
                last=(
                    ScalingStatus(
                        time="2026-01-28T05:06:00Z",
                        from_replicas=3,
                        to_replicas=7,
                        limited_by=LimitedBy.NONE,
                        reason="queue scan.vision has 70 messages",
                    ),
                ),
            ),
            (
                "  observed     1 change of replicas left undone within the last hour; "
                "at 2026-01-28T05:06:00Z from 3 to 7: queue scan.vision has 70 messages"
            ),
        ),
    ],
)
def test_a_pool_that_observes_tells_what_it_left_undone(
    observed: ObservedStatus, line: str
) -> None:
    assert line in explained(LimitedBy.NONE, observed=observed).splitlines()
