"""The course of a bench: create, start, settle, measure steady loads, then waves."""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field

from scanpool_sandbox.bench import objects
from scanpool_sandbox.bench.cluster import DEPLOYMENTS, POOLS, Bystander
from scanpool_sandbox.bench.figures import Process, Samples, process, samples
from scanpool_sandbox.bench.objects import Plan
from scanpool_sandbox.bench.servers import Servers
from scanpool_sandbox.bench.waves import Delays, declare, wave
from scanpool_sandbox.processes import ChildProcess

START_SECONDS = 600.0
"""For all first decisions."""
READY_SECONDS = 60.0
"""Without one more pod that is ready for so long, none will be: a cluster need not run any."""
SETTLE_SECONDS = 90.0
"""After the start: figures that are averaged over a minute come to rest, some ticks after it."""
IMAGE = "registry.k8s.io/pause:3.9"
WARM_SECONDS = 5.0


@dataclass
class Span:
    """What was so at the start and at the end of a time."""

    seconds: float
    before: Samples
    after: Samples
    processes: dict[str, tuple[Process, Process]]


@dataclass
class Figures:
    """All that was measured."""

    plan: Plan
    all_decided_seconds: float | None
    steady: Span
    waves: Span | None = None
    delays: Delays = field(default_factory=Delays)
    stopped_seconds: float | None = None


async def run(servers: Servers, plan: Plan, seconds: float, waves: int) -> Figures:
    """Carry out a bench on servers that are up, and remove what it has created."""
    async with Bystander(servers.api_url) as bystander:
        try:
            await _create(servers, plan, bystander)
            return await _measure(servers, plan, bystander, seconds, waves)
        finally:
            if not servers.is_stand_in:
                for namespace in plan.namespaces:
                    await bystander.delete(f"/api/v1/namespaces/{namespace}")


async def _create(servers: Servers, plan: Plan, bystander: Bystander) -> None:
    _tell(f"creating {plan.pools} queues, Deployments and pools")
    await asyncio.to_thread(declare, servers.rabbitmq.amqp_url(), plan.names)
    await bystander.create("/api/v1/namespaces", map(objects.namespace, plan.namespaces))
    secret = objects.secret(plan, f"{servers.rabbitmq.management_url}/eco2")
    for namespace in plan.namespaces:
        mine = [name for name in plan.names if name.namespace == namespace]
        await bystander.create(f"/api/v1/namespaces/{namespace}/secrets", [secret])
        deployments = (objects.deployment(name, IMAGE) for name in mine)
        await bystander.create(f"{DEPLOYMENTS}/namespaces/{namespace}/deployments", deployments)
    for name, pool in objects.pools(plan, servers.provider_url, servers.prometheus.url):
        await bystander.create(f"{POOLS}/namespaces/{name.namespace}/scanworkerpools", [pool])
    _tell("waiting for their pods")
    ready = -1
    while ready < len(bystander.ready) < plan.pools:
        ready = len(bystander.ready)
        await bystander.until(lambda: len(bystander.ready) == plan.pools, READY_SECONDS)
    if ready == len(bystander.ready):
        _tell(f"of {ready} Deployments pods are ready, of no more within a minute: going on")


async def _measure(
    servers: Servers, plan: Plan, bystander: Bystander, seconds: float, waves: int
) -> Figures:
    _tell("starting the operator")
    began = time.monotonic()
    operator = await servers.start_operator()
    all_decided = await bystander.until(lambda: len(bystander.decided) == plan.pools, START_SECONDS)
    decided_seconds = time.monotonic() - began if all_decided else None
    _tell(f"all have decided once: {decided_seconds}; settling")
    await asyncio.sleep(SETTLE_SECONDS)
    _tell(f"measuring {seconds:.0f} s of steady loads")
    figures = Figures(plan, decided_seconds, await _span(servers, asyncio.sleep(seconds)))

    async def all_waves() -> None:
        for number in range(waves):
            _tell(f"wave {number + 1} of {waves}")
            await wave(servers.rabbitmq.amqp_url(), bystander, plan.names, figures.delays)

    if waves:
        figures.waves = await _span(servers, all_waves())
    _tell("stopping the operator")
    figures.stopped_seconds = await asyncio.to_thread(_stop, operator)
    return figures


async def _span(servers: Servers, course: Awaitable[None]) -> Span:
    pids = {name: one.pid for name, one in servers.processes.items()}
    before = samples(await asyncio.to_thread(servers.metrics))
    at_first = {name: process(pid) for name, pid in pids.items()}
    began = time.monotonic()
    await course
    seconds = time.monotonic() - began
    at_last = {name: process(pid) for name, pid in pids.items()}
    after = samples(await asyncio.to_thread(servers.metrics))
    return Span(seconds, before, after, {name: (at_first[name], at_last[name]) for name in pids})


def _stop(operator: ChildProcess) -> float:
    began = time.monotonic()
    operator.stop(grace_seconds=600.0)
    return time.monotonic() - began


def _tell(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)
