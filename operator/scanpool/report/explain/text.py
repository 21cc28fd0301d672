"""A pool's status in words: the figures, what decided, and the ladder that led to it."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from scanpool.decide.decision import CEILING_RUNG, Rung
from scanpool.models.conditions import LimitedBy
from scanpool.models.figures import figures
from scanpool.models.pool import Pool
from scanpool.models.reading import Unavailable
from scanpool.models.units import seconds
from scanpool.report.explain.lift import lift
from scanpool.report.pool_status import (
    BudgetStatus,
    LimitStatus,
    LlmStatus,
    ObservedStatus,
    PoolStatus,
    StepStatus,
)

UNKNOWN = "unknown"
# Rungs that say something even where they change nothing.
TELLING = frozenset({Rung.DEMAND, Rung.HOLD, Rung.BREAKER, Rung.PAUSE})
# Up to how many seconds an age is told in the unit, and how many make one of it.
AGES = ((120, 1, "s"), (7200, 60, "min"), (float("inf"), 3600, "h"))


def explain(body: Mapping[str, Any]) -> str:
    """Return the ladder of a pool's last decision in words, from the object as the API sent it."""
    pool = Pool.from_body(body)
    try:
        status = PoolStatus.model_validate(pool.status)
    except ValidationError:
        remedy = "use the operator's own to explain it"
        return f"{pool.key} has a status of another version of scanpool: {remedy}"
    if not status.conditions:
        remedy = "is the operator running? (kubectl -n scanpool-system get pods)"
        return f"{pool.key} has no status yet: {remedy}"
    return "\n".join(_lines(pool, status))


def _lines(pool: Pool, status: PoolStatus) -> Iterator[str]:
    unlimited = status.limited_by in (None, LimitedBy.NONE)
    yield (
        f"{pool.key}: {_figure(status.replicas)} replicas, "
        f"{_figure(status.ready_replicas)} ready, {_figure(status.desired_replicas)} desired"
        f"{'' if unlimited else f', limited by {status.limited_by}'}"
        f"{'' if status.schedule is None else f', under schedule {status.schedule}'}"
    )
    yield from _observed(status.observed)
    if status.backlog is not None:
        yield f"  backlog      {status.backlog:,} messages ({status.backlog_source})"
    if status.llms is not None:
        yield from _each(status.llms, status.binding_llm)
    elif status.llm is not None:
        yield from _llm(status.llm)
    if (memory := status.memory) is not None:
        takes = f"{memory.per_replica} per replica ({memory.per_replica_source})"
        yield f"  memory       {takes}; {_figure(memory.fits)} more fit on {memory.nodes} nodes"
    for one in status.llms or (status.llm,):
        if one is not None:
            yield from ("", *_figures(one))
    if status.steps:
        yield from ("", *_ladder(status.steps))
        yield from ("", f"What decided: {_decisive(status.steps)}.")
    if not isinstance(pool.spec, Unavailable) and (what := lift(pool.spec, status)) is not None:
        yield f"What would lift it: {what}."
    yield from ("", "Conditions:")
    for condition in status.conditions:
        yield f"  {condition.type}={condition.status} ({condition.reason}): {condition.message}"


def _observed(observed: ObservedStatus | None) -> Iterator[str]:
    if observed is None:
        return
    changes = "1 change" if observed.changes == 1 else f"{observed.changes} changes"
    told = f"  observed     {changes} of replicas left undone within the last hour"
    for last in observed.last[:1]:
        change = f"from {last.from_replicas} to {last.to_replicas}"
        told += f"; at {last.time} {change}: {last.reason}"
    yield told


def _ladder(steps: tuple[StepStatus, ...]) -> Iterator[str]:
    """Return a line for each rung; one that changed nothing has one if it shows a number."""
    yield "How it came to that:"
    told = [
        step
        for step in steps
        if step.before != step.after or step.step in TELLING or step.step.endswith(CEILING_RUNG)
    ]
    width = max((len(step.step) for step in told), default=0)
    for step in told:
        change = f"{step.after}" if step.before == step.after else f"{step.before} -> {step.after}"
        yield f"  {step.step:<{width}}  {change:>10}  {step.reason}"


def _decisive(steps: tuple[StepStatus, ...]) -> str:
    """Name the rung that made the number what it is: the last that changed it, else the first."""
    changed = [step for step in steps if step.before != step.after]
    if not changed:
        return f"the {steps[0].step}, which leaves it at {steps[0].after}"
    return f"the {changed[-1].step}, from {changed[-1].before} to {changed[-1].after}"


def _each(limits: tuple[LimitStatus, ...], binding: str | None) -> Iterator[str]:
    """Return the lines of each of several limits below its name."""
    for one in limits:
        allowed = ", ".join(f"{most} by {limit}" for limit, most in one.ceilings.items())
        binds = ", the smallest" if one.name == binding and allowed else ""
        yield f"  limit {one.name}: {f'at most {allowed}{binds}' if allowed else 'no ceiling now'}"
        yield from (f"  {line}" for line in _llm(one))


def _llm(llm: LlmStatus) -> Iterator[str]:
    source = f" ({llm.used_source})" if llm.used_source else ""
    share = "" if llm.headroom_percent is None else f" ({llm.headroom_percent}%)"
    yield (
        f"  tokens       {_figure(llm.used_tokens_per_minute)} of "
        f"{_figure(llm.limit_tokens_per_minute)} TPM used{source}, "
        f"headroom {_figure(llm.headroom_tokens_per_minute)} TPM{share}"
        f"{f', zone {llm.zone}' if llm.zone else ''}"
    )
    confidence = llm.tokens_per_replica_confidence_percent
    sure = f", {confidence}% sure" if confidence else ""
    learned = llm.tokens_per_replica_source
    yield (
        f"  per replica  {_figure(llm.tokens_per_replica_minute)} TPM"
        f"{f' ({learned}{sure})' if learned else ''}; "
        f"others on the key use {_figure(llm.others_tokens_per_minute)} TPM; "
        f"quota {llm.quota or UNKNOWN}"
        f"{'' if llm.quota_ends_at is None else f' until {llm.quota_ends_at}'}"
    )
    for key in llm.by_key or ():
        code = "" if key.quota_code is None else f", refused with {key.quota_code}"
        part = _figure(key.part_tokens_per_minute)
        yield f"  key          {key.name}: {part} TPM, quota {key.quota or UNKNOWN}{code}"
    if llm.bucket_tokens is not None:
        yield (
            f"  bucket       {llm.bucket_tokens:,} tokens ({llm.bucket_state}), marks at "
            f"{_figure(llm.bucket_low_tokens)} and {_figure(llm.bucket_high_tokens)}, "
            f"{_figure(llm.bucket_reserve_tokens)} in reserve"
        )
    elif llm.bucket_state is not None:
        yield f"  bucket       {llm.bucket_state}: replicas follow a share of the limit"
    if llm.refusals:
        by_code = (f"{one.per_minute:,} a minute with {one.code}" for one in llm.refusals)
        yield f"  refused      {', '.join(by_code)}"
    if llm.budget is not None:
        yield from _budget(llm.budget)


def _budget(budget: BudgetStatus) -> Iterator[str]:
    pools = 1 + len(budget.others) + budget.more_others
    yield (
        f"  shared       {budget.tokens_per_minute:,} TPM for {pools} pools; "
        f"this one claims {budget.claim_tokens_per_minute:,} and is granted "
        f"{budget.grant_tokens_per_minute:,}"
    )
    for one in budget.others:
        claims = f"{one.claim_tokens_per_minute:,} and is granted {one.grant_tokens_per_minute:,}"
        yield f"               {one.pool} (weight {one.weight}) claims {claims}"
    if budget.more_others:
        yield f"               and {budget.more_others} more, which claim less"


def _figures(llm: LlmStatus) -> Iterator[str]:
    """Return a table of all figures: what is known of each, who told it, how long before that was.

    It is made of their descriptions; the lines above it are sentences about the first few.
    """
    of = f" of {llm.name}" if isinstance(llm, LimitStatus) else ""
    yield f"The figures{of}, at {llm.observed_at or 'an unknown time'}:"
    told = {one.name: (one.source, _age(one.at, llm.observed_at)) for one in llm.figures}
    rows = [
        (figure.label, figure.shown(value), *told.get(figure.label, ("", "")))
        for name, figure in figures(LlmStatus)
        if figure.unit is not None and (value := getattr(llm, name)) is not None
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for name, value, source, age in rows:
        row = f"  {name:<{widths[0]}}  {value:>{widths[1]}}  {source:<{widths[2]}}  {age}"
        yield row.rstrip()


def _age(at: str, observed_at: str | None) -> str:
    """Return how long before the observation a figure was read; clocks may differ a little."""
    read, observed = seconds(at), seconds(observed_at)
    if read is None or observed is None:
        return ""
    age = max(observed - read, 0)
    per_unit, unit = next((per, unit) for most, per, unit in AGES if age < most)
    return f"read {age / per_unit:.0f} {unit} before"


def _figure(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value:,}"
