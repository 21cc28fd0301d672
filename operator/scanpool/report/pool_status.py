"""What a user reads: the `status` of a ScanWorkerPool, and what each figure of it is.

A figure is described here once, by a Figure and a docstring; what works it out is `report.llm` and
`report.status`. From the description come its metric, its line in `explain`, its words in the CRD
and the rule of when a change of it is worth a write.
"""

from typing import Annotated

from pydantic import BeforeValidator, Field

from scanpool.decide.breaker import Quota
from scanpool.decide.cost import CostSource
from scanpool.decide.decision import Rung
from scanpool.decide.memory import Checkpoint
from scanpool.decide.watermarks import DECIDES, State
from scanpool.models.base import Model
from scanpool.models.claims import Unit
from scanpool.models.conditions import Condition, LimitedBy
from scanpool.models.fields import INT64, Count
from scanpool.models.figures import (
    NEVER,
    OF_ITSELF,
    OF_LIMIT,
    RATE_SHARE,
    Around,
    Figure,
    Noise,
    are_near,
    figure,
    of_itself,
    shown,
)
from scanpool.models.pause import Paused
from scanpool.models.units import WHOLE_PERCENT
from scanpool.report.room_status import MemoryStatus
from scanpool.report.spend_status import SpendStatus
from scanpool.report.zone import Zone

Tokens = Annotated[int, Field(json_schema_extra=INT64)]
Rate = Annotated[Tokens, BeforeValidator(shown)]

TOKENS, TPM, RPM, PERCENT, PER_MINUTE, NO_UNIT = " tokens", " TPM", " RPM", "%", " a minute", ""
REQUESTS, TPD, RPD = " requests", " TPD", " RPD"
# Calls per task are the ratio of two rates that are counted apart: at 500 a minute each, two
# standard deviations of it are 13%. Workers that begin to retry at least double it.
CALLS_SHARE = 0.25
# Confidence grows by itself while a pool learns: a person cares for a guess, a first and a sure
# figure.
CONFIDENCE_STEP_PERCENT = 25
# The most of one pool, every ten seconds. An idle key would else have another figure at each.
PROBES_PER_MINUTE = 6
RATE_CEILINGS = frozenset({"tokens", "requests"})


def _zone_is_same(new: Zone | None, old: Zone | None, around: Around) -> bool:
    """Let a zone follow the use: what is no news of it moves no zone, but for refused calls."""
    if Zone.EXCEEDED in (new, old):
        return new is old
    used = (around.new.used_tokens_per_minute, around.old.used_tokens_per_minute)
    return new is old or OF_LIMIT(*used, around)


def _requests_are_same(new: int | None, old: int | None, around: Around) -> bool:
    """Leave what is small beside the limit, or no more than the operator's own probes make."""
    noise = max(PROBES_PER_MINUTE, RATE_SHARE * (around.new.requests_per_minute_limit or 0))
    return OF_ITSELF(new, old, around) or are_near(new, old, noise)


def _backoff_is_same(new: int | None, old: int | None, around: Around) -> bool:
    """Let it come back little by little; that it is all back is news."""
    return new == old or (WHOLE_PERCENT not in (new, old) and OF_ITSELF(new, old, around))


def _confidence_is_same(new: int | None, old: int | None, _: Around) -> bool:
    return (new and new // CONFIDENCE_STEP_PERCENT) == (old and old // CONFIDENCE_STEP_PERCENT)


def _is_there_still(new: object, old: object, _: Around) -> bool:
    """Leave what an answer costs: it has a few words more or less each time."""
    return (new is None) == (old is None)


def _law_is_same(new: State | None, old: State | None, _: Around) -> bool:
    """Leave where the level stands: it swings all the time. That it decides no more is news."""
    return new is old or (new in DECIDES and old in DECIDES)


def _claim_is_same(new: float | None, old: float | None, around: Around) -> bool:
    """Compare a claim, which may be many times the limit, by its own value as well."""
    return OF_ITSELF(new, old, around) or OF_LIMIT(new, old, around)


def _ceilings_are_same(
    new: dict[str, int] | None, old: dict[str, int] | None, around: Around
) -> bool:
    """Leave a ceiling that a noisy rate moves to and fro by one replica.

    And room for many that shrinks or grows by some: pods of others come and go all the time.
    """
    if new is None or old is None or new.keys() != old.keys():
        return new is old
    return all(
        abs(new[name] - old[name]) <= 1 if name in RATE_CEILINGS
        else OF_ITSELF(new[name], old[name], around)
        for name in new
    )  # fmt: skip


def _replicas_are_same(new: int, old: int, around: Around) -> bool:
    """Let the demand follow the backlog."""
    backlog = (around.new_status.backlog, around.old_status.backlog)
    is_demand = around.new.step == Rung.DEMAND
    return new == old or (is_demand and OF_ITSELF(*backlog, around))


class RefusalStatus(Model):
    """Calls that were refused with one code."""

    code: str
    per_minute: Annotated[Rate, Figure("refused_per_minute", is_same=OF_ITSELF, by="code")]
    """LLM calls refused, per minute and code."""


class ClaimantStatus(Model):
    """A pool's part of a shared limit."""

    pool: str
    weight: Count
    claim_tokens_per_minute: Annotated[Rate, Noise(_claim_is_same)]
    grant_tokens_per_minute: Annotated[Rate, Noise(OF_LIMIT)]


class BudgetStatus(Model):
    """What there is for all pools on the key, this pool's part, and the other claimants."""

    tokens_per_minute: Annotated[Rate, Figure("tpm_budget", is_same=OF_LIMIT)]
    """Tokens per minute for all pools on the key."""
    claim_tokens_per_minute: Annotated[Rate, Figure("tpm_budget_claim", is_same=_claim_is_same)]
    """What the pool asks of that."""
    grant_tokens_per_minute: Annotated[Rate, Figure("tpm_budget_grant", is_same=OF_LIMIT)]
    """What it gets of that."""
    others: Annotated[tuple[ClaimantStatus, ...], Noise(NEVER)] = ()
    """The largest few of the other claimants."""
    more_others: Annotated[Count, Noise(NEVER)] = 0
    """How many more there are."""
    first_pool: Annotated[str | None, Noise(NEVER)] = None
    """The first of all pools on the key by name."""


class KeyStatus(Model):
    """One of several keys of a limit: what it adds, and whether it is paid."""

    name: str
    """The Secret, and the key in it."""
    part_tokens_per_minute: Annotated[Tokens | None, Figure("tpm_key_part", by="name")] = None
    """Tokens per minute that a key adds to the limit; 0 while the provider refuses it unpaid."""
    quota: Quota | None = None
    """Its breaker: Open while its calls are refused, HalfOpen until a second one is answered."""
    quota_code: str | None = None
    """The code that opened it."""


class FigureStatus(Model):
    """Who told one of the numbers above, and when."""

    name: str
    source: str
    at: Annotated[str, Noise(NEVER)]


class LlmStatus(Model):
    """The provider's limit, its use and what is left, in tokens per minute."""

    limit_tokens_per_minute: Tokens | None = figure("tpm_limit", TPM, "limit")
    """Token limit, per minute."""
    limit_source: str | None = None
    used_tokens_per_minute: Rate | None = figure("tpm_used", TPM, "used", OF_LIMIT)
    """Tokens used on the key, per minute."""
    used_source: str | None = None
    own_tokens_per_minute: Rate | None = figure("tpm_own", TPM, "own", OF_LIMIT)
    """Tokens used by the pool itself, per minute."""
    others_tokens_per_minute: Rate | None = figure("tpm_others", TPM, "others", OF_LIMIT)
    """Tokens used by others on the key, per minute."""
    headroom_tokens_per_minute: Rate | None = figure("tpm_headroom", TPM, "headroom", OF_LIMIT)
    """Token limit less tokens used, per minute."""
    headroom_percent: Annotated[Tokens | None, Noise(NEVER)] = None
    zone: Zone | None = figure("zone", by="zone", is_same=_zone_is_same)
    """Share of the token limit in use: up to 50%, 75%, 90%, above, and once calls are refused."""
    tokens_per_replica_minute: Rate | None = figure(
        "tpm_per_replica", TPM, "tokensPerReplica", OF_ITSELF
    )
    """Tokens that one busy replica uses, per minute."""
    tokens_per_replica_source: CostSource | None = None
    requests_per_minute_limit: Tokens | None = figure("rpm_limit", RPM, "requestLimit")
    """Request limit, per minute."""
    requests_per_minute_used: Rate | None = figure("rpm_used", RPM, "requests", _requests_are_same)
    """Requests made on the key, per minute."""
    rate_limited_per_minute: Rate | None = figure(
        "rate_limited_per_minute", PER_MINUTE, "rateLimited", OF_ITSELF
    )
    """LLM calls refused with a rate-limit 429, per minute."""
    backoff_percent: Count | None = figure(
        "backoff_factor", PERCENT, "backoff", _backoff_is_same, is_percent=True
    )
    """Share of the token ceiling in force after rate-limit 429s; without any, all of it."""
    tokens_per_replica_confidence_percent: Count | None = figure(
        "tpm_per_replica_confidence", PERCENT, "confidence", _confidence_is_same, is_percent=True
    )
    """Share of the tokens per replica that rests on what was measured; 0 is a guess."""
    binding_limit: Annotated[Unit | None, Noise(NEVER)] = None
    """The limit on tokens that the token ceiling follows."""
    input_tokens_per_minute_limit: Tokens | None = figure("tpm_input_limit", TPM, "inputLimit")
    """Input token limit, per minute."""
    output_tokens_per_minute_limit: Tokens | None = figure("tpm_output_limit", TPM, "outputLimit")
    """Output token limit, per minute."""
    probe_tokens_per_minute: Rate | None = figure("tpm_probe", TPM, "probe", _is_there_still)
    """Tokens that the operator's probe uses, for all pools of the key, per minute."""
    bucket_state: State | None = figure(
        "bucket_state", NO_UNIT, "bucketState", _law_is_same, by="state"
    )
    """Where the level of the provider's bucket stands, or why it decides nothing."""
    bucket_tokens: Rate | None = figure("bucket_tokens", TOKENS, "bucket", _is_there_still)
    """Level of the bucket, reckoned on from the provider's last answer."""
    bucket_low_tokens: Rate | None = figure("bucket_low_tokens", TOKENS, "lowMark")
    """Low watermark: before the level is there, replicas are given back."""
    bucket_high_tokens: Rate | None = figure("bucket_high_tokens", TOKENS, "highMark")
    """High watermark: above it one replica more is fed out of the bucket."""
    bucket_reserve_tokens: Rate | None = figure("bucket_reserve_tokens", TOKENS, "reserve")
    """Part of the bucket that is never planned with."""
    calls_per_task: float | None = figure(
        "calls_per_task", NO_UNIT, "callsPerTask", of_itself(CALLS_SHARE)
    )
    """LLM calls that the workers make for one message; more are retries."""
    refusals: tuple[RefusalStatus, ...] = ()
    """Calls on the key that were refused, by the provider's code."""
    budget: BudgetStatus | None = None
    """How the limit is shared with other pools of the same key and model."""
    figures: tuple[FigureStatus, ...] = ()
    """Where each of these numbers came from, and when it was read."""
    quota: Quota | None = figure("breaker", NO_UNIT, "quota", by="state")
    """The billing breaker: Open while calls are refused unpaid, HalfOpen while a replica tries."""
    tokens_per_day_limit: Tokens | None = figure("tpd_limit", TPD, "dayTokenLimit")
    """Token limit of a day."""
    tokens_per_day_left: Rate | None = figure("tpd_left", TOKENS, "dayTokensLeft", _is_there_still)
    """Tokens left of the day's."""
    requests_per_day_limit: Tokens | None = figure("rpd_limit", RPD, "dayRequestLimit")
    """Request limit of a day."""
    requests_per_day_left: Tokens | None = figure(
        "rpd_left", REQUESTS, "dayRequestsLeft", _is_there_still
    )
    """Requests left of the day's."""
    day_ends_at: str | None = figure(
        "day_ends_timestamp_seconds", NO_UNIT, "dayEnds", _is_there_still
    )
    """When the day of these limits ends, or their bucket is full again."""
    quota_ends_at: str | None = figure("quota_ends_timestamp_seconds", NO_UNIT, "quotaEnds")
    """When the refusal that the breaker is open for ends, where that is known."""
    by_key: tuple[KeyStatus, ...] | None = None
    """Each of several keys, with what it adds to the limit."""
    observed_at: Annotated[str | None, Noise(NEVER)] = None
    """When these numbers were read; they are written only when they change."""


class LimitStatus(LlmStatus):
    """One of several limits, with the ceilings that are its own."""

    name: str
    ceilings: Annotated[dict[str, Count], Noise(_ceilings_are_same)] = Field({})
    """Most replicas that this limit alone allows; none while nothing of it is used."""


class QueueStatus(Model):
    """One queue's messages; an absent `unacked` is not visible to the source."""

    name: str
    ready: Annotated[Tokens, Noise(NEVER)]
    unacked: Annotated[Tokens | None, Noise(NEVER)] = None
    tokens_waiting: Annotated[Tokens, Figure("backlog_tokens", is_same=NEVER, by="name")] = 0
    """Tokens that a queue's messages will cost, as the spec has it."""


class StepStatus(Model):
    """One rung of the ladder, in words; each begins where the last ended."""

    step: str
    before: Annotated[Count, Noise(NEVER)]
    after: Annotated[Count, Noise(_replicas_are_same)]
    reason: Annotated[str, Noise(NEVER)]


class ScalingStatus(Model):
    """A change of replicas that the operator made."""

    time: str
    from_replicas: Count
    to_replicas: Count
    limited_by: LimitedBy
    reason: str


class ObservedStatus(Model):
    """What the operator would have done within the last hour, had the mode been Enforce."""

    changes: Annotated[Count, Figure("observed_changes")] = 0
    """Changes of replicas that mode Observe has left undone within the last hour."""
    last: tuple[ScalingStatus, ...] = ()
    """The newest of them, from what the target asked for then."""


class PoolStatus(Model):
    """How the pool stands. Written only when something in it has changed."""

    observed_generation: Tokens | None = None
    selector: str | None = None
    replicas: Count | None = figure("replicas")
    """Replicas that the target asks for."""
    ready_replicas: Count | None = figure("ready_replicas")
    """Pods that report ready."""
    probe_restarts: Count | None = figure("probe_restarts")
    """Restarts of workers within an hour, as a failing liveness probe brings."""
    desired_replicas: Count | None = figure("desired_replicas")
    """Replicas decided on."""
    limited_by: LimitedBy | None = figure("limited_by", by="limit")
    """The rule that kept the pool from what its queues ask for."""
    paused: Paused | None = figure("paused", by="direction")
    """What an annotation pauses: scaling in, out, both, or both at a number of replicas."""
    schedule: str | None = None
    """The schedule whose bounds hold, if any does."""
    backlog: Tokens | None = figure("backlog_messages", is_same=OF_ITSELF)
    """Messages, ready and unacked, in all queues."""
    backlog_source: str | None = None
    ceilings: dict[str, Count] | None = figure(
        "ceiling_replicas", by="limit", is_same=_ceilings_are_same
    )
    """Most replicas that a limit allows; an absent one is unknown or not asked for."""
    llm: LlmStatus | None = None
    """The provider's limit; of several, the one with the smallest ceiling."""
    binding_llm: Annotated[str | None, Noise(NEVER)] = None
    """Which of several limits that is, by its name in spec.llms."""
    llms: tuple[LimitStatus, ...] | None = None
    """Each of several limits with its numbers."""
    queues: tuple[QueueStatus, ...] = ()
    memory: MemoryStatus | None = None
    steps: tuple[StepStatus, ...] = ()
    last_scale_time: str | None = None
    scalings: tuple[ScalingStatus, ...] = ()
    observed: ObservedStatus | None = None
    spend: SpendStatus | None = None
    conditions: tuple[Condition, ...] = ()
    checkpoint: Checkpoint | None = None
    """What the operator's next process needs to go on; not for people."""
