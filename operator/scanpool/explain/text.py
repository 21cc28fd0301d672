"""A pool's status in words: the figures, what decided, and the ladder that led to it."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from scanpool.explain.lift import lift
from scanpool.models.decision import LimitedBy
from scanpool.models.reading import Unavailable
from scanpool.models.status import BudgetStatus, LlmStatus, PoolStatus, StepStatus
from scanpool.reconcile import Pool, parse

UNKNOWN = "unknown"
# Rungs that say something even where they change nothing.
TELLING = frozenset({"demand", "hold", "billing breaker"})
# What the figures are called in the status, and in what they count.
FIGURES = {
    "limit": ("limit_tokens_per_minute", " TPM"),
    "used": ("used_tokens_per_minute", " TPM"),
    "others": ("others_tokens_per_minute", " TPM"),
    "tokensPerReplica": ("tokens_per_replica_minute", " TPM"),
    "backoff": ("backoff_percent", "%"),
    "rateLimited": ("rate_limited_per_minute", " a minute"),
    "callsPerTask": ("calls_per_task", ""),
    "quota": ("quota", ""),
}
# Up to how many seconds an age is told in the unit, and how many make one of it.
AGES = ((120, 1, "s"), (7200, 60, "min"), (float("inf"), 3600, "h"))


def explain(body: Mapping[str, Any]) -> str:
    """Return the ladder of a pool's last decision in words, from the object as the API sent it."""
    pool = Pool.from_body(body)
    try:
        status = PoolStatus.model_validate(pool.status)
    except ValidationError:
        return (
            f"{pool.namespace}/{pool.name} has a status of another version of scanpool: "
            "use the operator's own to explain it"
        )
    if not status.conditions:
        return (
            f"{pool.namespace}/{pool.name} has no status yet: is the operator running? "
            "(kubectl -n scanpool-system get pods)"
        )
    return "\n".join(_lines(pool, status))


def _lines(pool: Pool, status: PoolStatus) -> Iterator[str]:
    unlimited = status.limited_by in (None, LimitedBy.NONE)
    yield (
        f"{pool.namespace}/{pool.name}: {_figure(status.replicas)} replicas, "
        f"{_figure(status.ready_replicas)} ready, {_figure(status.desired_replicas)} desired"
        f"{'' if unlimited else f', limited by {status.limited_by}'}"
    )
    if status.backlog is not None:
        yield f"  backlog      {status.backlog:,} messages ({status.backlog_source})"
    if status.llm is not None:
        yield from _llm(status.llm)
    if status.memory is not None:
        yield (
            f"  memory       {status.memory.per_replica} per replica "
            f"({status.memory.per_replica_source}); {_figure(status.memory.fits)} more fit on "
            f"{status.memory.nodes} nodes"
        )
    if status.llm is not None and status.llm.figures:
        yield from ("", *_figures(status.llm))
    if status.steps:
        yield from ("", *_ladder(status.steps))
        yield from ("", f"What decided: {_decisive(status.steps)}.")
    spec = parse(pool)
    if not isinstance(spec, Unavailable):
        observed_at = None if status.llm is None else _seconds(status.llm.observed_at)
        if (what := lift(spec, status, observed_at)) is not None:
            yield f"What would lift it: {what}."
    yield ""
    yield "Conditions:"
    for condition in status.conditions:
        yield f"  {condition.type}={condition.status} ({condition.reason}): {condition.message}"


def _ladder(steps: tuple[StepStatus, ...]) -> Iterator[str]:
    yield "How it came to that:"
    told = [step for step in steps if _is_telling(step)]
    width = max((len(step.step) for step in told), default=0)
    for step in told:
        kept = step.before == step.after
        change = f"{step.after}" if kept else f"{step.before} -> {step.after}"
        yield f"  {step.step:<{width}}  {change:>10}  {step.reason}"


def _is_telling(step: StepStatus) -> bool:
    """Tell whether a rung is worth a line: one that changed nothing is, if it shows a number."""
    return step.before != step.after or step.step in TELLING or step.step.endswith("ceiling")


def _decisive(steps: tuple[StepStatus, ...]) -> str:
    """Name the rung that made the number what it is: the last that changed it, else the first."""
    changed = [step for step in steps if step.before != step.after]
    if not changed:
        return f"the {steps[0].step}, which leaves it at {steps[0].after}"
    return f"the {changed[-1].step}, from {changed[-1].before} to {changed[-1].after}"


def _llm(llm: LlmStatus) -> Iterator[str]:
    yield (
        f"  tokens       {_figure(llm.used_tokens_per_minute)} of "
        f"{_figure(llm.limit_tokens_per_minute)} TPM used"
        f"{f' ({llm.used_source})' if llm.used_source else ''}, "
        f"headroom {_figure(llm.headroom_tokens_per_minute)} TPM"
        f"{'' if llm.headroom_percent is None else f' ({llm.headroom_percent}%)'}"
        f"{f', zone {llm.zone}' if llm.zone else ''}"
    )
    confidence = llm.tokens_per_replica_confidence_percent
    sure = "" if not confidence else f", {confidence}% sure"
    yield (
        f"  per replica  {_figure(llm.tokens_per_replica_minute)} TPM"
        f"{f' ({llm.tokens_per_replica_source}{sure})' if llm.tokens_per_replica_source else ''}; "
        f"others on the key use {_figure(llm.others_tokens_per_minute)} TPM; "
        f"quota {llm.quota or UNKNOWN}"
    )
    sides = (
        ("input", llm.input_tokens_per_minute_limit),
        ("output", llm.output_tokens_per_minute_limit),
    )
    if apart := [f"{limit:,} {side} TPM" for side, limit in sides if limit is not None]:
        yield f"  limits       {', '.join(apart)}"
    if llm.requests_per_minute_limit is not None:
        yield (
            f"  requests     {_figure(llm.requests_per_minute_used)} of "
            f"{llm.requests_per_minute_limit:,} RPM used"
        )
    if calls := _calls(llm):
        yield f"  calls        {'; '.join(calls)}"
    if llm.probe_tokens_per_minute is not None:
        yield f"  probe        {llm.probe_tokens_per_minute:,} TPM, for all pools of the key"
    if llm.budget is not None:
        yield from _budget(llm.budget)


def _calls(llm: LlmStatus) -> list[str]:
    told = [] if llm.calls_per_task is None else [f"{llm.calls_per_task} per task"]
    if llm.refusals:
        by_code = (f"{one.per_minute:,} a minute with {one.code}" for one in llm.refusals)
        told.append(f"refused {', '.join(by_code)}")
    return told


def _budget(budget: BudgetStatus) -> Iterator[str]:
    yield (
        f"  shared       {budget.tokens_per_minute:,} TPM for {1 + len(budget.others)} pools; "
        f"this one claims {budget.claim_tokens_per_minute:,} and is granted "
        f"{budget.grant_tokens_per_minute:,}"
    )
    for one in budget.others:
        yield (
            f"               {one.pool} (weight {one.weight}) claims "
            f"{one.claim_tokens_per_minute:,} and is granted {one.grant_tokens_per_minute:,}"
        )


def _figures(llm: LlmStatus) -> Iterator[str]:
    """Return a table of who told each figure, and how long before the status that was."""
    yield f"Where that comes from, at {llm.observed_at}:"
    rows = [
        (one.name, _value(llm, one.name), one.source, _age(one.at, llm.observed_at))
        for one in llm.figures
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for name, value, source, age in rows:
        row = f"  {name:<{widths[0]}}  {value:>{widths[1]}}  {source:<{widths[2]}}  {age}"
        yield row.rstrip()


def _value(llm: LlmStatus, figure: str) -> str:
    field, unit = FIGURES.get(figure, ("", ""))
    value = getattr(llm, field, None)
    if value is None:
        return UNKNOWN
    return f"{value:,}{unit}" if isinstance(value, int | float) else f"{value}{unit}"


def _age(at: str, observed_at: str | None) -> str:
    """Return how long before the observation a figure was read; clocks may differ a little."""
    read, observed = _seconds(at), _seconds(observed_at)
    if read is None or observed is None:
        return ""
    seconds = max(observed - read, 0)
    per_unit, unit = next((per, unit) for most, per, unit in AGES if seconds < most)
    return f"read {seconds / per_unit:.0f} {unit} before"


def _seconds(time: str | None) -> float | None:
    """Return a time of the status in seconds since the epoch; None if it is no time."""
    try:
        return None if time is None else datetime.fromisoformat(time).timestamp()
    except ValueError:
        return None


def _figure(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value:,}"
