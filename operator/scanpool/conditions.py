"""The conditions of a pool, and when their transition time moves."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Literal, NamedTuple

from scanpool.models.conditions import Condition, ConditionType, Reason
from scanpool.models.decision import Decision, LimitedBy
from scanpool.models.memory import Quota
from scanpool.models.reading import Unavailable
from scanpool.models.spec import Mode, PoolSpec

# Set back this often within ten minutes, replicas are fought over; once may be a person's hand.
CONTESTED_REVERTS = 2
# Condition messages end up in Events, which the API server bounds.
MAX_MESSAGE_CHARACTERS = 1000
SECONDS_PER_MINUTE = 60

# The others repeat these, or change with every burst; scalings have Events of their own.
TOLD = frozenset({ConditionType.READY, ConditionType.QUOTA_EXHAUSTED, ConditionType.CONTESTED})

LIMITING = {
    LimitedBy.MIN_REPLICAS: Reason.TOO_FEW_REPLICAS,
    LimitedBy.MAX_REPLICAS: Reason.TOO_MANY_REPLICAS,
    LimitedBy.SCALING_POLICY: Reason.SCALING_POLICY,
    LimitedBy.TOKENS: Reason.TOKEN_CEILING,
    LimitedBy.REQUESTS: Reason.REQUEST_CEILING,
    LimitedBy.MEMORY: Reason.MEMORY_CEILING,
    LimitedBy.QUOTA: Reason.QUOTA_EXHAUSTED,
}

# What else decides while these do: the ceilings and the floor have had no say.
NOT_BY_THE_LADDER = frozenset({LimitedBy.HOLD, LimitedBy.FALLBACK, LimitedBy.QUOTA})


class ConditionState(NamedTuple):
    """What a condition is now, before its history is known."""

    status: Literal["True", "False", "Unknown"]
    reason: Reason
    message: str


States = Mapping[ConditionType, ConditionState]


def of_decision(spec: PoolSpec, decision: Decision, refusal: Unavailable | None) -> States:
    """Return the conditions after a decision; `refusal` is why it could not be carried out."""
    problems = decision.gaps if refusal is None else (refusal, *decision.gaps)
    return {
        ConditionType.READY: _ready(spec, problems),
        ConditionType.METRICS_AVAILABLE: _metrics(decision),
        ConditionType.SCALING_ACTIVE: _active(spec, decision, refusal),
        ConditionType.SCALING_LIMITED: _limited(spec, decision),
        ConditionType.QUOTA_EXHAUSTED: _quota(spec, decision),
        ConditionType.CONTESTED: _contested(decision),
    }


def of_failure(failure: Unavailable) -> States:
    """Return the conditions of a pool that could not be decided on."""
    return {
        ConditionType.READY: ConditionState("False", failure.reason, failure.message),
        ConditionType.SCALING_ACTIVE: ConditionState("False", failure.reason, failure.message),
    }


def settle(
    previous: Sequence[Condition], states: States, generation: int, now: str
) -> tuple[Condition, ...]:
    """Return the conditions with their history; those without a new state stay as they were."""
    before = {condition.type: condition for condition in previous}
    settled = []
    for kind in ConditionType:
        state, old = states.get(kind), before.get(kind)
        if state is None:
            settled += [old] if old is not None else []
            continue
        same = old is not None and old.status == state.status
        settled.append(
            Condition(
                type=kind,
                status=state.status,
                observed_generation=generation,
                last_transition_time=old.last_transition_time if old and same else now,
                reason=state.reason,
                message=state.message[:MAX_MESSAGE_CHARACTERS],
            )
        )
    return tuple(settled)


def turned(previous: Sequence[Condition], current: Sequence[Condition]) -> tuple[Condition, ...]:
    """Return the conditions that have changed status or reason and are worth an Event."""
    before = {condition.type: (condition.status, condition.reason) for condition in previous}
    return tuple(
        condition
        for condition in current
        if condition.type in TOLD
        and condition.status != "Unknown"
        and before.get(condition.type, _START[condition.type])
        != (condition.status, condition.reason)
    )


def is_good(condition: Condition) -> bool:
    """Tell whether a condition's status is the one to hope for."""
    return condition.status == _START[condition.type][0]


# What a new pool is taken for: nothing that holds from the start is news.
_START: Mapping[ConditionType, tuple[str, Reason]] = {
    ConditionType.READY: ("True", Reason.RECONCILED),
    ConditionType.METRICS_AVAILABLE: ("True", Reason.READINGS_AVAILABLE),
    ConditionType.SCALING_ACTIVE: ("True", Reason.SCALING_ENABLED),
    ConditionType.SCALING_LIMITED: ("False", Reason.DESIRED_WITHIN_RANGE),
    ConditionType.QUOTA_EXHAUSTED: ("False", Reason.QUOTA_AVAILABLE),
    ConditionType.CONTESTED: ("False", Reason.NOT_CONTESTED),
}


def _ready(spec: PoolSpec, problems: Sequence[Unavailable]) -> ConditionState:
    if problems:
        return ConditionState("False", problems[0].reason, _together(problems))
    acting = "scaled" if spec.mode is Mode.ENFORCE else "observed"
    return ConditionState(
        "True", Reason.RECONCILED, f"Deployment {spec.scale_target_ref.name} is {acting}"
    )


def _metrics(decision: Decision) -> ConditionState:
    if decision.gaps:
        return ConditionState("False", decision.gaps[0].reason, _together(decision.gaps))
    return ConditionState("True", Reason.READINGS_AVAILABLE, "every reading was made")


def _active(spec: PoolSpec, decision: Decision, refusal: Unavailable | None) -> ConditionState:
    if spec.mode is Mode.OBSERVE:
        return ConditionState(
            "False", Reason.OBSERVE_MODE, "mode is Observe: decisions are reported, not enforced"
        )
    if refusal is not None:
        return ConditionState("False", refusal.reason, refusal.message)
    if decision.gaps:
        return ConditionState(
            "False",
            decision.gaps[0].reason,
            f"held at {decision.desired} replicas: {_together(decision.gaps)}",
        )
    return ConditionState("True", Reason.SCALING_ENABLED, "replicas follow the decisions")


def _limited(spec: PoolSpec, decision: Decision) -> ConditionState:
    if (state := _floor_above_ceiling(spec, decision)) is not None:
        return state
    reason = LIMITING.get(decision.limited_by)
    if reason is Reason.QUOTA_EXHAUSTED and decision.quota is not Quota.OPEN:
        reason = Reason.QUOTA_RECOVERING
    if reason is None:
        return ConditionState(
            "False",
            Reason.DESIRED_WITHIN_RANGE,
            "neither bounds nor ceilings keep replicas from the demand",
        )
    return ConditionState("True", reason, decision.reason)


def _floor_above_ceiling(spec: PoolSpec, decision: Decision) -> ConditionState | None:
    """Tell that minReplicas keeps more replicas busy than the provider's limits feed, if it does.

    Not while the demand is no more than they feed, and not of replicas that are yet to come.
    """
    floor, demand = spec.min_replicas, decision.demand or 0
    if decision.limited_by in NOT_BY_THE_LADDER or decision.desired != floor:
        return None
    named = (("token", decision.token_ceiling), ("request", decision.request_ceiling))
    over = [
        (ceiling.replicas, name, ceiling.reason)
        for name, ceiling in named
        if ceiling is not None
        and ceiling.replicas is not None
        and ceiling.keeps is not None
        and ceiling.replicas < demand
        and ceiling.keeps < floor <= decision.current
    ]
    if not over:
        return None
    fed, name, why = min(over)
    tokens = None if decision.tokens is None else decision.tokens.tokens_per_replica
    excess = f", {(floor - fed) * tokens:,.0f} TPM," if name == "token" and tokens else ""
    return ConditionState(
        "True",
        Reason.FLOOR_ABOVE_CEILING,
        f"minReplicas keeps {floor} replicas where the {name} limit feeds {fed}: the calls of the "
        f"other {floor - fed}{excess} buy 429s; lower minReplicas or raise the limit ({why})",
    )


def _quota(spec: PoolSpec, decision: Decision) -> ConditionState:
    if decision.quota is Quota.OPEN:
        choice = "" if spec.llm is None else f" (onQuotaExhausted: {spec.llm.on_quota_exhausted})"
        expiry = decision.first_expiry
        waits = (
            ""
            if expiry is None
            else f"; messages of queue {expiry.queue} expire after {expiry.seconds:,.0f} s"
        )
        return ConditionState(
            "True",
            Reason.QUOTA_EXHAUSTED,
            f"the provider refuses every call with {decision.quota_code}: top up the account or "
            f"raise its budget; the pool resumes by itself{choice}{_next_try(decision)}{waits}",
        )
    if decision.quota is Quota.HALF_OPEN or _starts_slowly(spec, decision):
        return ConditionState(
            "False", Reason.QUOTA_RECOVERING, "the provider answers again; starting slowly"
        )
    if not decision.provider_answered:
        return ConditionState(
            "Unknown",
            Reason.NOT_MEASURED,
            "no probe was answered: it needs llm.apiKeySecretRef, llm.probe.enabled and a provider "
            "that can be reached",
        )
    return ConditionState(
        "False", Reason.QUOTA_AVAILABLE, "the provider's last answer was no billing error"
    )


def _next_try(decision: Decision) -> str:
    """Name the step of the back-off, and not the time that is left: that would change each tick."""
    if (seconds := decision.next_probe_seconds) is None:
        return ""
    time = (
        f"{seconds:.0f} s"
        if seconds < SECONDS_PER_MINUTE
        else f"{ceil(seconds / SECONDS_PER_MINUTE)} min"
    )
    return f"; next try within {time}, and at once if the pool's spec or Secret changes"


def _starts_slowly(spec: PoolSpec, decision: Decision) -> bool:
    """Tell whether the breaker, once closed, may still keep the pool from what it could have."""
    cap = decision.quota_cap
    return decision.quota is Quota.CLOSED and cap is not None and cap < spec.max_replicas


def _contested(decision: Decision) -> ConditionState:
    if decision.reverts >= CONTESTED_REVERTS:
        return ConditionState(
            "True",
            Reason.REPLICAS_CHANGED_ELSEWHERE,
            f"something else has set the replicas back {decision.reverts} times within 10 minutes: "
            "look for an HPA on the same Deployment, or a GitOps controller that owns "
            "spec.replicas (kubectl get deployment -o yaml --show-managed-fields)",
        )
    return ConditionState("False", Reason.NOT_CONTESTED, "nothing else changes the replicas")


def _together(problems: Sequence[Unavailable]) -> str:
    """Join the problems' messages, each once: several readings may fail for one reason."""
    return "; ".join(dict.fromkeys(problem.message for problem in problems))
