"""What `plan` prints: what to expect of a pool under a load, and what to set."""

import argparse
import sys
from pathlib import Path

import yaml
from pydantic import ValidationError
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from scanpool.models.llm import ONLY
from scanpool.models.spec import PoolSpec
from scanpool_replay.plan import Expected, Needed, expect, need, scenario_of
from scanpool_replay.scenario import ScenarioError
from scanpool_replay.settings import ClosedLoad, Nodes, OpenLoad, Worker

DEFAULT_TOKENS_PER_MINUTE = 2_000_000


def run(options: argparse.Namespace) -> int:
    """Plan, and print what was found. Exit code 2: the file or the load is not valid."""
    try:
        _plan(options)
    except ScenarioError as error:
        print(f"plan: {error}", file=sys.stderr)
        return 2
    except ValidationError as error:
        for one in error.errors(include_url=False, include_input=False):
            print(f"plan: {'.'.join(map(str, one['loc']))}: {one['msg']}", file=sys.stderr)
        return 2
    return 0


def read_pool(path: Path) -> PoolSpec:
    """Read a ScanWorkerPool, or only its spec.

    Raises:
        ScenarioError: if the file holds neither.

    """
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ScenarioError(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(document, dict):
        raise ScenarioError(f"{path} is no ScanWorkerPool: it has no fields")
    try:
        return PoolSpec.model_validate(document.get("spec", document))
    except ValidationError as error:
        wrong = "\n".join(
            f"  spec.{'.'.join(map(str, one['loc']))}: {one['msg']}"
            for one in error.errors(include_url=False, include_input=False)
        )
        raise ScenarioError(f"{path} is no valid ScanWorkerPool:\n{wrong}") from error


def _plan(options: argparse.Namespace) -> None:
    """Print the plan; of a pool with several limits one for each, as if it had no other.

    Raises:
        ScenarioError: if the file holds no pool, or if one limit is given for several.

    """
    pool, console = read_pool(options.file), Console()
    if pool.llms and options.tokens_per_minute is not None:
        raise ScenarioError(
            "--tokens-per-minute is of one limit: set tokensPerMinute of each in spec.llms"
        )
    for name in pool.limits or (ONLY,):
        if name != ONLY:
            console.print(f"\nBy the limit {name} alone; the one with the fewest replicas binds:")
        _plan_of(pool.only(name), options, console)


def _plan_of(pool: PoolSpec, options: argparse.Namespace, console: Console) -> None:
    seconds = options.minutes * 60
    load: ClosedLoad | OpenLoad
    if options.vus is not None:
        load = ClosedLoad(
            virtual_users=options.vus,
            ramp_up_seconds=1.0,
            hold_seconds=max(seconds - 2.0, 0.0),
            ramp_down_seconds=1.0,
        )
    else:
        load = OpenLoad(arrivals_per_minute=options.arrivals_per_minute, seconds=seconds)
    declared = None if pool.llm is None else pool.llm.tokens_per_minute
    scenario = scenario_of(
        pool,
        load,
        tokens_per_minute=options.tokens_per_minute or declared or DEFAULT_TOKENS_PER_MINUTE,
        nodes=Nodes(
            count=options.nodes,
            cpu_millicores=options.node_cpu,
            memory_mebibytes=options.node_memory,
        ),
        worker=Worker(
            concurrency=options.concurrency,
            memory_limit_mebibytes=options.memory_limit,
            outside_pods=0,
        ),
        cpu_seconds=options.cpu_seconds,
    )
    console.print(_expectation(expect(scenario, options.seed)))
    if options.drain_seconds is not None:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("")
            needed = need(
                scenario,
                options.seed,
                options.drain_seconds,
                lambda what: progress.update(task, description=f"trying {what}"),
            )
        console.print(_needs(needed, options.drain_seconds))


def _expectation(found: Expected) -> Table:
    final = found.result.final
    table = Table(title="What to expect", title_justify="left", show_header=False)
    use = (
        f"{found.tokens_per_minute_mean:,.0f} on average, "
        f"{found.tokens_per_minute_peak:,.0f} in the busiest minute"
    )
    limit = "none"
    if found.first_limit is not None:
        after = max(found.first_limit_at or 0.0, 0.0)
        limit = f"{found.first_limit}, after {after:,.0f} s: {found.first_limit_reason}"
    drain = "not within half an hour"
    if found.drain_seconds is not None:
        drain = f"after {found.drain_seconds:,.0f} s"
    rows = (
        ("ready replicas", f"{found.replicas_mean:.1f} on average, {found.replicas_most} at most"),
        ("tokens per minute", use),
        ("items", f"{final.submitted:,} submitted, {final.failed:,} failed"),
        ("429s", f"{final.rate_refusals:,}, {final.refused_share:.2%} of the calls"),
        ("empty after the load's end", drain),
        ("first limit that binds", limit),
    )
    for name, value in rows:
        table.add_row(name, value)
    return table


def _needs(needed: Needed, drain_seconds: float) -> Table:
    table = Table(
        title=f"The least that is empty within {drain_seconds:,.0f} s, the rest as it is",
        title_justify="left",
        show_header=False,
    )
    for name, value in (
        ("token limit (TPM)", needed.tokens_per_minute),
        ("maxReplicas", needed.max_replicas),
        ("memory limit (Mi)", needed.memory_limit_mebibytes),
    ):
        table.add_row(name, "on its own, none is enough" if value is None else f"{value:,}")
    return table
