import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders import (
    ANSWER,
    API_KEY,
    NOW,
    VISION,
    WHOLE_KEY,
    depth,
    llm,
    llm_signals,
    memory,
    observe,
    pool,
    queue,
    seen,
    settled,
    signals,
    think,
    unseen,
)
from scanpool.decide.breaker import Breaker, Cap, Quota, Verdict
from scanpool.decide.decision import Ceiling, Decision
from scanpool.decide.memory import Memory
from scanpool.models.conditions import Condition, ConditionType, LimitedBy, Reason
from scanpool.models.error_codes import Refusals
from scanpool.models.fallback import Fallback
from scanpool.models.llm import OnQuotaExhausted, Probe
from scanpool.models.observation import KeyUsage, Observation, ProviderState, QueuePace
from scanpool.models.pause import Pause
from scanpool.models.reading import Unavailable
from scanpool.models.spec import Mode, PoolSpec
from scanpool.report import conditions
from scanpool.report.conditions import (
    MAX_MESSAGE_CHARACTERS,
    ConditionState,
    of_tick,
    settle,
    turned,
)

ROOT = Path(__file__).parents[3]
EARLIER, NOW_WRITTEN = "2027-01-15T07:00:00Z", "2027-01-15T08:00:00Z"
GAP = unseen(Reason.BROKER_UNREACHABLE)
SPEC = pool()
PAYING = pool(llm=llm(api_key_secret_ref=API_KEY))


def decision(**changes: Any) -> Decision:
    made = think(SPEC, observe(2, 20), settled(2)).decision
    return replace(made, **changes)


def found_of(kind: ConditionType, **parts: Any) -> ConditionState:
    usual: dict[str, Any] = {
        "spec": SPEC,
        "signals": signals(),
        "decision": decision(),
        "refusal": None,
    }
    return of_tick(**{**usual, **parts})[kind]


def state(kind: ConditionType, **parts: Any) -> tuple[str, Reason]:
    found = found_of(kind, **parts)
    return found.status, found.reason


def thought(
    kind: ConditionType, spec: PoolSpec, observation: Observation, known: Memory | None = None
) -> ConditionState:
    """Return a condition after a tick of a pool that has long had its replicas, unless told."""
    before = settled(observation.target.replicas) if known is None else known
    made = think(spec, observation, before)
    return of_tick(spec, made.signals, made.decision, None)[kind]


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
    found = of_tick(SPEC, signals(), decision(), None)

    assert {kind: (one.status, one.reason) for kind, one in found.items()} == {
        ConditionType.READY: ("True", Reason.RECONCILED),
        ConditionType.METRICS_AVAILABLE: ("True", Reason.READINGS_AVAILABLE),
        ConditionType.SCALING_ACTIVE: ("True", Reason.SCALING_ENABLED),
        ConditionType.SCALING_LIMITED: ("False", Reason.DESIRED_WITHIN_RANGE),
        ConditionType.QUOTA_EXHAUSTED: ("Unknown", Reason.NOT_MEASURED),
        ConditionType.CONTESTED: ("False", Reason.NOT_CONTESTED),
        ConditionType.MESSAGES_EXPIRING: ("Unknown", Reason.NOT_MEASURED),
        ConditionType.TASKS_CUT_OFF: ("Unknown", Reason.NOT_MEASURED),
    }


@pytest.mark.parametrize("reason", Reason)
def test_whatever_is_missing_is_the_reason_of_the_conditions_it_touches(reason: Reason) -> None:
    held = signals(gaps=(unseen(reason), GAP))
    first = GAP.reason if reason in conditions.PASSING else reason

    for kind in (
        ConditionType.READY,
        ConditionType.METRICS_AVAILABLE,
        ConditionType.SCALING_ACTIVE,
    ):
        found = found_of(kind, signals=held)
        assert (found.status, found.reason) == ("False", first)
        assert unseen(reason).message in found.message


def test_an_own_part_that_is_unknown_is_told_though_nothing_is_held_for_it() -> None:
    missing = unseen(Reason.OWN_USE_UNKNOWN)
    seen_now = signals(llm=llm_signals(own_unknown=missing))

    found = found_of(ConditionType.METRICS_AVAILABLE, signals=seen_now)
    assert (found.status, found.reason) == ("False", Reason.OWN_USE_UNKNOWN)
    assert found.message == f"no growth: {missing.message}"
    assert state(ConditionType.READY, signals=seen_now) == ("True", Reason.RECONCILED)


def test_one_problem_of_several_readings_is_told_once() -> None:
    found = found_of(ConditionType.READY, signals=signals(gaps=(GAP, GAP)))

    assert found.message == GAP.message


def test_a_refused_scaling_comes_before_what_is_missing() -> None:
    refusal = Unavailable(Reason.SCALE_CONFLICT, "changed meanwhile")
    parts = {"signals": signals(gaps=(GAP,)), "refusal": refusal}

    assert state(ConditionType.READY, **parts) == ("False", Reason.SCALE_CONFLICT)
    assert state(ConditionType.SCALING_ACTIVE, **parts) == ("False", Reason.SCALE_CONFLICT)
    assert state(ConditionType.METRICS_AVAILABLE, **parts) == ("False", Reason.BROKER_UNREACHABLE)


def test_observing_is_a_choice_and_no_fault() -> None:
    spec = pool(mode=Mode.OBSERVE)

    assert state(ConditionType.READY, spec=spec) == ("True", Reason.RECONCILED)
    assert state(ConditionType.SCALING_ACTIVE, spec=spec) == ("False", Reason.OBSERVE_MODE)


@pytest.mark.parametrize(
    ("annotation", "value", "status"),
    [
        ("paused", "true", "False"),
        ("paused-replicas", "3", "False"),
        ("paused", "perhaps", "False"),
        ("paused-scale-in", "true", "True"),
        ("paused-scale-out", "true", "True"),
        ("paused", "false", None),
    ],
)
def test_a_pause_names_its_annotation(annotation: str, value: str, status: str | None) -> None:
    pause = Pause.from_annotations({f"scan.eco2.io/{annotation}": value})

    found = found_of(ConditionType.SCALING_ACTIVE, decision=decision(pause=pause))

    if status is None:
        assert (found.status, found.reason) == ("True", Reason.SCALING_ENABLED)
    else:
        assert (found.status, found.reason) == (status, Reason.PAUSED)
        assert f"scan.eco2.io/{annotation}" in found.message


LIMITS = {
    LimitedBy.NONE: ("False", Reason.DESIRED_WITHIN_RANGE),
    LimitedBy.HOLD: ("False", Reason.DESIRED_WITHIN_RANGE),
    LimitedBy.STABILIZATION: ("False", Reason.DESIRED_WITHIN_RANGE),
    LimitedBy.ACTIVATION: ("False", Reason.DESIRED_WITHIN_RANGE),
    LimitedBy.FALLBACK: ("False", Reason.DESIRED_WITHIN_RANGE),
    LimitedBy.SCALING_POLICY: ("True", Reason.SCALING_POLICY),
    LimitedBy.MIN_REPLICAS: ("True", Reason.TOO_FEW_REPLICAS),
    LimitedBy.MAX_REPLICAS: ("True", Reason.TOO_MANY_REPLICAS),
    LimitedBy.TOKENS: ("True", Reason.TOKEN_CEILING),
    LimitedBy.REQUESTS: ("True", Reason.REQUEST_CEILING),
    LimitedBy.MEMORY: ("True", Reason.MEMORY_CEILING),
    LimitedBy.WORKERS: ("True", Reason.WORKER_CEILING),
    LimitedBy.SPEND: ("True", Reason.SPEND_CEILING),
    LimitedBy.QUOTA: ("True", Reason.QUOTA_EXHAUSTED),
    LimitedBy.PAUSED: ("True", Reason.PAUSED),
    LimitedBy.CONTESTED: ("True", Reason.REPLICAS_CHANGED_ELSEWHERE),
}


def verdict(limited_by: LimitedBy) -> Verdict:
    """Return what a breaker says that is open where it limits."""
    quota = Quota.OPEN if limited_by is LimitedBy.QUOTA else Quota.CLOSED
    return Verdict(quota, None, None)


@pytest.mark.parametrize("limited_by", LimitedBy)
def test_every_limit_has_its_reason(limited_by: LimitedBy) -> None:
    limited = decision(limited_by=limited_by, breaker=verdict(limited_by))

    assert state(ConditionType.SCALING_LIMITED, decision=limited) == LIMITS[limited_by]


WHY = "85% of 2,000,000 TPM less 1,200,000 used by others"
ROOMY = Ceiling(9, 9, WHY)


def fed(fits: int | None, keeps: int | None, requests: Ceiling = ROOMY) -> dict[str, Any]:
    """Return what differs in a decision where the token limit, and the requests', feed so many."""
    return {"ceilings": {LimitedBy.TOKENS: Ceiling(fits, keeps, WHY), LimitedBy.REQUESTS: requests}}


FLOORED = {
    "current": 2,
    "desired": 2,
    "demand": 8,
    "limited_by": LimitedBy.TOKENS,
    **fed(1, 1),
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
                **fed(9, 9, requests=Ceiling(0, 1, WHY)),
                "limited_by": LimitedBy.REQUESTS,
            },
            Reason.FLOOR_ABOVE_CEILING,
            id="by-requests",
        ),
        pytest.param(fed(2, 2), Reason.TOKEN_CEILING, id="just-at-it"),
        pytest.param(fed(1, 2), Reason.TOKEN_CEILING, id="left-alone-there"),
        pytest.param(fed(None, None), Reason.TOKEN_CEILING, id="unknown"),
        pytest.param({"ceilings": {LimitedBy.REQUESTS: ROOMY}}, Reason.TOKEN_CEILING, id="none"),
        pytest.param({"current": 1}, Reason.TOKEN_CEILING, id="not-there-yet"),
        pytest.param(
            {"demand": 1, "limited_by": LimitedBy.MIN_REPLICAS},
            Reason.TOO_FEW_REPLICAS,
            id="the-queues-ask-for-no-more-than-is-fed",
        ),
        pytest.param(
            {"demand": None, "limited_by": LimitedBy.HOLD}, Reason.NOT_MEASURED, id="a-hold"
        ),
        pytest.param(
            {"limited_by": LimitedBy.HOLD}, Reason.DESIRED_WITHIN_RANGE, id="a-hold-at-the-floor"
        ),
        pytest.param(
            {"limited_by": LimitedBy.QUOTA, "breaker": verdict(LimitedBy.QUOTA)},
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
    statuses = {Reason.DESIRED_WITHIN_RANGE: "False", Reason.NOT_MEASURED: "Unknown"}

    found = state(ConditionType.SCALING_LIMITED, spec=pool(min_replicas=2), decision=made)

    assert found == (statuses.get(expected, "True"), expected)


@pytest.mark.parametrize("limited_by", LimitedBy)
def test_while_the_demand_is_unknown_only_a_rule_that_limits_is_told(
    limited_by: LimitedBy,
) -> None:
    """What the queues ask for may be more than there is: False would say that it is not."""
    blind = decision(demand=None, limited_by=limited_by, breaker=verdict(limited_by))
    known = LIMITS[limited_by]

    found = found_of(ConditionType.SCALING_LIMITED, decision=blind)

    if known[0] == "True":
        assert (found.status, found.reason) == known
        assert found.message == blind.reason
    else:
        assert (found.status, found.reason) == ("Unknown", Reason.NOT_MEASURED)
        assert "see Ready" in found.message


NO_CREDIT = seen(ProviderState(tokens_per_minute=1, billing_code="insufficient_quota"))
RECOVERING = Breaker(Quota.HALF_OPEN, "insufficient_quota", NOW - 60, 1)
CUT_OFF = memory(replace(settled(1).history, failed_depth_readings=5))


@pytest.mark.parametrize(
    ("spec", "observation", "known", "expected"),
    [
        pytest.param(SPEC, observe(3), None, ("Unknown", Reason.NOT_MEASURED), id="a-hold"),
        pytest.param(
            SPEC, observe(3), Memory(), ("Unknown", Reason.NOT_MEASURED), id="the-first-look-too"
        ),
        pytest.param(
            pool(fallback=Fallback(failure_threshold=3, replicas=4)),
            observe(1),
            CUT_OFF,
            ("Unknown", Reason.NOT_MEASURED),
            id="a-fallback",
        ),
        pytest.param(
            pool(min_replicas=4),
            observe(3),
            None,
            ("True", Reason.TOO_FEW_REPLICAS),
            id="the-floor",
        ),
        pytest.param(
            pool(max_replicas=2), observe(3), None, ("True", Reason.TOO_MANY_REPLICAS), id="the-top"
        ),
        pytest.param(
            PAYING,
            observe(3, provider=NO_CREDIT),
            None,
            ("True", Reason.QUOTA_EXHAUSTED),
            id="the-breaker",
        ),
        pytest.param(
            PAYING,
            observe(3, provider=unseen()),
            settled(3, breaker=RECOVERING),
            ("True", Reason.QUOTA_RECOVERING),
            id="a-recovery",
        ),
        pytest.param(
            pool(llm=llm(api_key_secret_ref=API_KEY, on_quota_exhausted=OnQuotaExhausted.HOLD)),
            observe(3, provider=NO_CREDIT),
            None,
            ("Unknown", Reason.NOT_MEASURED),
            id="a-breaker-that-takes-nothing",
        ),
        pytest.param(
            PAYING,
            observe(3, 20, provider=unseen()),
            None,
            ("False", Reason.DESIRED_WITHIN_RANGE),
            id="another-reading-is-missing",
        ),
    ],
)
def test_a_pool_whose_demand_is_unknown_is_not_said_to_have_all_that_it_asks_for(
    spec: PoolSpec, observation: Observation, known: Memory | None, expected: tuple[str, Reason]
) -> None:
    found = thought(ConditionType.SCALING_LIMITED, spec, observation, known)

    assert (found.status, found.reason) == expected


def test_a_floor_above_the_ceiling_says_what_it_buys_and_how_to_stop() -> None:
    spec = pool(min_replicas=4, llm=llm(tokens_per_minute=1_000_000))

    found = thought(ConditionType.SCALING_LIMITED, spec, observe(4, 80))

    assert found.reason is Reason.FLOOR_ABOVE_CEILING
    assert found.message == (
        "minReplicas keeps 4 replicas where the token limit feeds 1: the calls of the other 3, "
        "1,500,000 TPM, buy 429s; lower minReplicas or raise the limit "
        "(85% of 1,000,000 TPM less 0 used by others, at 500,000 TPM per replica)"
    )


def test_a_floor_above_the_request_ceiling_says_so() -> None:
    spec = pool(min_replicas=4, llm=llm(requests_per_minute=200))

    found = thought(ConditionType.SCALING_LIMITED, spec, observe(4, 80))

    assert found.message.startswith(
        "minReplicas keeps 4 replicas where the request limit feeds 1: the calls of the other 3 "
        "buy 429s; lower minReplicas or raise the limit (85% of 200 RPM"
    )


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
    answered = seen(ProviderState(tokens_per_minute=1, billing_code=billing_code))
    before = memory(breaker=Breaker(quota, since=NOW - 60))

    found = thought(
        ConditionType.QUOTA_EXHAUSTED, PAYING, observe(2, 20, provider=answered), before
    )

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
    closed = memory(breaker=Breaker(closed_at=NOW - seconds, refusals=1))
    answered = seen(ProviderState(tokens_per_minute=1))

    found = thought(
        ConditionType.QUOTA_EXHAUSTED, PAYING, observe(replicas, 20, provider=answered), closed
    )

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
    opened = memory(breaker=Breaker(Quota.OPEN, "no_matter", NOW - 60, refusals))
    messages = set()
    for seconds in (0, 10, 20):
        found, opened, made = think(spec, observe(2, 20, provider=unseen()), opened, NOW + seconds)
        messages.add(of_tick(spec, found, made, None)[ConditionType.QUOTA_EXHAUSTED].message)

    (message,) = messages
    assert f"next try within {time}, and at once if the pool's spec or Secret changes" in message


@pytest.mark.parametrize("is_probed", [True, False])
def test_an_open_breaker_tells_when_the_refusal_ends(*, is_probed: bool) -> None:
    spec = pool(llm=llm(api_key_secret_ref=API_KEY, probe=Probe(enabled=is_probed)))
    quota = "GenerateRequestsPerDayPerProjectPerModel"
    used_up = seen(KeyUsage(1e6, refusals=(Refusals(quota, 3.0),)), NOW + 7_200)
    at_work = observe(2, 20, usage=used_up, provider=unseen() if is_probed else None)
    found, _, made = think(spec, at_work, Memory(), NOW + 7_200)

    told = of_tick(spec, found, made, None)[ConditionType.QUOTA_EXHAUSTED]

    assert (told.status, told.reason) == ("True", Reason.QUOTA_EXHAUSTED)
    assert f"refuses every call until 2027-01-16T08:00:00Z ({quota})" in told.message
    assert ("if the pool's spec or Secret changes" in told.message) is is_probed
    assert "top up" not in told.message
    assert "next try within" not in told.message
    assert "until 2027-01-16T08:00:00Z" in made.steps[-1].reason


def test_a_provider_that_has_not_answered_is_not_said_to_have_quota() -> None:
    silent = observe(2, 20, provider=unseen(Reason.PROVIDER_UNREACHABLE))

    found = thought(ConditionType.QUOTA_EXHAUSTED, PAYING, silent, Memory())

    assert (found.status, found.reason) == ("Unknown", Reason.NOT_MEASURED)


def test_an_open_breaker_tells_how_long_messages_may_wait() -> None:
    spec = pool(queue(), queue(name=ANSWER, tokens=1_500), llm=llm(api_key_secret_ref=API_KEY))
    refused = seen(ProviderState(billing_code="insufficient_quota"))
    lives = (QueuePace(VISION, 3_600.0, 1.0), QueuePace(ANSWER, 300.0, 1.0))
    depths = seen((depth(20), depth(20, name=ANSWER)))
    observation = observe(2, queues=depths, provider=refused, paces=seen(lives))

    found = thought(ConditionType.QUOTA_EXHAUSTED, spec, observation, Memory())

    assert f"messages of queue {ANSWER} expire after 300 s" in found.message


EXPIRES = QueuePace(VISION, message_ttl_seconds=300.0, acked_per_second=1.0)


@pytest.mark.parametrize("limits", [{"llm": llm()}, {}], ids=["llm", "no llm"])
@pytest.mark.parametrize(
    ("paces", "ready", "status", "reason", "words"),
    [
        (None, 20, "Unknown", Reason.NOT_MEASURED, "is not known"),
        (unseen(), 20, "Unknown", Reason.NOT_MEASURED, "is not known"),
        (seen((QueuePace(VISION, None, 1.0),)), 20, "False", Reason.MESSAGES_IN_TIME, "no queue"),
        # What is worked off is not known: nor is whether the backlog waits for too long.
        (
            seen((replace(EXPIRES, acked_per_second=None),)),
            9_000,
            "False",
            Reason.MESSAGES_IN_TIME,
            "after 300 s",
        ),
        (seen((EXPIRES,)), 20, "False", Reason.MESSAGES_IN_TIME, "after 300 s"),
        (seen((EXPIRES,)), 280, "True", Reason.BACKLOG_OUTLASTS_TTL, "ScalingLimited"),
        (seen((EXPIRES,)), 9_000, "True", Reason.BACKLOG_OUTLASTS_TTL, "ScalingLimited"),
    ],
)
def test_messages_that_expire_while_they_wait_are_told_of_before(
    paces: Any, ready: int, status: str, reason: Reason, words: str, limits: dict[str, Any]
) -> None:
    observation = observe(2, queues=seen((depth(ready),)), paces=paces)
    found = thought(ConditionType.MESSAGES_EXPIRING, pool(**limits), observation)

    assert (found.status, found.reason) == (status, reason)
    assert words in found.message


def test_scale_to_zero_says_that_a_breaker_would_lose_messages() -> None:
    spec = pool(
        llm=llm(api_key_secret_ref=API_KEY, on_quota_exhausted=OnQuotaExhausted.SCALE_TO_ZERO)
    )
    state = seen(ProviderState(tokens_per_minute=2_000_000))
    observation = observe(2, 20, provider=state, paces=seen((EXPIRES,)))
    found = thought(ConditionType.MESSAGES_EXPIRING, spec, observation)

    assert (found.status, found.reason) == ("True", Reason.BREAKER_OUTLASTS_TTL)
    assert "onQuotaExhausted is ScaleToZero" in found.message


def test_what_expires_under_an_open_breaker_is_told_in_words_that_stay() -> None:
    spec = pool(
        llm=llm(api_key_secret_ref=API_KEY, on_quota_exhausted=OnQuotaExhausted.SCALE_TO_ZERO)
    )
    refused = seen(ProviderState(billing_code="insufficient_quota"))
    told = set()
    known = settled(2)
    for after in (0.0, 10.0, 400.0):
        observation = observe(2, 20, provider=refused, paces=seen((EXPIRES,)))
        made = think(spec, observation, known, NOW + after)
        known = made.memory
        state = of_tick(spec, made.signals, made.decision, None)[ConditionType.MESSAGES_EXPIRING]
        assert (state.status, state.reason) == ("True", Reason.BREAKER_OUTLASTS_TTL)
        told.add(state.message)
    assert len(told) == 1
    assert "from 2027-01-15T08:05:00Z on" in told.pop()


@pytest.mark.parametrize("quota", [Quota.HALF_OPEN, Quota.CLOSED])
def test_a_breaker_that_is_no_longer_open_limits_as_a_recovery(quota: Quota) -> None:
    recovering = decision(
        limited_by=LimitedBy.QUOTA, breaker=Verdict(quota, None, Cap(1, "slowly"))
    )

    assert state(ConditionType.SCALING_LIMITED, decision=recovering) == (
        "True",
        Reason.QUOTA_RECOVERING,
    )


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
UNMEASURED: dict[str, Any] = {"status": "Unknown", "reason": Reason.NOT_MEASURED}


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
        pytest.param(
            [condition(ConditionType.TASKS_CUT_OFF, **UNMEASURED)],
            [condition(ConditionType.TASKS_CUT_OFF, status="False", reason=Reason.GRACE_SUFFICES)],
            [],
            id="measured-and-well",
        ),
        pytest.param(
            [condition(ConditionType.TASKS_CUT_OFF, **UNMEASURED)],
            [condition(ConditionType.TASKS_CUT_OFF, reason=Reason.GRACE_TOO_SHORT)],
            ["TasksCutOff"],
            id="measured-and-bad",
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


def test_a_fallback_acts_and_ready_still_tells_what_is_missing() -> None:
    fallback = Fallback(failure_threshold=1, replicas=2)
    spec = pool(llm=llm(usage=WHOLE_KEY, fallback=fallback))
    blind = observe(1, 50, usage=unseen(Reason.PROMETHEUS_UNREACHABLE))

    missing = ("False", Reason.PROMETHEUS_UNREACHABLE)
    assert thought(ConditionType.READY, spec, blind)[:2] == missing
    assert thought(ConditionType.METRICS_AVAILABLE, spec, blind)[:2] == missing
    acting = ("True", Reason.SCALING_ENABLED)
    assert thought(ConditionType.SCALING_ACTIVE, spec, blind)[:2] == acting
