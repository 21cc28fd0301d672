"""Which missing readings hold a pool, and the one that must not."""

from dataclasses import replace
from typing import Any

import pytest

from builders import (
    API_KEY,
    NOW,
    WHOLE_KEY,
    depth,
    llm,
    memory,
    observe,
    pool,
    queue,
    rates,
    seen,
    settled,
    think,
    unseen,
)
from scanpool.decide import Memory, assess
from scanpool.decide.behavior import Recommendation
from scanpool.decide.bucket import Bucket, OthersUse
from scanpool.decide.cost import Learned
from scanpool.decide.history import History
from scanpool.decide.looks import Look
from scanpool.models.conditions import LimitedBy, Reason
from scanpool.models.llm import Admin
from scanpool.models.observation import ConfiguredLimits, KeyUsage, Observation, ProviderState
from scanpool.models.reading import Unavailable
from scanpool.models.spec import PoolSpec, RabbitMQ

SPEC = pool(min_replicas=0, llm=llm(usage=WHOLE_KEY))


def remembering(replicas: int) -> Memory:
    return memory(History((Recommendation(NOW - 10, replicas),)))


def gaps(spec: PoolSpec, observation: Observation) -> tuple[Unavailable, ...]:
    return assess(spec, observation, Memory(), NOW).gaps


def test_a_pool_at_zero_starts_one_replica_although_its_key_shows_no_use_yet() -> None:
    unused = unseen(Reason.USAGE_NOT_FOUND)
    found = think(SPEC, observe(0, 300, usage=unused), remembering(0))
    assert found.signals.gaps == ()
    assert found.decision.desired == 1
    assert found.decision.limited_by is LimitedBy.TOKENS


@pytest.mark.parametrize(
    ("replicas", "reason"),
    [
        (1, Reason.USAGE_NOT_FOUND),
        (0, Reason.PROMETHEUS_UNREACHABLE),
        (0, Reason.USAGE_IMPLAUSIBLE),
    ],
)
def test_every_other_gap_in_the_use_holds(replicas: int, reason: Reason) -> None:
    observation = observe(replicas, 300, usage=unseen(reason))
    found = think(SPEC, observation, remembering(replicas))
    assert [gap.reason for gap in found.signals.gaps] == [reason]
    assert found.decision.desired == replicas


def test_nothing_to_do_keeps_a_pool_at_zero() -> None:
    unused = unseen(Reason.USAGE_NOT_FOUND)
    assert think(SPEC, observe(0, 0, usage=unused), remembering(0)).decision.desired == 0
    assert gaps(SPEC, observe(0, 0, usage=unused)) == ()


IDLE, WORKING = seen((rates(0.0),)), seen((rates(0.1),))
FULL = ProviderState(tokens_per_minute=2_000_000, tokens_remaining=2_000_000)


@pytest.mark.parametrize(
    ("worked_off", "reasons"),
    [
        pytest.param(IDLE, [], id="nothing"),
        pytest.param(WORKING, [Reason.USAGE_NOT_FOUND], id="something"),
        pytest.param(seen(()), [Reason.USAGE_NOT_FOUND], id="no-rates-yet"),
        pytest.param(None, [Reason.USAGE_NOT_FOUND], id="nobody-tells"),
    ],
)
def test_workers_that_have_had_nothing_to_do_are_not_missed_in_the_use(worked_off, reasons) -> None:
    """What workers export themselves begins with their first answered call."""
    unused = unseen(Reason.USAGE_NOT_FOUND)
    found = gaps(SPEC, observe(2, 0, usage=unused, rates=worked_off))
    assert [gap.reason for gap in found] == reasons


def test_idle_workers_go_and_do_not_come_for_a_use_that_nobody_tells() -> None:
    unused = unseen(Reason.USAGE_NOT_FOUND)
    idle = observe(2, 0, usage=unused, rates=IDLE)
    assert think(SPEC, idle, settled(2)).decision.desired < 2
    asked = replace(idle, queues=seen((depth(unacked=300),)))
    found = think(SPEC, asked, settled(2)).decision
    assert (found.desired, found.limited_by) == (2, LimitedBy.TOKENS)


def test_a_level_lets_idle_workers_come_before_their_use_is_measured() -> None:
    spec = pool(llm=llm(usage=WHOLE_KEY, api_key_secret_ref=API_KEY, tokens_per_minute=None))
    unused, kept = unseen(Reason.USAGE_NOT_FOUND), remembering(1)
    for at in range(0, 120, 10):
        idle = observe(1, 0, usage=unused, rates=IDLE, provider=seen(FULL, NOW + at))
        kept = think(spec, idle, kept, NOW + at).memory
    burst = observe(1, 300, usage=unused, rates=IDLE, provider=seen(FULL, NOW + 120))
    assert think(spec, burst, kept, NOW + 120).decision.desired > 1


# --- The limit ---

ADMIN = Admin(api_key_secret_ref=API_KEY, project_id="proj_abc")
LIMITED = ProviderState(tokens_per_minute=2_000_000)
DOWN = unseen(Reason.PROVIDER_UNREACHABLE)
DENIED = unseen(Reason.PROVIDER_AUTHENTICATION_FAILED)


@pytest.mark.parametrize(
    ("declared", "provider", "configured", "reasons"),
    [
        pytest.param(None, seen(LIMITED), None, [], id="the-probe-tells"),
        pytest.param(None, seen(LIMITED), DENIED, [], id="the-admin-api-is-not-missed"),
        pytest.param(
            None, seen(ProviderState()), seen(ConfiguredLimits(1)), [], id="the-admin-api-tells"
        ),
        pytest.param(
            None,
            seen(ProviderState(input_tokens_per_minute=1)),
            None,
            [],
            id="input-is-enough",
        ),
        pytest.param(1, seen(ProviderState()), DENIED, [], id="the-spec-tells"),
        pytest.param(None, seen(ProviderState()), None, [Reason.LIMIT_UNKNOWN], id="nobody-tells"),
        pytest.param(
            None,
            seen(ProviderState(requests_per_minute=1)),
            None,
            [Reason.LIMIT_UNKNOWN],
            id="requests-only",
        ),
        pytest.param(
            None, seen(ProviderState()), DENIED, [DENIED.reason], id="the-admin-api-fails"
        ),
        pytest.param(None, DOWN, None, [DOWN.reason], id="the-probe-fails"),
        pytest.param(None, DOWN, DENIED, [DOWN.reason, DENIED.reason], id="both-fail"),
        pytest.param(
            None,
            DOWN,
            seen(ConfiguredLimits(1)),
            [DOWN.reason],
            id="the-probe-is-missed-though",
        ),
        pytest.param(
            None,
            seen(ProviderState(billing_code="insufficient_quota")),
            None,
            [],
            id="refused-to-be-paid",
        ),
        pytest.param(
            None,
            None,
            seen(ConfiguredLimits(requests_per_minute=1)),
            [Reason.LIMIT_UNKNOWN],
            id="the-admin-api-alone-tells-requests-only",
        ),
    ],
)
def test_a_limit_that_nobody_tells_is_a_gap(
    declared: int | None, provider: Any, configured: Any, reasons: list[Reason]
) -> None:
    spec = pool(llm=llm(tokens_per_minute=declared, api_key_secret_ref=API_KEY, admin=ADMIN))
    observation = observe(1, 10, provider=provider, configured=configured)

    assert [gap.reason for gap in gaps(spec, observation)] == reasons


def test_an_unknown_limit_says_what_to_set() -> None:
    spec = pool(llm=llm(tokens_per_minute=None, api_key_secret_ref=API_KEY))

    (gap,) = gaps(spec, observe(1, 10, provider=seen(ProviderState())))
    assert gap.message == (
        "https://api.openai.com/v1 tells no tokens-per-minute limit for model gpt-5.2: "
        "set llm.tokensPerMinute"
    )


# --- The pool's own part of a use that is measured ---

CANNOT = "what the pool itself uses of the key cannot be told from what others do, as "
SET = "llm.usage.prometheus.ownLabels"
BY_AMQP = pool(
    llm=llm(usage=WHOLE_KEY, tokens_per_replica_minute=None),
    rabbitmq=RabbitMQ(url_secret_ref=API_KEY, queues=(queue(),)),
)
BY_API = pool(llm=llm(usage=WHOLE_KEY))
PRICELESS = pool(queue(tokens=0), llm=llm(usage=WHOLE_KEY))
OFF = (
    f"{CANNOT}RabbitMQ shows no rates for queue scan.vision: switch its statistics on "
    f"(management.disable_stats, management_agent.disable_metrics_collector) or set {SET}"
)


@pytest.mark.parametrize(
    ("spec", "readings", "message"),
    [
        pytest.param(
            BY_AMQP,
            {},
            f"{CANNOT}AMQP tells no rates: set rabbitmq.managementUrlSecretRef or {SET}",
            id="amqp",
        ),
        pytest.param(BY_API, {"rates": seen(())}, OFF, id="statistics-are-off"),
        pytest.param(
            PRICELESS,
            {"rates": seen((rates(2.0),))},
            f"{CANNOT}no queue says what a message costs: set tokensPerMessage or {SET}",
            id="no-price",
        ),
    ],
)
@pytest.mark.parametrize("neighbors", [0.0, 1_900_000.0])
def test_beside_an_own_part_that_is_unknown_a_pool_does_not_grow_and_says_what_is_missing(
    spec: PoolSpec, readings: dict[str, Any], message: str, neighbors: float
) -> None:
    """Whoever uses the key, be it the pool alone: nobody can tell."""
    busy = observe(1, 300, usage=seen(KeyUsage(neighbors, 10)), **readings)

    found = think(spec, busy, remembering(1))
    assert found.decision.desired == 1
    assert found.decision.ceilings[LimitedBy.TOKENS].replicas is None
    assert found.signals.gaps == ()
    assert found.signals.llm is not None
    assert found.signals.llm.own_unknown == Unavailable(Reason.OWN_USE_UNKNOWN, message)


@pytest.mark.parametrize(
    "readings",
    [
        pytest.param(
            {"usage": seen(KeyUsage(1e6, own_tokens_per_minute=1e6))}, id="by-the-workers-series"
        ),
        pytest.param(
            {
                "usage": seen(KeyUsage(1e6)),
                "provider": seen(ProviderState(2_000_000, tokens_remaining=1_800_000)),
            },
            id="by-the-level",
        ),
    ],
)
def test_what_tells_it_lets_the_pool_grow(readings: dict[str, Any]) -> None:
    known = memory(
        History((Recommendation(NOW - 10, 1),)),
        bucket=Bucket(
            (Look(NOW - 20, 1_800_000, 2_000_000),), OthersUse(NOW - 20, 0.0), told_at=NOW - 20
        ),
        cost=Learned(500_000.0, NOW - 20, 600.0),
    )
    spec = pool(
        llm=llm(usage=WHOLE_KEY, api_key_secret_ref=API_KEY),
        rabbitmq=RabbitMQ(url_secret_ref=API_KEY, queues=(queue(),)),
    )
    found = think(spec, observe(1, 300, **readings), known)
    assert found.decision.desired > 1
    assert found.signals.llm is not None
    assert found.signals.llm.own_unknown is None


def test_it_keeps_a_pool_from_neither_its_first_replica_nor_from_shrinking() -> None:
    quiet = {"usage": seen(KeyUsage(0.0, 0)), "rates": seen(())}

    assert think(BY_API, observe(0, 300, **quiet), remembering(0)).decision.desired == 3
    assert think(BY_API, observe(3, 0, **quiet), remembering(1)).decision.desired == 1
