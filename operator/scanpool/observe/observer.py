"""Read everything that one decision needs, at once, under one deadline."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

from scanpool.kube.cluster import Cluster
from scanpool.kube.watched import Watched
from scanpool.models.conditions import Reason
from scanpool.models.deliveries import Consuming
from scanpool.models.fields import SecretKeyRef
from scanpool.models.limit_names import limit_names
from scanpool.models.llm import ONLY, Llm, Usage
from scanpool.models.observation import (
    ConfiguredLimits,
    KeyUsage,
    Node,
    Observation,
    ProviderState,
    QueueDepth,
    QueuePace,
    QueueRates,
    Target,
)
from scanpool.models.placement import NamespaceRules
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.models.rivals import Rival
from scanpool.models.spec import PoolSpec, ScaleTargetRef
from scanpool.models.units import Clock
from scanpool.observe import in_time, queue_belief
from scanpool.observe.brokers import Brokers, SeenQueues
from scanpool.observe.noted import Note, noted
from scanpool.observe.secrets import Secrets
from scanpool.observe.shared_reads import SharedReads
from scanpool.sources import amqp, openai_admin, probe, prometheus
from scanpool.sources.broker_access import hosts
from scanpool.sources.failures import SourceError, reading
from scanpool.sources.http import HttpClients
from scanpool.sources.prometheus_session import FIELD
from scanpool.sources.urls import HTTP_PORTS, Address, parse_address
from scanpool.threads import in_thread

T = TypeVar("T")
Nodes = tuple[Node, ...]

# metrics-server measures this often (--metric-resolution), and cannot be watched.
WORKING_SETS_SECONDS = 15.0
# Limits of the administration change by hand, a few times a year, and a read takes several pages.
ADMIN_SECONDS = 300.0
# Pools that tick within these shares of a polling interval share what they read. A change of a
# queue waits for its pool's tick, and for as long again as the depths that this finds are old; use
# is an average over minutes.
SHARED_DEPTHS_PART = 0.2
SHARED_USAGE_PART = 0.5

# What a server says of a credential that was rotated a moment ago.
REFUSED = frozenset(
    {
        Reason.BROKER_AUTHENTICATION_FAILED,
        Reason.PROVIDER_AUTHENTICATION_FAILED,
        # Of Prometheus there is no other for it.
        Reason.PROMETHEUS_QUERY_FAILED,
        Reason.TLS_FAILED,
    }
)


class _Ask(NamedTuple):
    """What a pool asks for: `probe_ages` are how old answers to probes may be, in seconds."""

    namespace: str
    spec: PoolSpec
    probe_ages: Mapping[str, float]

    @property
    def depth_age(self) -> float:
        """How old depths that pools share may be, in seconds."""
        return self.spec.polling_interval_seconds * SHARED_DEPTHS_PART

    @property
    def usage_age(self) -> float:
        """How old the use of a key that pools share may be, in seconds."""
        return self.spec.polling_interval_seconds * SHARED_USAGE_PART


class Observer:
    """Everything outside that decisions are based on.

    `executor` runs the clients that block. `note` is told of each read: the kind of its source, the
    seconds that it took, and the reason if it failed.
    """

    def __init__(
        self,
        watched: Watched,
        cluster: Cluster,
        http: HttpClients,
        executor: Executor,
        note: Note,
        clock: Clock,
    ) -> None:
        self._watched = watched
        self._cluster = cluster
        self._http = http
        self._executor = executor
        self._note = note
        self._clock = clock
        self._shared = SharedReads(clock)
        self._secrets = Secrets(cluster, self._shared, clock)
        self._brokers = Brokers(http, self._shared, note, clock)
        self._nodes_with_used: tuple[Nodes, Mapping[str, int], Nodes] | None = None
        readers: Mapping[str, Callable[[_Ask], Awaitable[Reading[Any]]]] = {
            "queues": self._depths,
            "nodes": self._nodes,
            "rules": self._rules,
            "rates": self._rates,
            "paces": self._paces,
            "provider": self._provider,
            "keys": self._keys,
            "configured": self._configured,
            "usage": self._usage,
        }
        # By the names of `PoolSpec.readings`, which are the fields of an Observation.
        self._readers = {name: reading(read) for name, read in readers.items()}

    async def close(self) -> None:
        """End the reads that are under way."""
        await self._shared.close()

    async def read_target(self, namespace: str, ref: ScaleTargetRef) -> Reading[Target]:
        """Read what a pool scales, its pods, and their working sets."""
        found = await self._watched.read_target(namespace, ref)
        if isinstance(found, Unavailable):
            return found
        scope = self._watched.scope(namespace)
        read = partial(self._cluster.read_pods_used, scope)
        used = await self._shared.get(("pods used", scope), WORKING_SETS_SECONDS, read)
        if isinstance(used, Unavailable) or not used.value:
            return found
        pods = tuple(
            replace(pod, memory_used=used.value.get((namespace, pod.name)))
            for pod in found.value.pods
        )
        return replace(found, value=replace(found.value, pods=pods))

    async def read_rivals(
        self, namespace: str, pool: str, ref: ScaleTargetRef
    ) -> Reading[tuple[Rival, ...]]:
        """Read who else means to scale the target of a pool."""
        return await self._watched.read_rivals(namespace, pool, ref)

    def scaled(self, namespace: str, ref: ScaleTargetRef, replicas: int) -> None:
        """Take what was just written, until the watch tells it."""
        self._watched.scaled(namespace, ref, replicas)

    @reading
    async def read_consuming(
        self, namespace: str, spec: PoolSpec
    ) -> Reading[tuple[Consuming, ...]]:
        """Read which connections hold how many messages now, by the management API."""
        access = await self._secrets.of_management(namespace, spec.rabbitmq)
        return await self._brokers.get(access).consuming()

    async def read_keys(self, namespace: str, llm: Llm) -> Mapping[str, str]:
        """Return the API keys that a pool burns, each once, by its names for them.

        One that cannot be read is absent, and may be the probe's gap already. Peers then see the
        pool's use of it as that of others.
        """
        texts = await self._distinct_keys(namespace, llm)
        return {name: text for name, text in texts.items() if text is not None}

    async def observe(
        self, namespace: str, spec: PoolSpec, target: Target, probe_ages: Mapping[str, float]
    ) -> Observation:
        """Read what `spec` names, all at once. What is not there in time is unavailable.

        `probe_ages` is how old the answers to probes may be, in seconds, by the key's name.
        """
        ask = _Ask(namespace, spec, probe_ages)
        reads = {name: self._reading(name, ask) for name in spec.readings}
        found = await in_time.all_of(reads)
        return Observation(target=target, **found | _told_apart(found["queues"]))

    async def _reading(self, name: str, ask: _Ask) -> Reading[Any]:
        """Read, and once more where a credential is refused that may have been rotated."""
        read = self._readers[name]
        found = await read(ask)
        is_refused = any(one.reason in REFUSED for one in _gaps(found))
        return await read(ask) if is_refused and self._secrets.doubt(ask.namespace) else found

    async def _depths(self, ask: _Ask) -> Reading[SeenQueues]:
        """Read depths by the management API, or by AMQP where that is all the pool names.

        Never by AMQP because the management API fails: ready messages alone look like an emptier
        queue, and the pool would shrink.
        """
        rabbitmq = ask.spec.rabbitmq
        names = tuple(queue.name for queue in rabbitmq.queues)
        if rabbitmq.management_url_secret_ref is not None:
            access = await self._secrets.of_management(ask.namespace, rabbitmq)
            asked = tuple(queue.asked for queue in rabbitmq.queues)
            return await self._brokers.get(access).depths(asked, ask.depth_age)
        access = await self._secrets.of_amqp(ask.namespace, rabbitmq)
        for host in hosts(access.url):
            self._check(parse_address(host, amqp.DEFAULT_PORTS, amqp.REMEDY))
        return _only(
            names, await self._read_in_thread(ask.depth_age, amqp.read_ready, access, names)
        )

    async def _rates(self, ask: _Ask) -> Reading[tuple[QueueRates, ...]]:
        """Read what is worked off; a queue whose part of the use is needed must be among it."""
        rabbitmq, usage = ask.spec.rabbitmq, _named(ask.spec.llm).usage
        access = await self._secrets.of_management(ask.namespace, rabbitmq)
        asked = tuple(queue.asked for queue in rabbitmq.queues)
        found = await self._brokers.get(access).rates(asked, usage.window_seconds)
        if isinstance(found, Unavailable):
            return found
        is_own_told = usage.prometheus is not None and bool(usage.prometheus.own_labels)
        for queue in rabbitmq.queues if not is_own_told else ():
            rate = found.value[queue.name]
            if queue.tokens_per_message and isinstance(rate, Unavailable):
                return rate
        known = (rate for rate in found.value.values() if not isinstance(rate, Unavailable))
        return Available(tuple(known), found.at, found.source)

    async def _paces(self, ask: _Ask) -> Reading[tuple[QueuePace, ...]]:
        rabbitmq = ask.spec.rabbitmq
        # Over the window of the rates, where they are read too: both are one read then.
        usage = Usage() if ask.spec.llm is None else ask.spec.llm.usage
        access = await self._secrets.of_management(ask.namespace, rabbitmq)
        asked = tuple(queue.asked for queue in rabbitmq.queues)
        return await self._brokers.get(access).paces(asked, usage.window_seconds)

    async def _provider(self, ask: _Ask) -> Reading[ProviderState]:
        return await self._with_key(ask, ONLY)

    async def _keys(self, ask: _Ask) -> Reading[Mapping[str, Reading[ProviderState]]]:
        """Ask with each of several keys, at once. What is the same key again is left out."""
        names = await self._distinct_keys(ask.namespace, _named(ask.spec.llm))
        answers = await asyncio.gather(*(reading(self._with_key)(ask, name) for name in names))
        found = {name: _of_key(name, one) for name, one in zip(names, answers, strict=True)}
        return Available(found, self._clock(), probe.SOURCE)

    async def _distinct_keys(self, namespace: str, llm: Llm) -> Mapping[str, str | None]:
        """Return the keys, each under its first name; None for one that cannot be read."""
        found: dict[str, str | None] = {}
        for name, ref in llm.key_refs.items():
            text = await _text(self._secrets, namespace, ref)
            if text is None or text not in found.values():
                found[name] = text
        return found

    async def _with_key(self, ask: _Ask, name: str) -> Reading[ProviderState]:
        llm = _named(ask.spec.llm)
        ref = llm.key_refs[name]
        api_key, version = await self._secrets.read(ask.namespace, ref)
        client = self._http.get(None)
        asked = (client, llm.provider, llm.api_base, llm.api_version, api_key, llm.model)
        found = await self._read(ask.probe_ages[name], probe.probe, *asked)
        written_at = self._secrets.written_at(ask.namespace, ref, version)
        if isinstance(found, Unavailable) or not found.value.refused_with:
            return found
        # The next tick looks whether the key was written meanwhile.
        self._secrets.doubt(ask.namespace)
        if found.at > written_at:
            return found
        # Whoever writes the Secret while nobody pays may say that it has been seen to.
        return await self._read(self._clock() - written_at, probe.probe, *asked)

    async def _configured(self, ask: _Ask) -> Reading[ConfiguredLimits]:
        llm = _named(ask.spec.llm)
        admin = _named(llm.admin)
        admin_key = await self._secrets.text(ask.namespace, admin.api_key_secret_ref)
        asked = (self._http.get(None), llm.api_base, admin_key, admin.project_id, llm.model)
        return await self._read(ADMIN_SECONDS, openai_admin.read_limits, *asked)

    async def _usage(self, ask: _Ask) -> Reading[KeyUsage]:
        llm = _named(ask.spec.llm)
        config = _named(llm.usage.prometheus)
        self._check(parse_address(config.url, HTTP_PORTS, f"{FIELD}.url"))
        credentials = await self._secrets.of_prometheus(ask.namespace, config)
        limit = limit_names(llm.provider, llm.model, llm.shared_with)
        asked = (config, limit, llm.usage.window_seconds, credentials)
        return await self._read_in_thread(ask.usage_age, prometheus.read_usage, *asked)

    async def _nodes(self, _: _Ask) -> Reading[Nodes]:
        """Read the nodes as they are now: as the pods are that run on them."""
        found = await self._watched.read_nodes()
        if isinstance(found, Unavailable):
            return found
        read = self._cluster.read_nodes_used
        used = await self._shared.get("nodes used", WORKING_SETS_SECONDS, read)
        if isinstance(used, Unavailable) or not used.value:
            return found
        return replace(found, value=self._with_used(found.value, used.value))

    def _with_used(self, nodes: Nodes, used: Mapping[str, int]) -> Nodes:
        """Return nodes with what is in use of their memory; made once for all pools."""
        before = self._nodes_with_used
        if before is None or before[0] is not nodes or before[1] is not used:
            made = tuple(replace(one, memory_used=used.get(one.name)) for one in nodes)
            before = self._nodes_with_used = nodes, used, made
        return before[2]

    async def _rules(self, ask: _Ask) -> Reading[NamespaceRules]:
        return await self._watched.read_rules(ask.namespace)

    def _check(self, address: Address) -> None:
        """Refuse a host that clients other than httpx's would be sent to, if it is not allowed."""
        self._http.allowed.check(address.host, address.port)

    async def _read(
        self, age: float, source: Callable[..., Awaitable[Reading[T]]], *asked: Hashable
    ) -> Reading[T]:
        """Read a source, unless it was asked the same less than `age` seconds ago."""
        read = partial(source, *asked, clock=self._clock)
        note = partial(noted, self._note, _kind(source), read)
        return await self._shared.get((source, *asked), age, note)

    async def _read_in_thread(
        self, age: float, source: Callable[..., Reading[T]], *asked: Hashable
    ) -> Reading[T]:
        read = partial(in_thread, self._executor, source, *asked, clock=self._clock)
        note = partial(noted, self._note, _kind(source), read)
        return await self._shared.get((source, *asked), age, note)


def _kind(source: Callable[..., Any]) -> str:
    """Return what the metrics call a source: its module."""
    return source.__module__.rpartition(".")[2]


async def _text(secrets: Secrets, namespace: str, ref: SecretKeyRef) -> str | None:
    """Return a key without the white space around it; None if it cannot be read."""
    try:
        return (await secrets.text(namespace, ref)).strip()
    except SourceError:
        return None


def _of_key(name: str, answer: Reading[ProviderState]) -> Reading[ProviderState]:
    """Return the answer with one of several keys; why there is none names the key."""
    if isinstance(answer, Available):
        return answer
    message = answer.message.replace("llm.apiKeySecretRef", "llm.apiKeySecretRefs")
    return Unavailable(answer.reason, f"with the key {name}: {message}")


def _named(part: T | None) -> T:
    """Return a part of the spec that a pool names which asks for this reading."""
    if part is None:
        raise ValueError("a pool that does not name its source asks for no such reading")
    return part


def _only(
    names: tuple[str, ...], found: Reading[Mapping[str, QueueDepth | Unavailable]]
) -> Reading[SeenQueues]:
    """Pick a pool's queues from those of its vhost. A queue that is missing is not an empty one."""
    if isinstance(found, Unavailable):
        return found
    missing = partial(queue_belief.missing, was_auto_deleted=False)
    told = [found.value.get(name) or missing(name).doubt for name in names]
    gaps = tuple(one for one in told if isinstance(one, Unavailable))
    depths = tuple(one for one in told if isinstance(one, QueueDepth))
    if gaps and not depths:
        return gaps[0]
    return Available(SeenQueues(depths, gaps), found.at, found.source)


def _gaps(found: Reading[Any]) -> Iterator[Unavailable]:
    """Yield why a reading is not there, or the parts of one that has several, as keys have."""
    if isinstance(found, Unavailable):
        yield found
    elif isinstance(found.value, Mapping):
        yield from (one for one in found.value.values() if isinstance(one, Unavailable))


def _told_apart(queues: Reading[SeenQueues]) -> dict[str, Any]:
    """Return the depths that are known, and beside them why others are not."""
    if isinstance(queues, Unavailable):
        return {"queues": queues}
    depths, gaps = queues.value
    return {"queues": Available(depths, queues.at, queues.source), "queue_gaps": gaps}
