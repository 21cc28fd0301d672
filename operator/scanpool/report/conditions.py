"""The conditions of a pool, and when their transition time moves."""

from collections.abc import Mapping, Sequence
from functools import partial
from math import ceil
from typing import Literal, NamedTuple

from scanpool.decide import expiry, pause, served
from scanpool.decide.breaker import Quota
from scanpool.decide.decision import Decision
from scanpool.decide.signals import Signals
from scanpool.models.conditions import Condition, ConditionType, LimitedBy, Reason
from scanpool.models.field_names import gap_of_limit, of_limit
from scanpool.models.llm import ONLY, Llm
from scanpool.models.pause import Paused
from scanpool.models.reading import Unavailable
from scanpool.models.spec import Mode, PoolSpec
from scanpool.models.units import SECONDS_PER_MINUTE, timestamp
from scanpool.report import contested, cut_off, unpaid_keys

# Condition messages end up in Events, which the API server bounds.
MAX_MESSAGE_CHARACTERS = 1000

# The others repeat these, or change with every burst; scalings have Events of their own.
TOLD = frozenset(
    {
        ConditionType.READY,
        ConditionType.QUOTA_EXHAUSTED,
        ConditionType.CONTESTED,
        ConditionType.KEY_SPLIT,
        ConditionType.MESSAGES_EXPIRING,
        ConditionType.TASKS_CUT_OFF,
        ConditionType.BUDGET_EXHAUSTED,
    }
)

# A broker that counts again, or a new queue, needs some seconds and nobody.
PASSING = frozenset({Reason.BROKER_RECOVERING, Reason.STATISTICS_NOT_FOUND, Reason.QUEUE_IN_FLOW})

# What else decides while these do: the ceilings and the floor have had no say.
NOT_BY_THE_LADDER = frozenset(
    {LimitedBy.HOLD, LimitedBy.FALLBACK, LimitedBy.QUOTA, LimitedBy.PAUSED, LimitedBy.CONTESTED}
)


# Of several limits the first of these that any is in is told.
QUOTA_STATES = (
    Reason.QUOTA_EXHAUSTED, Reason.QUOTA_RECOVERING, Reason.KEY_QUOTA_EXHAUSTED,
    Reason.NOT_MEASURED, Reason.QUOTA_AVAILABLE,
)  # fmt: skip


class ConditionState(NamedTuple):
    """What a condition is now, before its history is known."""

    status: Literal["True", "False", "Unknown"]
    reason: Reason
    message: str


States = Mapping[ConditionType, ConditionState]
_true = partial(ConditionState, "True")
_false = partial(ConditionState, "False")
_unmeasured = partial(ConditionState, "Unknown", Reason.NOT_MEASURED)
_EVERY_READING = _true(Reason.READINGS_AVAILABLE, "every reading was made")


def of_tick(
    spec: PoolSpec, signals: Signals, decision: Decision, refusal: Unavailable | None
) -> States:
    """Return the conditions after a decision; `refusal` is why it could not be carried out."""
    # What needs a person names the reason, before what passes by itself.
    missing = sorted(signals.gaps, key=_passes)
    gaps = sorted((*signals.gaps, *signals.stood_in.because, *signals.unseen), key=_passes)
    refusal = refusal or contested.left_alone(spec, signals, decision)
    problems = gaps if refusal is None else [refusal, *gaps]
    return {
        ConditionType.READY: _failed(problems) if problems else _ready(spec, decision),
        ConditionType.METRICS_AVAILABLE: _failed(gaps) if gaps else _measured(signals),
        ConditionType.SCALING_ACTIVE: _active(spec, missing, decision, refusal),
        ConditionType.SCALING_LIMITED: _limited(spec, decision),
        ConditionType.QUOTA_EXHAUSTED: _quota_of_all(spec, signals, decision),
        ConditionType.CONTESTED: ConditionState(*contested.state(spec, signals, decision)),
        ConditionType.MESSAGES_EXPIRING: _expiring(spec, signals, decision),
        ConditionType.TASKS_CUT_OFF: ConditionState(*cut_off.state(signals, decision)),
    }


def of_shards(spec: PoolSpec, elsewhere: Mapping[str, Sequence[str]]) -> States:
    """Return the condition of a pool of a shard: whether other shards use its keys, too.

    `elsewhere` are those shards by the pool's names for its limits.
    """
    shards = {_key(spec.limits[name]): shards for name, shards in elsewhere.items()}
    split = [
        f"{key} is used by pools of {', '.join(those)}" for key, those in shards.items() if those
    ]
    if not split:
        told = f"no other shard is known to use {' or '.join(shards)}"
        return {ConditionType.KEY_SPLIT: _false(Reason.KEY_IN_ONE_SHARD, told)}
    told = (
        f"{', and '.join(split)}, too: these budgets know nothing of each other; give all pools of "
        "a key the labels of one shard"
    )
    return {ConditionType.KEY_SPLIT: _true(Reason.KEY_IN_OTHER_SHARDS, told)}


def _key(llm: Llm) -> str:
    refs = tuple(llm.key_refs.values())
    if len(refs) > 1:
        return f"one of the keys in Secrets {', '.join(sorted({ref.name for ref in refs}))}"
    return f"the key {refs[0].key} of Secret {refs[0].name}" if refs else "its key"


def of_failure(failure: Unavailable) -> States:
    """Return the conditions of a pool that could not be decided on."""
    state = _failed([failure])
    return {ConditionType.READY: state, ConditionType.SCALING_ACTIVE: state}


def settle(
    previous: Sequence[Condition], states: States, generation: int, now: str
) -> tuple[Condition, ...]:
    """Return the conditions with their history; those without a new state stay as they were."""
    found = {condition.type: condition for condition in previous}
    for kind, state in states.items():
        old = found.get(kind)
        turned_at = now if old is None or old.status != state.status else old.last_transition_time
        told = {
            "type": kind,
            "status": state.status,
            "observed_generation": generation,
            "last_transition_time": turned_at,
            "reason": state.reason,
            "message": state.message[:MAX_MESSAGE_CHARACTERS],
        }
        found[kind] = Condition.renewed(old, told)
    return tuple(found[kind] for kind in ConditionType if kind in found)


def turned(previous: Sequence[Condition], current: Sequence[Condition]) -> tuple[Condition, ...]:
    """Return the conditions that have changed status or reason and are worth an Event.

    One that was not known counts as at the start: it is no news that all is well.
    """
    known = (one for one in previous if one.status != "Unknown")
    before = _START | {one.type: (one.status, one.reason) for one in known}
    return tuple(
        one
        for one in current
        if one.type in TOLD
        and one.status != "Unknown"
        and (one.status, one.reason) != before[one.type]
    )


def is_good(condition: Condition) -> bool:
    """Tell whether a condition's status is the one to hope for."""
    return condition.status == _START[condition.type][0]


# What a new pool is taken for: nothing that holds from the start is news.
_START: dict[ConditionType, tuple[str, Reason]] = {
    ConditionType.READY: ("True", Reason.RECONCILED),
    ConditionType.METRICS_AVAILABLE: ("True", Reason.READINGS_AVAILABLE),
    ConditionType.SCALING_ACTIVE: ("True", Reason.SCALING_ENABLED),
    ConditionType.SCALING_LIMITED: ("False", Reason.DESIRED_WITHIN_RANGE),
    ConditionType.QUOTA_EXHAUSTED: ("False", Reason.QUOTA_AVAILABLE),
    ConditionType.CONTESTED: ("False", Reason.NOT_CONTESTED),
    ConditionType.KEY_SPLIT: ("False", Reason.KEY_IN_ONE_SHARD),
    ConditionType.MESSAGES_EXPIRING: ("False", Reason.MESSAGES_IN_TIME),
    ConditionType.TASKS_CUT_OFF: ("False", Reason.GRACE_SUFFICES),
    ConditionType.BUDGET_EXHAUSTED: ("False", Reason.BUDGET_AVAILABLE),
}


def _passes(gap: Unavailable) -> bool:
    return gap.reason in PASSING


def _failed(problems: Sequence[Unavailable], held: str = "") -> ConditionState:
    """Tell the first one's reason and all messages, each once: readings may fail for one reason."""
    messages = dict.fromkeys(problem.message for problem in problems)
    return _false(problems[0].reason, held + "; ".join(messages))


def _measured(signals: Signals) -> ConditionState:
    """Tell of a reading that is missing or cannot be true, though nothing is held for it."""
    of_each = signals.llms.items()
    silent = [gap_of_limit(one.bridged, name) for name, one in of_each if one.bridged is not None]
    if silent:
        return _failed(silent, "decided by what it told last: ")
    unknown = [
        gap_of_limit(one.own_unknown, name) for name, one in of_each if one.own_unknown is not None
    ]
    if unknown:
        return _failed(unknown, "no growth: ")
    for name, one in of_each:
        if one.contradiction is not None:
            told = (
                f"the measured use is {one.contradiction}: it is left out; see whether an "
                "exporter's counters jump, or two Prometheus servers or jobs scrape the same one "
                "(llm.usage.prometheus)"
            )
            return _false(Reason.USAGE_IMPLAUSIBLE, of_limit(told, name))
    return _EVERY_READING


def _ready(spec: PoolSpec, decision: Decision) -> ConditionState:
    acting = "scaled" if spec.mode is Mode.ENFORCE else "observed"
    ref = spec.scale_target_ref
    told = f"{ref.kind} {ref.name} is {acting}"
    if not decision.restarts:
        return _true(Reason.RECONCILED, told)
    number, latest = len(decision.restarts), decision.restarts[-1]
    return _true(
        Reason.WORKERS_RESTARTED,
        f"{told}; within an hour the kubelet has stopped its workers {number} time"
        f"{'s' if number > 1 else ''} and started them again, last in pod {latest.pod}: a liveness "
        "probe fails, as celery inspect ping does where workers are busy; take it out of the "
        f"{ref.kind}",
    )


def _active(
    spec: PoolSpec, gaps: Sequence[Unavailable], decision: Decision, refusal: Unavailable | None
) -> ConditionState:
    if spec.mode is Mode.OBSERVE:
        observed = "mode is Observe: decisions are reported, not enforced"
        return _false(Reason.OBSERVE_MODE, observed)
    if refusal is not None:
        return _failed([refusal])
    if (paused := decision.pause).kind is not Paused.NONE:
        scales = paused.scales_in or paused.scales_out
        return (_true if scales else _false)(Reason.PAUSED, pause.reason(paused))
    if gaps:
        return _failed(gaps, f"held at {decision.desired} replicas: ")
    return _true(Reason.SCALING_ENABLED, "replicas follow the decisions")


def _limited(spec: PoolSpec, decision: Decision) -> ConditionState:
    if (state := _floor_above_ceiling(spec, decision)) is not None:
        return state
    reason, verdict = decision.limited_by.reason, decision.breaker
    if reason is Reason.QUOTA_EXHAUSTED and verdict and verdict.state is not Quota.OPEN:
        reason = Reason.QUOTA_RECOVERING
    if reason is not None:
        return _true(reason, decision.reason)
    if decision.demand is None:
        return _unmeasured("what the queues ask for is unknown: see Ready")
    free = "neither bounds nor ceilings keep replicas from the demand"
    return _false(Reason.DESIRED_WITHIN_RANGE, free)


def _floor_above_ceiling(spec: PoolSpec, decision: Decision) -> ConditionState | None:
    """Tell that minReplicas keeps more replicas busy than the provider's limits feed, if it does.

    Not while the demand is no more than they feed, and not of replicas that are yet to come.
    """
    floor, demand = spec.min_replicas, decision.demand or 0
    if decision.limited_by in NOT_BY_THE_LADDER or decision.desired != floor:
        return None
    over = [
        (ceiling.replicas, limit, ceiling.reason)
        for limit in (LimitedBy.TOKENS, LimitedBy.REQUESTS)
        if (ceiling := decision.ceilings.get(limit)) is not None
        and ceiling.replicas is not None
        and ceiling.keeps is not None
        and ceiling.replicas < demand
        and ceiling.keeps < floor <= decision.current
    ]
    if not over:
        return None
    # Of equal ones the requests', as their name comes first.
    fed, limit, why = min(over)
    name = "token" if limit is LimitedBy.TOKENS else "request"
    tokens = None if decision.llm is None else decision.llm.cost.tokens
    excess = f", {(floor - fed) * tokens:,.0f} TPM," if name == "token" and tokens else ""
    return _true(
        Reason.FLOOR_ABOVE_CEILING,
        f"minReplicas keeps {floor} replicas where the {name} limit feeds {fed}: the calls of the "
        f"other {floor - fed}{excess} buy 429s; lower minReplicas or raise the limit ({why})",
    )


def _quota_of_all(spec: PoolSpec, signals: Signals, decision: Decision) -> ConditionState:
    """Tell of the breaker; of several, by name, of those that are not at rest."""
    if decision.llms.keys() <= {ONLY}:
        return _quota(spec, signals, decision)
    states = {
        name: _quota(spec.only(name), signals.only(name), decision.only(name))
        for name in decision.llms
    }
    worst = min(states.values(), key=lambda one: QUOTA_STATES.index(one.reason))
    told = [
        f"{name}: {of_limit(state.message, name)}"
        for name, state in states.items()
        if state.reason is worst.reason
    ]
    if worst.reason in (Reason.QUOTA_AVAILABLE, Reason.NOT_MEASURED):
        return worst._replace(message="; ".join(told))
    limits = frozenset(name for name, state in states.items() if state.reason is worst.reason)
    match worst.reason:
        case Reason.QUOTA_EXHAUSTED:
            needed = served.refused(spec, limits, decision.desired)
        case Reason.QUOTA_RECOVERING:
            needed = served.tried(spec, limits)
        case _:
            # Its queues go on with the other keys.
            needed = served.needed_by(spec, limits)
    return worst._replace(message="; ".join([*told, needed]))


def _quota(spec: PoolSpec, signals: Signals, decision: Decision) -> ConditionState:
    verdict = decision.breaker
    if verdict is not None and verdict.state is Quota.OPEN:
        choice = "" if spec.llm is None else f" (onQuotaExhausted: {spec.llm.on_quota_exhausted})"
        waits = ""
        if (first := signals.first_expiry) is not None:
            waits = f"; messages of queue {first.queue} expire after {first.seconds:,.0f} s"
        if verdict.until is not None:
            is_probed = signals.llm is not None and signals.llm.probed.is_asked
            sooner = "; it tries at once if the pool's spec or Secret changes" if is_probed else ""
            return _true(
                Reason.QUOTA_EXHAUSTED,
                f"the provider refuses every call until {timestamp(verdict.until)} "
                f"({verdict.code}): the pool resumes by itself then{choice}{sooner}{waits}",
            )
        return _true(
            Reason.QUOTA_EXHAUSTED,
            f"the provider refuses every call with {verdict.code}: top up the account or "
            f"raise its budget; the pool resumes by itself{choice}{_next_try(decision)}{waits}",
        )
    if verdict is not None and (
        verdict.state is Quota.HALF_OPEN
        # Once closed, it may still keep the pool from what it could have.
        or (verdict.cap is not None and verdict.cap.replicas < spec.max_replicas)
    ):
        return _false(Reason.QUOTA_RECOVERING, "the provider answers again; starting slowly")
    if (told := unpaid_keys.words({} if decision.llm is None else decision.llm.keys)) is not None:
        return _false(Reason.KEY_QUOTA_EXHAUSTED, told)
    if signals.llm is None or signals.llm.probed.at is None:
        return _unmeasured(
            "no probe was answered: it needs llm.apiKeySecretRef, llm.probe.enabled and a provider "
            "that can be reached"
        )
    return _false(Reason.QUOTA_AVAILABLE, "the provider's last answer was no billing error")


def _next_try(decision: Decision) -> str:
    """Name the step of the back-off, and not the time that is left: that would change each tick."""
    if (seconds := decision.next_probe_seconds) is None:
        return ""
    minutes = seconds / SECONDS_PER_MINUTE
    time = f"{seconds:.0f} s" if minutes < 1 else f"{ceil(minutes)} min"
    return f"; next try within {time}, and at once if the pool's spec or Secret changes"


def _expiring(spec: PoolSpec, signals: Signals, decision: Decision) -> ConditionState:
    """Tell whether messages wait longer than their time to live, before they are gone."""
    if signals.expiries is None:
        return _unmeasured(
            "how long the queues keep messages is not known: that takes the management API "
            "(rabbitmq.managementUrlSecretRef); see Ready for what it says"
        )
    if (first := signals.first_expiry) is None:
        return _false(Reason.MESSAGES_IN_TIME, "no queue lets messages expire")
    verdicts = {
        name: made.breaker for name, made in decision.llms.items() if made.breaker is not None
    }
    found = expiry.risk(spec, signals, verdicts)
    if found is not None:
        return _true(*found)
    told = f"the first to expire are those of queue {first.queue}, after {first.seconds:,.0f} s"
    return _false(Reason.MESSAGES_IN_TIME, told)
