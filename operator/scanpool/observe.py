"""Read everything that one decision needs, at once, under one deadline."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from functools import partial
from typing import Any, Protocol, TypeVar

import httpx

from scanpool.cluster import Cluster
from scanpool.cluster_objects import SecretText
from scanpool.models.conditions import Reason
from scanpool.models.fields import SecretKeyRef
from scanpool.models.llm import Admin, Llm, Prometheus
from scanpool.models.observation import (
    ConfiguredLimits,
    KeyUsage,
    Node,
    Observation,
    ProviderState,
    QueueDepth,
    QueueRates,
    Target,
)
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.models.spec import PoolSpec, RabbitMQ
from scanpool.sharing import SharedReads
from scanpool.sources import amqp, management, openai_admin, probe, prometheus
from scanpool.sources.http import HttpClients, InvalidCertificatesError
from scanpool.threads import in_thread

T = TypeVar("T")

# The broker renews its statistics every 5 s (collect_statistics_interval): asking more often
# repeats the same figures.
STATISTICS_SECONDS = 5.0
# Nodes change slowly, and listing every pod is the dearest read there is.
NODES_SECONDS = 5.0
# Limits of the administration change by hand, a few times a year, and a read takes several pages.
ADMIN_SECONDS = 300.0
# Longer than any single source's own time-out: reached only by several in a row.
DEADLINE_SECONDS = 15.0
# Pools that tick within this share of a polling interval share what they read.
SHARED_PART = 0.5
# A rotated password counts this soon.
SECRET_SECONDS = 5.0


class _Named(Protocol):
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=_Named)


class _GapError(Exception):
    """A reading cannot be made because something that it needs is not there."""

    def __init__(self, gap: Unavailable) -> None:
        super().__init__(gap.reason)
        self.gap = gap


class Observer:
    """Everything outside that decisions are based on. `executor` runs the clients that block.

    `identify` tells one shared limit from another, by provider, key and model.
    """

    def __init__(
        self,
        cluster: Cluster,
        http: HttpClients,
        executor: Executor,
        identify: Callable[[str, str, str], str],
        clock: Callable[[], float],
    ) -> None:
        self._cluster = cluster
        self._identify = identify
        self._http = http
        self._executor = executor
        self._clock = clock
        self._shared = SharedReads(clock)
        # Of each API key: the version of its Secret, and when that was first seen.
        self._versions: dict[tuple[str, SecretKeyRef], tuple[str, float]] = {}

    async def close(self) -> None:
        """End the reads that are under way."""
        await self._shared.close()

    async def read_target(self, namespace: str, name: str) -> Reading[Target]:
        """Read the Deployment that a pool scales."""
        return await in_thread(self._executor, self._cluster.read_target, namespace, name)

    async def observe(
        self, namespace: str, spec: PoolSpec, target: Target, probe_age: float
    ) -> Observation:
        """Read what `spec` names, all at once. What is not there in time is unavailable.

        `probe_age` is how old the answer to a probe may be, in seconds.
        """
        max_age = spec.polling_interval_seconds * SHARED_PART
        reads: dict[str, Awaitable[Reading[Any]]] = {
            "queues": self._depths(namespace, spec.rabbitmq, max_age)
        }
        if spec.memory.enabled:
            reads["nodes"] = self._nodes()
        if (llm := spec.llm) is not None:
            if (url_ref := spec.rabbitmq.management_url_secret_ref) is not None:
                window = llm.usage.window_seconds
                reads["rates"] = self._rates(namespace, spec.rabbitmq, url_ref, window)
            if llm.api_key_secret_ref is not None and llm.probe.enabled:
                reads["provider"] = self._provider(
                    namespace, llm, llm.api_key_secret_ref, probe_age
                )
            if llm.admin is not None:
                reads["configured"] = self._configured(namespace, llm, llm.admin)
            if llm.usage.prometheus is not None:
                reads["usage"] = self._usage(namespace, llm, llm.usage.prometheus, max_age)
        found: dict[str, Any] = {**await _all_in_time(reads)}
        return Observation(
            target=target, identity=await self._identity(namespace, spec.llm), **found
        )

    async def _depths(
        self, namespace: str, rabbitmq: RabbitMQ, max_age: float
    ) -> Reading[tuple[QueueDepth, ...]]:
        """Read depths by the management API, or by AMQP where that is all the pool names.

        Never by AMQP because the management API fails: ready messages alone look like an emptier
        queue, and the pool would shrink.
        """
        names = tuple(queue.name for queue in rabbitmq.queues)
        ca = await self._optional_secret(namespace, rabbitmq.ca_secret_ref)
        if (ref := rabbitmq.management_url_secret_ref) is not None:
            url = await self._secret(namespace, ref)
            read = partial(
                management.read_depths, self._client(ca), url, rabbitmq.vhost, clock=self._clock
            )
            key: tuple[object, ...] = ("depths", url, rabbitmq.vhost, ca)
            return _only(names, await self._shared.get(key, max_age, read))
        if (ref := rabbitmq.url_secret_ref) is None:
            raise ValueError("a pool that names no broker is refused when it is parsed")
        url = await self._secret(namespace, ref)
        read = partial(
            in_thread,
            self._executor,
            amqp.read_ready,
            url,
            rabbitmq.vhost,
            ca,
            names,
            clock=self._clock,
        )
        key = ("ready", url, rabbitmq.vhost, ca, names)
        return _only(names, await self._shared.get(key, max_age, read))

    async def _rates(
        self, namespace: str, rabbitmq: RabbitMQ, url_ref: SecretKeyRef, window: int
    ) -> Reading[tuple[QueueRates, ...]]:
        ca = await self._optional_secret(namespace, rabbitmq.ca_secret_ref)
        url = await self._secret(namespace, url_ref)
        read = partial(
            management.read_rates,
            self._client(ca),
            url,
            rabbitmq.vhost,
            window_seconds=window,
            clock=self._clock,
        )
        key = ("rates", url, rabbitmq.vhost, ca, window)
        found = await self._shared.get(key, STATISTICS_SECONDS, read)
        if isinstance(found, Unavailable):
            return found
        # Statistics of a new queue come some seconds after the queue: until then they are unknown.
        known = (found.value.get(queue.name) for queue in rabbitmq.queues)
        present = tuple(rates for rates in known if rates is not None)
        return Available(present, found.at, found.source)

    async def _provider(
        self, namespace: str, llm: Llm, ref: SecretKeyRef, max_age: float
    ) -> Reading[ProviderState]:
        api_key, version = await self._read_secret(namespace, ref)
        asked = (llm.provider, llm.api_base, llm.api_version, api_key, llm.model)
        read = partial(probe.probe, self._client(None), *asked, clock=self._clock)
        found = await self._shared.get(("provider", *asked), max_age, read)
        written_at = self._written_at(namespace, ref, version)
        if isinstance(found, Unavailable) or not found.value.billing_code or found.at > written_at:
            return found
        # Whoever writes the Secret while nobody pays may say that it has been seen to.
        return await self._shared.get(("provider", *asked), self._clock() - written_at, read)

    async def _identity(self, namespace: str, llm: Llm | None) -> str | None:
        """Return what stands for the pool's key and model; None while the key cannot be read."""
        if llm is None or llm.api_key_secret_ref is None:
            return None
        try:
            api_key = await self._secret(namespace, llm.api_key_secret_ref)
        except _GapError:
            # It may be the probe's gap already. Peers then see the pool's use as that of others.
            return None
        return self._identify(llm.provider, api_key, llm.model)

    async def _configured(
        self, namespace: str, llm: Llm, admin: Admin
    ) -> Reading[ConfiguredLimits]:
        admin_key = await self._secret(namespace, admin.api_key_secret_ref)
        asked = (llm.api_base, admin_key, admin.project_id, llm.model)
        read = partial(openai_admin.read_limits, self._client(None), *asked, clock=self._clock)
        return await self._shared.get(("configured", *asked), ADMIN_SECONDS, read)

    async def _usage(
        self, namespace: str, llm: Llm, config: Prometheus, max_age: float
    ) -> Reading[KeyUsage]:
        token = await self._optional_secret(namespace, config.bearer_token_secret_ref)
        window = llm.usage.window_seconds
        read = partial(
            in_thread,
            self._executor,
            prometheus.read_usage,
            config,
            llm.model,
            window,
            token,
            clock=self._clock,
        )
        return await self._shared.get(("usage", config, llm.model, window, token), max_age, read)

    async def _nodes(self) -> Reading[tuple[Node, ...]]:
        read = partial(in_thread, self._executor, self._cluster.read_nodes)
        return await self._shared.get("nodes", NODES_SECONDS, read)

    async def _secret(self, namespace: str, ref: SecretKeyRef) -> str:
        return (await self._read_secret(namespace, ref)).text

    async def _read_secret(self, namespace: str, ref: SecretKeyRef) -> SecretText:
        read = partial(in_thread, self._executor, self._cluster.read_secret, namespace, ref)
        found = await self._shared.get(("secret", namespace, ref), SECRET_SECONDS, read)
        if isinstance(found, Unavailable):
            raise _GapError(found)
        return found.value

    def _written_at(self, namespace: str, ref: SecretKeyRef, version: str) -> float:
        """Return when the Secret was first seen to be written; 0 while it is as it was at first."""
        before = self._versions.get((namespace, ref))
        if before is None or before[0] != version:
            before = (version, 0.0 if before is None else self._clock())
            self._versions[namespace, ref] = before
        return before[1]

    async def _optional_secret(self, namespace: str, ref: SecretKeyRef | None) -> str | None:
        return None if ref is None else await self._secret(namespace, ref)

    def _client(self, ca: str | None) -> httpx.AsyncClient:
        try:
            return self._http.get(ca)
        except InvalidCertificatesError as error:
            raise _GapError(
                Unavailable(
                    Reason.TLS_FAILED, f"{error}; correct the Secret of rabbitmq.caSecretRef"
                )
            ) from error


def _only(names: tuple[str, ...], found: Reading[Mapping[str, N]]) -> Reading[tuple[N, ...]]:
    """Pick a pool's queues from those of its vhost. A queue that is missing is not an empty one."""
    if isinstance(found, Unavailable):
        return found
    missing = [name for name in names if name not in found.value]
    if missing:
        return Unavailable(
            Reason.QUEUE_NOT_FOUND,
            f"the broker has no queue {', '.join(map(repr, missing))}: declare it (the workers "
            "may not have started yet), or correct spec.rabbitmq.queues and the vhost",
        )
    return Available(tuple(found.value[name] for name in names), found.at, found.source)


async def _all_in_time(
    reads: Mapping[str, Awaitable[Reading[Any]]],
) -> dict[str, Reading[Any]]:
    tasks = {name: asyncio.ensure_future(_answered(read)) for name, read in reads.items()}
    _, late = await asyncio.wait(tasks.values(), timeout=DEADLINE_SECONDS)
    for task in late:
        task.cancel()
    return {
        name: _too_late(name) if task in late else task.result() for name, task in tasks.items()
    }


async def _answered(read: Awaitable[Reading[T]]) -> Reading[T]:
    try:
        return await read
    except _GapError as error:
        return error.gap


def _too_late(name: str) -> Unavailable:
    return Unavailable(
        Reason.DEADLINE_EXCEEDED,
        f"reading {name} took longer than {DEADLINE_SECONDS:.0f} s: see whether its server, or "
        "the operator's CPU, is overloaded",
    )
