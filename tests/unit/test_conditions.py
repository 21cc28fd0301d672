import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders import (
    ANSWER,
    API_KEY,
    NOW,
    depth,
    llm,
    observe,
    pool,
    queue,
    rates,
    seen,
    settled,
    unseen,
)
from scanpool import conditions
from scanpool.conditions import MAX_MESSAGE_CHARACTERS, ConditionState, of_decision, settle, turned
from scanpool.decide import decide
from scanpool.models.conditions import Condition, ConditionType, Reason
from scanpool.models.decision import Ceiling, Decision, LimitedBy
from scanpool.models.llm import Probe
from scanpool.models.memory import Memory, Quota
from scanpool.models.observation import ProviderState
from scanpool.models.reading import Unavailable
from scanpool.models.spec import Mode, PoolSpec

ROOT = Path(__file__).parents[2]
EARLIER, NOW_WRITTEN = "2027-01-15T07:00:00Z", "2027-01-15T08:00:00Z"
GAP = unseen(Reason.BROKER_UNREACHABLE)
SPEC = pool()


def decision(**changes: Any) -> Decision:
    made, _ = decide(SPEC, observe(2, 20), settled(2), NOW)
    return replace(made, **changes)


def state(kind: ConditionType, **parts: Any) -> tuple[str, Reason]:
    usual: dict[str, Any] = {"spec": SPEC, "decision": decision(), "refusal": None}
    found = of_decision(**{**usual, **parts})[kind]
    return found.status, found.reason


def condition(kind: ConditionType = ConditionType.READY, **changes: Any) -> Condition:
    usual: dict[str, Any] = {
        "type": kind,
        "status": "True",
        "observed_generation": 1,
        "last_transition_time": EARLIER,
        "reason": Reason.RECONCILED,
        "message": "fine",
    }
    return Condition(**{**usual, **changes})


def test_a_healthy_pool_says_so_in_every_condition() -> None:
    found = of_decision(SPEC, decision(), None)

    assert {kind: (one.status, one.reason) for kind, one in found.items()} == {
        ConditionType.READY: ("True", Reason.RECONCILED),
        ConditionType.METRICS_AVAILABLE: ("True", Reason.READINGS_AVAILABLE),
        ConditionType.SCALING_ACTIVE: ("True", Reason.SCALING_ENABLED),
        ConditionType.SCALING_LIMITED: ("False", Reason.DESIRED_WITHIN_RANGE),
        ConditionType.QUOTA_EXHAUSTED: ("Unknown", Reason.NOT_MEASURED),
        ConditionType.CONTESTED: ("False", Reason.NOT_CONTESTED),
    }


@pytest.mark.parametrize("reason", Reason)
def test_whatever_is_missing_is_the_reason_of_the_conditions_it_touches(reason: Reason) -> None:
    held = decision(gaps=(unseen(reason), GAP))

    for kind in (
        ConditionType.READY,
        ConditionType.METRICS_AVAILABLE,
        ConditionType.SCALING_ACTIVE,
    ):
        found = of_decision(SPEC, held, None)[kind]
        assert (found.status, found.reason) == ("False", reason)
        assert unseen(reason).message in found.message


def test_one_problem_of_several_readings_is_told_once() -> None:
    found = of_decision(SPEC, decision(gaps=(GAP, GAP)), None)[ConditionType.READY]

    assert found.message == GAP.message


def test_a_refused_scaling_comes_before_what_is_missing() -> None:
    refusal = Unavailable(Reason.SCALE_CONFLICT, "changed meanwhile")
    parts = {"decision": decision(gaps=(GAP,)), "refusal": refusal}

    assert state(ConditionType.READY, **parts) == ("False", Reason.SCALE_CONFLICT)
    assert state(ConditionType.SCALING_ACTIVE, **parts) == ("False", Reason.SCALE_CONFLICT)
    assert state(ConditionType.METRICS_AVAILABLE, **parts) == ("False", Reason.BROKER_UNREACHABLE)


def test_observing_is_a_choice_and_no_fault() -> None:
    spec = pool(mode=Mode.OBSERVE)

    assert state(ConditionType.READY, spec=spec) == ("True", Reason.RECONCILED)
    assert state(ConditionType.SCALING_ACTIVE, spec=spec) == ("False", Reason.OBSERVE_MODE)


LIMITS = {
    LimitedBy.NONE: ("False", Reason.DESIRED_WITHIN_RANGE),
    LimitedBy.HOLD: ("False", Reason.DESIRED_WITHIN_RANGE),
    LimitedBy.STABILIZATION: ("False", Reason.DESIRED_WITHIN_RANGE),
    LimitedBy.FALLBACK: ("False", Reason.DESIRED_WITHIN_RANGE),
    LimitedBy.SCALING_POLICY: ("True", Reason.SCALING_POLICY),
    LimitedBy.MIN_REPLICAS: ("True", Reason.TOO_FEW_REPLICAS),
    LimitedBy.MAX_REPLICAS: ("True", Reason.TOO_MANY_REPLICAS),
    LimitedBy.TOKENS: ("True", Reason.TOKEN_CEILING),
    LimitedBy.REQUESTS: ("True", Reason.REQUEST_CEILING),
    LimitedBy.MEMORY: ("True", Reason.MEMORY_CEILING),
    LimitedBy.QUOTA: ("True", Reason.QUOTA_EXHAUSTED),
}


@pytest.mark.parametrize("limited_by", LimitedBy)
def test_every_limit_has_its_reason(limited_by: LimitedBy) -> None:
    quota = Quota.OPEN if limited_by is LimitedBy.QUOTA else Quota.CLOSED
    limited = decision(limited_by=limited_by, quota=quota)

    assert state(ConditionType.SCALING_LIMITED, decision=limited) == LIMITS[limited_by]


def capped(fits: int | None, keeps: int | None) -> Ceiling:
    return Ceiling(fits, keeps, "85% of 2,000,000 TPM less 1,200,000 used by others")


FLOORED = {
    "current": 2,
    "desired": 2,
    "demand": 8,
    "limited_by": LimitedBy.TOKENS,
    "token_ceiling": capped(1, 1),
    "request_ceiling": capped(9, 9),
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, Reason.FLOOR_ABOVE_CEILING, id="held-up-by-the-floor"),
        pytest.param({"current": 5}, Reason.FLOOR_ABOVE_CEILING, id="on-its-way-down-to-it"),
        pytest.param(
            {"demand": 2, "limited_by": LimitedBy.NONE},
            Reason.FLOOR_ABOVE_CEILING,
            id="no-more-is-asked-for",
        ),
        pytest.param(
            {
                "token_ceiling": capped(9, 9),
                "request_ceiling": capped(0, 1),
                "limited_by": LimitedBy.REQUESTS,
            },
            Reason.FLOOR_ABOVE_CEILING,
            id="by-requests",
        ),
        pytest.param({"token_ceiling": capped(2, 2)}, Reason.TOKEN_CEILING, id="just-at-it"),
        pytest.param({"token_ceiling": capped(1, 2)}, Reason.TOKEN_CEILING, id="left-alone-there"),
        pytest.param({"token_ceiling": capped(None, None)}, Reason.TOKEN_CEILING, id="unknown"),
        pytest.param({"token_ceiling": None}, Reason.TOKEN_CEILING, id="none"),
        pytest.param({"current": 1}, Reason.TOKEN_CEILING, id="not-there-yet"),
        pytest.param(
            {"demand": 1, "limited_by": LimitedBy.MIN_REPLICAS},
            Reason.TOO_FEW_REPLICAS,
            id="the-queues-ask-for-no-more-than-is-fed",
        ),
        pytest.param(
            {"demand": None, "limited_by": LimitedBy.HOLD},
            Reason.DESIRED_WITHIN_RANGE,
            id="a-hold",
        ),
        pytest.param(
            {"limited_by": LimitedBy.HOLD}, Reason.DESIRED_WITHIN_RANGE, id="a-hold-at-the-floor"
        ),
        pytest.param(
            {"limited_by": LimitedBy.QUOTA, "quota": Quota.OPEN},
            Reason.QUOTA_EXHAUSTED,
            id="the-breaker",
        ),
        pytest.param({"desired": 3, "current": 3}, Reason.TOKEN_CEILING, id="above-the-floor"),
    ],
)
def test_a_floor_above_what_the_provider_feeds_is_told(
    changes: dict[str, Any], expected: Reason
) -> None:
    made = decision(**{**FLOORED, **changes})

    found = of_decision(pool(min_replicas=2), made, None)[ConditionType.SCALING_LIMITED]

    assert found.reason is expected
    assert found.status == ("False" if expected is Reason.DESIRED_WITHIN_RANGE else "True")


def test_a_floor_above_the_ceiling_says_what_it_buys_and_how_to_stop() -> None:
    spec = pool(min_replicas=4, llm=llm(tokens_per_minute=1_000_000))
    made, _ = decide(spec, observe(4, 80), settled(4), NOW)

    found = of_decision(spec, made, None)[ConditionType.SCALING_LIMITED]

    assert found.reason is Reason.FLOOR_ABOVE_CEILING
    assert found.message == (
        "minReplicas keeps 4 replicas where the token limit feeds 1: the calls of the other 3, "
        "1,500,000 TPM, buy 429s; lower minReplicas or raise the limit "
        "(85% of 1,000,000 TPM less 0 used by others, at 500,000 TPM per replica)"
    )


def test_a_floor_above_the_request_ceiling_says_so() -> None:
    spec = pool(min_replicas=4, llm=llm(requests_per_minute=200))
    made, _ = decide(spec, observe(4, 80), settled(4), NOW)

    found = of_decision(spec, made, None)[ConditionType.SCALING_LIMITED]

    assert found.message.startswith(
        "minReplicas keeps 4 replicas where the request limit feeds 1: the calls of the other 3 "
        "buy 429s; lower minReplicas or raise the limit (85% of 200 RPM"
    )


def paying(billing_code: str | None, memory: Memory) -> tuple[PoolSpec, Decision]:
    spec = pool(llm=llm(api_key_secret_ref=API_KEY))
    answered = seen(ProviderState(tokens_per_minute=1, billing_code=billing_code))
    return spec, decide(spec, observe(2, 20, provider=answered), memory, NOW)[0]


@pytest.mark.parametrize(
    ("billing_code", "quota", "expected"),
    [
        (None, Quota.CLOSED, ("False", Reason.QUOTA_AVAILABLE)),
        ("insufficient_quota", Quota.CLOSED, ("True", Reason.QUOTA_EXHAUSTED)),
        (None, Quota.OPEN, ("False", Reason.QUOTA_RECOVERING)),
        (None, Quota.HALF_OPEN, ("False", Reason.QUOTA_RECOVERING)),
    ],
)
def test_the_breaker_is_told(
    billing_code: str | None, quota: Quota, expected: tuple[str, Reason]
) -> None:
    spec, made = paying(billing_code, Memory(quota=quota, quota_since=NOW - 60))

    found = of_decision(spec, made, None)[ConditionType.QUOTA_EXHAUSTED]

    assert (found.status, found.reason) == expected
    if billing_code is not None:
        assert billing_code in found.message
        assert "top up" in found.message
        assert "onQuotaExhausted: ScaleToMin" in found.message


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, Reason.QUOTA_RECOVERING),
        (119, Reason.QUOTA_RECOVERING),  # a cap of 8
        (120, Reason.QUOTA_AVAILABLE),  # a cap of 16
    ],
)
@pytest.mark.parametrize("replicas", [0, 2])
def test_a_slow_start_is_told_until_it_can_keep_the_pool_from_nothing(
    seconds: float, replicas: int, expected: Reason
) -> None:
    """Whether or not it does just now: the reason is not to come and go with the load."""
    spec = pool(max_replicas=10, llm=llm(api_key_secret_ref=API_KEY))
    closed = Memory(quota_closed_at=NOW - seconds, quota_refusals=1)
    answered = seen(ProviderState(tokens_per_minute=1))
    made, _ = decide(spec, observe(replicas, 20, provider=answered), closed, NOW)

    found = of_decision(spec, made, None)[ConditionType.QUOTA_EXHAUSTED]

    assert (found.status, found.reason) == ("False", expected)


@pytest.mark.parametrize(
    ("interval", "refusals", "time"),
    [(60, 1, "1 min"), (60, 3, "4 min"), (60, 9, "15 min"), (2, 2, "4 s"), (7, 5, "2 min")],
)
def test_an_open_breaker_tells_how_soon_it_tries_again(
    interval: int, refusals: int, time: str
) -> None:
    """By the step of the back-off: a count-down would be written with every tick."""
    spec = pool(
        llm=llm(api_key_secret_ref=API_KEY, probe=Probe(interval_seconds=interval)),
    )
    opened = Memory(
        quota=Quota.OPEN, quota_code="no_matter", quota_since=NOW - 60, quota_refusals=refusals
    )
    messages = set()
    for seconds in (0, 10, 20):
        made, opened = decide(spec, observe(2, 20, provider=unseen()), opened, NOW + seconds)
        messages.add(of_decision(spec, made, None)[ConditionType.QUOTA_EXHAUSTED].message)

    (message,) = messages
    assert f"next try within {time}, and at once if the pool's spec or Secret changes" in message


def test_a_provider_that_has_not_answered_is_not_said_to_have_quota() -> None:
    spec = pool(llm=llm(api_key_secret_ref=API_KEY))
    made, _ = decide(
        spec, observe(2, 20, provider=unseen(Reason.PROVIDER_UNREACHABLE)), Memory(), NOW
    )

    found = of_decision(spec, made, None)[ConditionType.QUOTA_EXHAUSTED]

    assert (found.status, found.reason) == ("Unknown", Reason.NOT_MEASURED)


def test_an_open_breaker_tells_how_long_messages_may_wait() -> None:
    spec = pool(queue(), queue(name=ANSWER, tokens=1_500), llm=llm(api_key_secret_ref=API_KEY))
    refused = seen(ProviderState(billing_code="insufficient_quota"))
    flows = (
        replace(rates(1.0), message_ttl_seconds=3_600.0),
        replace(rates(1.0, name=ANSWER), message_ttl_seconds=300.0),
    )
    depths = seen((depth(20), depth(20, name=ANSWER)))
    made, _ = decide(
        spec, observe(2, queues=depths, provider=refused, rates=seen(flows)), Memory(), NOW
    )

    found = of_decision(spec, made, None)[ConditionType.QUOTA_EXHAUSTED]

    assert f"messages of queue {ANSWER} expire after 300 s" in found.message


@pytest.mark.parametrize("quota", [Quota.HALF_OPEN, Quota.CLOSED])
def test_a_breaker_that_is_no_longer_open_limits_as_a_recovery(quota: Quota) -> None:
    recovering = decision(limited_by=LimitedBy.QUOTA, quota=quota)

    assert state(ConditionType.SCALING_LIMITED, decision=recovering) == (
        "True",
        Reason.QUOTA_RECOVERING,
    )


@pytest.mark.parametrize(
    ("reverts", "expected"),
    [
        (0, ("False", Reason.NOT_CONTESTED)),
        (1, ("False", Reason.NOT_CONTESTED)),
        (2, ("True", Reason.REPLICAS_CHANGED_ELSEWHERE)),
    ],
)
def test_one_change_by_another_hand_is_no_contest(
    reverts: int, expected: tuple[str, Reason]
) -> None:
    assert state(ConditionType.CONTESTED, decision=decision(reverts=reverts)) == expected


# --- history ---


@pytest.mark.parametrize(
    ("status", "reason", "since"),
    [
        ("True", Reason.RECONCILED, EARLIER),
        ("True", Reason.OBSERVE_MODE, EARLIER),
        ("False", Reason.RECONCILED, NOW_WRITTEN),
        ("Unknown", Reason.NOT_MEASURED, NOW_WRITTEN),
    ],
)
def test_the_transition_time_moves_with_the_status_and_nothing_else(
    status: Any, reason: Reason, since: str
) -> None:
    states = {ConditionType.READY: ConditionState(status, reason, "other words")}

    (found,) = settle([condition()], states, 7, NOW_WRITTEN)

    assert found.last_transition_time == since
    assert (found.status, found.reason, found.message) == (status, reason, "other words")
    assert found.observed_generation == 7


def test_a_condition_begins_now() -> None:
    states = {ConditionType.READY: ConditionState("True", Reason.RECONCILED, "fine")}

    (found,) = settle([], states, 1, NOW_WRITTEN)

    assert found.last_transition_time == NOW_WRITTEN


def test_a_condition_without_a_new_state_stays_as_it_was() -> None:
    old = condition(ConditionType.CONTESTED, reason=Reason.NOT_CONTESTED, status="False")
    states = conditions.of_failure(Unavailable(Reason.INVALID_SPEC, "spec: wrong"))

    found = settle([condition(), old], states, 2, NOW_WRITTEN)

    assert [one.type for one in found] == [
        ConditionType.READY,
        ConditionType.SCALING_ACTIVE,
        ConditionType.CONTESTED,
    ]
    assert found[-1] is old


def test_a_message_is_bounded() -> None:
    states = {ConditionType.READY: ConditionState("True", Reason.RECONCILED, "m" * 5000)}

    (found,) = settle([], states, 1, NOW_WRITTEN)

    assert len(found.message) == MAX_MESSAGE_CHARACTERS


# --- what is worth an Event ---

BAD = {"status": "False", "reason": Reason.BROKER_UNREACHABLE}


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        pytest.param([], [condition()], [], id="ready-from-the-start"),
        pytest.param([], [condition(**BAD)], ["Ready"], id="not-ready-from-the-start"),
        pytest.param([condition()], [condition(**BAD)], ["Ready"], id="turned"),
        pytest.param([condition(**BAD)], [condition()], ["Ready"], id="turned-back"),
        pytest.param([condition(**BAD)], [condition(**BAD, message="m")], [], id="other-words"),
        pytest.param(
            [condition(**BAD)],
            [condition(status="False", reason=Reason.QUEUE_NOT_FOUND)],
            ["Ready"],
            id="another-reason",
        ),
        pytest.param(
            [],
            [condition(ConditionType.METRICS_AVAILABLE, **BAD)],
            [],
            id="ready-says-the-same",
        ),
        pytest.param(
            [condition(ConditionType.SCALING_LIMITED, status="False")],
            [condition(ConditionType.SCALING_LIMITED, reason=Reason.TOKEN_CEILING)],
            [],
            id="limits-come-and-go",
        ),
        pytest.param(
            [],
            [condition(ConditionType.QUOTA_EXHAUSTED, status="Unknown")],
            [],
            id="unknown",
        ),
        pytest.param(
            [condition(ConditionType.QUOTA_EXHAUSTED, status="False")],
            [condition(ConditionType.QUOTA_EXHAUSTED, reason=Reason.QUOTA_EXHAUSTED)],
            ["QuotaExhausted"],
            id="the-breaker-opens",
        ),
    ],
)
def test_a_condition_that_turned_is_told(
    before: list[Condition], after: list[Condition], told: list[str]
) -> None:
    assert [one.type.value for one in turned(before, after)] == told


@pytest.mark.parametrize(
    ("kind", "status", "good"),
    [
        (ConditionType.READY, "True", True),
        (ConditionType.READY, "False", False),
        (ConditionType.QUOTA_EXHAUSTED, "True", False),
        (ConditionType.QUOTA_EXHAUSTED, "False", True),
        (ConditionType.CONTESTED, "True", False),
    ],
)
def test_bad_news_is_a_warning(kind: ConditionType, status: Any, good: bool) -> None:
    assert conditions.is_good(condition(kind, status=status)) is good


# --- the words ---


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_given_somewhere(reason: Reason) -> None:
    sources = (ROOT / "operator" / "scanpool").rglob("*.py")
    given = re.compile(rf"\bReason\.{reason.name}\b")

    assert any(given.search(path.read_text()) for path in sources)
