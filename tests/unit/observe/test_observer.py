import asyncio
import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib import import_module
from typing import Any, cast

import pytest

from builders import (
    API_KEY,
    BROKER,
    NOW,
    VISION,
    WHOLE_KEY,
    llm,
    pool,
    queue,
    secret,
    seen,
    target,
    unseen,
)
from scanpool.kube.secret import Secret
from scanpool.models.broker import BrokerNode, BrokerState, QueueReport, RateReport
from scanpool.models.conditions import Reason
from scanpool.models.fields import SecretKeyRef
from scanpool.models.http_access import BasicAuth, Header
from scanpool.models.limit_names import limit_names
from scanpool.models.llm import ONLY, Admin, Probe, Prometheus, Provider, Usage, UsagePreset
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
from scanpool.models.spec import MemoryTarget, PoolSpec, RabbitMQ, ScaleTargetRef
from scanpool.observe import broker_history, in_time
from scanpool.observe.broker_history import Counts
from scanpool.observe.brokers import STATISTICS_SECONDS
from scanpool.observe.observer import ADMIN_SECONDS, Observer
from scanpool.observe.secrets import DOUBT_SECONDS, SECRET_SECONDS
from scanpool.sources.allowed_hosts import AllowedHosts
from scanpool.sources.broker_access import Access
from scanpool.sources.failures import SourceError
from scanpool.sources.prometheus_session import Credentials

AMQP = SecretKeyRef(name="scan-secret", key="CELERY_BROKER_URL")
CA = SecretKeyRef(name="scan-secret", key="ca.crt")
BEARER = SecretKeyRef(name="monitoring", key="token")
TENANT = SecretKeyRef(name="monitoring", key="tenant")
PROMETHEUS_CA = SecretKeyRef(name="monitoring", key="ca.crt")
USER = SecretKeyRef(name="monitoring", key="username")
PASSWORD = SecretKeyRef(name="monitoring", key="password")
ADMIN_KEY = SecretKeyRef(name="scan-admin", key="OPENAI_ADMIN_KEY")
ADMIN = Admin(api_key_secret_ref=ADMIN_KEY, project_id="proj_1")
SECRETS: dict[SecretKeyRef, str] = {
    BROKER: "http://user:password@broker:15672/",
    AMQP: "amqp://user:password@broker/",
    CA: "-----BEGIN CERTIFICATE-----",
    API_KEY: "sk-test",
    BEARER: "bearer",
    TENANT: "scan",
    PROMETHEUS_CA: "-----BEGIN CERTIFICATE-----",
    USER: "user",
    PASSWORD: "password",
    ADMIN_KEY: "sk-admin",
}
TARGET = target(2)
PROBE_AGE = {ONLY: 60.0}
DEPTHS = {VISION: QueueDepth(VISION, 3, 4), "other": QueueDepth("other", 1, 1)}
QUEUES = {name: QueueReport(name, one.ready, one.unacked) for name, one in DEPTHS.items()}
RATES = {VISION: QueueRates(VISION, 2.0)}
COUNTED = {
    VISION: RateReport(
        VISION, has_statistics=True, acked=9_000, acked_per_second=2.0, delivered=9_100
    )
}
BROKER_STATE = BrokerState(nodes=(BrokerNode("rabbit@one", is_running=True, uptime=86_400.0),))
READINGS = ("queues", "paces", "rates", "provider", "configured", "usage", "nodes", "rules")


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class FakeCluster:
    """Secrets and nodes."""

    def __init__(self) -> None:
        self.secrets = dict(SECRETS)
        self.secret_reads: list[tuple[str, str]] = []
        self.node_reads = 0
        self.used_reads = 0
        self.pods_used: dict[tuple[str, str], int] = {}
        self.versions = {ref.name: 1 for ref in SECRETS}

    def write(self, ref: SecretKeyRef, text: str) -> None:
        """Write a Secret; whatever is written, it has another version."""
        self.versions[ref.name] = self.versions.get(ref.name, 0) + 1
        self.secrets[ref] = text

    def drop(self, name: str) -> None:
        """Delete a Secret."""
        self.versions.pop(name, None)

    async def read_secret(self, namespace: str, name: str) -> Reading[Secret]:
        self.secret_reads.append((namespace, name))
        if name not in self.versions:
            return unseen(Reason.SECRET_NOT_FOUND)
        return secret(self.secrets, name, str(self.versions[name]))

    async def read_nodes(self) -> Reading[tuple[Node, ...]]:
        self.node_reads += 1
        return seen(())

    async def read_rules(self, namespace: str) -> Reading[NamespaceRules]:
        assert namespace in ("scan", "team")
        return seen(NamespaceRules())

    async def read_target(self, namespace: str, ref: ScaleTargetRef) -> Reading[Target]:
        return seen(replace(TARGET, selector=f"{namespace}/{ref.name}"))

    def scope(self, _: str) -> str:
        return ""

    async def read_pods_used(self, namespace: str) -> Reading[Mapping[tuple[str, str], int]]:
        assert not namespace
        self.used_reads += 1
        return seen(self.pods_used)

    async def read_nodes_used(self) -> Reading[Mapping[str, int]]:
        return seen({})


class FakeHttpClients:
    def __init__(self) -> None:
        self.allowed = AllowedHosts()

    def get(
        self, ca_pem: str | None, identity: object = None, server_name: str | None = None
    ) -> Any:
        assert (identity, server_name) == (None, None)
        if ca_pem == "garbage":
            raise SourceError(Reason.TLS_FAILED, "correct rabbitmq.caSecretRef")
        return ("client that trusts", ca_pem)


class Sources:
    """Stands in for the functions that read; `calls` says what they were given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: dict[str, list[dict[str, Any]]] = {}
        self.answers: dict[str, Reading[Any]] = {
            "broker_state.read_broker": seen(BROKER_STATE),
            "management.read_queues": seen(QUEUES),
            "management.read_queue": seen(None),
            "management.read_rates": seen(COUNTED),
            "amqp.read_ready": seen({VISION: QueueDepth(VISION, 3, None)}),
            "probe.probe": seen(ProviderState(tokens_per_minute=1)),
            "openai_admin.read_limits": seen(ConfiguredLimits(tokens_per_minute=2)),
            "prometheus.read_usage": seen(KeyUsage(1.0)),
        }
        self.by_key: dict[object, Reading[Any]] = {}
        self.hanging: set[str] = set()
        for name in self.answers:
            self._stand_in(monkeypatch, name)

    def _stand_in(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        module, _, function = name.partition(".")
        real: Callable[..., Any] = getattr(import_module(f"scanpool.sources.{module}"), function)
        signature = inspect.signature(real)

        def answer(*args: object, **kwargs: object) -> Reading[Any]:
            # What the real function would not take must not pass here.
            given = signature.bind(*args, **kwargs).arguments
            self.calls.setdefault(name, []).append(given)
            return self.by_key.get(given.get("api_key"), self.answers[name])

        async def answer_in_time(*args: object, **kwargs: object) -> Reading[Any]:
            answered = answer(*args, **kwargs)
            if name in self.hanging:
                await asyncio.Event().wait()
            return answered

        is_async = inspect.iscoroutinefunction(real)
        stand_in: Callable[..., Any] = answer_in_time if is_async else answer
        # By its module a source is known in the metrics.
        stand_in.__module__ = real.__module__
        monkeypatch.setattr(f"scanpool.sources.{name}", stand_in)

    def count(self, name: str) -> int:
        return len(self.calls.get(name, []))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch) -> Sources:
    return Sources(monkeypatch)


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


@pytest.fixture
def notes() -> list[tuple[str, str | None]]:
    """What was told of reads: the kind of each source, and the reason if it failed."""
    return []


@pytest.fixture
async def observer(
    cluster: FakeCluster,
    sources: Sources,
    executor: ThreadPoolExecutor,
    notes: list[tuple[str, str | None]],
    clock: Clock,
) -> Any:
    assert sources
    made = Observer(
        cast("Any", cluster),
        cast("Any", cluster),
        cast("Any", FakeHttpClients()),
        executor,
        lambda kind, _, reason: notes.append((kind, reason)),
        clock,
    )
    yield made
    await made.close()


def full_pool(**changes: Any) -> PoolSpec:
    """Build a pool that asks for every reading, with a Secret for each that can have one."""
    usage = Usage(
        prometheus=Prometheus(
            url="http://prometheus:9090",
            preset=UsagePreset.OTEL_GENAI,
            bearer_token_secret_ref=BEARER,
            http_headers=(
                Header(name="X-Scope-OrgID", value_secret_ref=TENANT),
                Header(name="X-Team", value="scan"),
            ),
            ca_secret_ref=PROMETHEUS_CA,
        )
    )
    usual: dict[str, Any] = {
        "rabbitmq": RabbitMQ(management_url_secret_ref=BROKER, ca_secret_ref=CA, queues=(queue(),)),
        "llm": llm(api_key_secret_ref=API_KEY, admin=ADMIN, usage=usage),
        "memory": MemoryTarget(),
    }
    return pool(**{**usual, **changes})


def by_amqp(**changes: Any) -> RabbitMQ:
    return RabbitMQ(**{"url_secret_ref": AMQP, "queues": (queue(),), **changes})


def unavailable(observation: Observation) -> dict[str, Reason]:
    readings = {name: getattr(observation, name) for name in READINGS}
    return {
        name: reading.reason
        for name, reading in readings.items()
        if isinstance(reading, Unavailable)
    }


def asked(observation: Observation) -> set[str]:
    return {name for name in READINGS if getattr(observation, name) is not None}


async def test_everything_that_a_pool_asks_for_is_read(observer: Observer) -> None:
    observation = await observer.observe("scan", full_pool(), TARGET, PROBE_AGE)

    assert observation == Observation(
        target=TARGET,
        queues=seen((DEPTHS[VISION],)),
        rates=seen((RATES[VISION],)),
        paces=seen((QueuePace(VISION, None, 2.0, 9_100),)),
        provider=seen(ProviderState(tokens_per_minute=1)),
        configured=seen(ConfiguredLimits(tokens_per_minute=2)),
        usage=seen(KeyUsage(1.0)),
        rules=seen(NamespaceRules()),
        nodes=seen(()),
    )


async def test_the_key_that_a_pool_burns_is_read_once_with_its_probe(
    observer: Observer, cluster: FakeCluster
) -> None:
    spec = full_pool()
    await observer.observe("scan", spec, TARGET, PROBE_AGE)

    assert await observer.read_keys("scan", llm(api_key_secret_ref=API_KEY)) == {ONLY: "sk-test"}
    assert cluster.secret_reads.count(("scan", API_KEY.name)) == 1


async def test_a_pool_without_a_key_or_whose_key_cannot_be_read_shares_no_limit(
    observer: Observer, cluster: FakeCluster
) -> None:
    assert await observer.read_keys("scan", llm()) == {}

    cluster.drop(API_KEY.name)
    assert await observer.read_keys("scan", llm(api_key_secret_ref=API_KEY)) == {}
    unread = await observer.observe("scan", full_pool(), TARGET, PROBE_AGE)
    assert isinstance(unread.provider, Unavailable)


@pytest.mark.parametrize(
    ("spec", "readings"),
    [
        pytest.param(pool(), {"queues", "paces"}, id="queues-alone"),
        pytest.param(
            pool(memory=MemoryTarget()), {"queues", "paces", "nodes", "rules"}, id="with-memory"
        ),
        pytest.param(pool(llm=llm()), {"queues", "paces", "rates"}, id="limit-from-the-spec"),
        pytest.param(
            pool(llm=llm(api_key_secret_ref=API_KEY)),
            {"queues", "paces", "rates", "provider"},
            id="with-a-probe",
        ),
        pytest.param(
            pool(llm=llm(api_key_secret_ref=API_KEY, probe=Probe(enabled=False))),
            {"queues", "paces", "rates"},
            id="probe-switched-off",
        ),
        pytest.param(
            pool(llm=llm(admin=ADMIN)),
            {"queues", "paces", "rates", "configured"},
            id="with-an-admin-key",
        ),
        pytest.param(
            pool(llm=llm(usage=WHOLE_KEY)),
            {"queues", "paces", "rates", "usage"},
            id="with-prometheus",
        ),
        pytest.param(pool(llm=llm(), rabbitmq=by_amqp()), {"queues"}, id="amqp-shows-no-rates"),
    ],
)
async def test_what_a_pool_does_not_ask_for_is_not_read(
    observer: Observer, cluster: FakeCluster, spec: PoolSpec, readings: set[str]
) -> None:
    observation = await observer.observe("scan", spec, TARGET, PROBE_AGE)

    assert asked(observation) == readings
    assert unavailable(observation) == {}
    assert bool(cluster.node_reads) == ("nodes" in readings)


@pytest.mark.parametrize(
    ("ref", "readings"),
    [
        pytest.param(BROKER, {"queues", "paces", "rates"}, id="management-url"),
        pytest.param(CA, {"queues", "paces", "rates"}, id="ca"),
        pytest.param(API_KEY, {"provider"}, id="api-key"),
        pytest.param(ADMIN_KEY, {"configured"}, id="admin-key"),
        pytest.param(BEARER, {"usage"}, id="bearer-token"),
        pytest.param(TENANT, {"usage"}, id="header-of-prometheus"),
        pytest.param(PROMETHEUS_CA, {"usage"}, id="ca-of-prometheus"),
    ],
)
async def test_a_missing_key_is_the_reason_of_the_readings_that_need_it_and_only_those(
    observer: Observer, cluster: FakeCluster, ref: SecretKeyRef, readings: set[str]
) -> None:
    del cluster.secrets[ref]

    observation = await observer.observe("scan", full_pool(), TARGET, PROBE_AGE)

    assert unavailable(observation) == dict.fromkeys(readings, Reason.SECRET_KEY_NOT_FOUND)
    assert asked(observation) == set(READINGS)


@pytest.mark.parametrize(
    ("name", "readings"),
    [
        pytest.param(
            "scan-secret", {"queues", "rates", "paces", "provider"}, id="of-broker-and-key"
        ),
        pytest.param("scan-admin", {"configured"}, id="of-the-admin-key"),
        pytest.param("monitoring", {"usage"}, id="of-prometheus"),
    ],
)
async def test_a_missing_secret_is_the_reason_of_all_readings_that_need_it(
    observer: Observer, cluster: FakeCluster, name: str, readings: set[str]
) -> None:
    cluster.drop(name)

    observation = await observer.observe("scan", full_pool(), TARGET, PROBE_AGE)

    assert unavailable(observation) == dict.fromkeys(readings, Reason.SECRET_NOT_FOUND)
    assert asked(observation) == set(READINGS)


@pytest.mark.parametrize("ref", [AMQP, CA])
async def test_a_missing_key_of_amqp_is_the_queues_reason(
    observer: Observer, cluster: FakeCluster, sources: Sources, ref: SecretKeyRef
) -> None:
    del cluster.secrets[ref]

    observation = await observer.observe(
        "scan", pool(rabbitmq=by_amqp(ca_secret_ref=CA)), TARGET, PROBE_AGE
    )

    assert unavailable(observation) == {"queues": Reason.SECRET_KEY_NOT_FOUND}
    assert sources.count("amqp.read_ready") == 0


async def test_a_prometheus_with_a_user_and_models_that_share_a_limit(
    observer: Observer, sources: Sources
) -> None:
    basic = BasicAuth(username_secret_ref=USER, password_secret_ref=PASSWORD)
    usage = Usage(prometheus=Prometheus(url="http://p", query="tokens", basic_auth=basic))
    shared_with = ("gpt-5.2-codex", "gpt-5.2-2025-12-11")
    spec = full_pool(llm=llm(shared_with=shared_with, usage=usage))
    await observer.observe("scan", spec, TARGET, PROBE_AGE)

    (asked_for,) = sources.calls["prometheus.read_usage"]
    assert asked_for["credentials"] == Credentials(basic_auth=("user", "password"))
    assert asked_for["limit"].names == ("gpt-5.2", "gpt-5.2-codex")


async def test_every_source_gets_what_it_needs(observer: Observer, sources: Sources) -> None:
    spec = full_pool()
    await observer.observe("scan", spec, TARGET, PROBE_AGE)

    (depths,) = sources.calls["management.read_queues"]
    (probe,) = sources.calls["probe.probe"]
    (limits,) = sources.calls["openai_admin.read_limits"]
    (usage,) = sources.calls["prometheus.read_usage"]
    assert (depths["access"].url, depths["access"].vhost) == (SECRETS[BROKER], None)
    assert depths["http"] == ("client that trusts", SECRETS[CA])
    assert probe["http"] == ("client that trusts", None)
    assert (probe["provider"], probe["base_url"], probe["api_version"]) == (
        Provider.OPENAI, "https://api.openai.com/v1", None,
    )  # fmt: skip
    assert (probe["api_key"], probe["model"]) == ("sk-test", "gpt-5.2")
    assert limits["http"] == ("client that trusts", None)
    assert (limits["base_url"], limits["admin_key"]) == ("https://api.openai.com/v1", "sk-admin")
    assert (limits["project_id"], limits["model"]) == ("proj_1", "gpt-5.2")
    assert usage["limit"] == limit_names("openai", "gpt-5.2")
    assert usage["window_seconds"] == 60
    assert usage["credentials"] == Credentials(
        bearer_token="bearer", headers=(("X-Scope-OrgID", "scan"),), ca_pem=SECRETS[PROMETHEUS_CA]
    )


async def test_an_invalid_ca_is_a_matter_of_tls(
    observer: Observer, cluster: FakeCluster, sources: Sources
) -> None:
    cluster.write(CA, "garbage")

    observation = await observer.observe("scan", full_pool(), TARGET, PROBE_AGE)

    assert unavailable(observation) == dict.fromkeys(
        ("queues", "paces", "rates"), Reason.TLS_FAILED
    )
    assert isinstance(observation.queues, Unavailable)
    assert "rabbitmq.caSecretRef" in observation.queues.message
    assert sources.count("management.read_queues") == 0


async def test_amqp_is_read_where_only_that_is_named(observer: Observer, sources: Sources) -> None:
    rabbitmq = by_amqp(ca_secret_ref=CA, vhost="eco2")

    observation = await observer.observe("scan", pool(rabbitmq=rabbitmq), TARGET, PROBE_AGE)

    assert observation.queues == seen((QueueDepth(VISION, 3, None),))
    (given,) = sources.calls["amqp.read_ready"]
    assert given["access"] == Access(SECRETS[AMQP], "eco2", ca_pem=SECRETS[CA])
    assert given["queues"] == (VISION,)
    assert sources.count("management.read_queues") == 0


@pytest.mark.parametrize(
    ("pattern", "spec", "reading", "source"),
    [
        ("broker", full_pool(), "usage", "prometheus.read_usage"),
        ("prometheus:9090", pool(rabbitmq=by_amqp()), "queues", "amqp.read_ready"),
    ],
)
async def test_a_host_that_is_not_allowed_is_not_asked(
    cluster: FakeCluster,
    sources: Sources,
    executor: ThreadPoolExecutor,
    clock: Clock,
    pattern: str,
    spec: PoolSpec,
    reading: str,
    source: str,
) -> None:
    http = FakeHttpClients()
    http.allowed = AllowedHosts((pattern,))
    fake = cast("Any", cluster)
    observer = Observer(fake, fake, cast("Any", http), executor, lambda *_: None, clock)
    observation = await observer.observe("scan", spec, TARGET, PROBE_AGE)
    await observer.close()

    assert getattr(observation, reading).reason is Reason.HOST_NOT_ALLOWED
    assert sources.count(source) == 0


async def test_each_read_of_a_source_is_told_of(
    observer: Observer, sources: Sources, notes: list[tuple[str, str | None]]
) -> None:
    sources.answers["management.read_queues"] = unseen(Reason.BROKER_UNREACHABLE)

    await observer.observe("scan", full_pool(), TARGET, PROBE_AGE)
    await observer.observe("scan", pool(rabbitmq=by_amqp()), TARGET, PROBE_AGE)

    told = {kind: {reason for of, reason in notes if of == kind} for kind, _ in notes}
    assert told == {
        "management": {None, Reason.BROKER_UNREACHABLE},
        "amqp": {None},
        "probe": {None},
        "openai_admin": {None},
        "prometheus": {None},
    }


async def test_amqp_never_stands_in_for_a_management_api_that_fails(
    observer: Observer, sources: Sources
) -> None:
    sources.answers["management.read_queues"] = unseen(Reason.BROKER_UNREACHABLE)
    both = by_amqp(management_url_secret_ref=BROKER)

    observation = await observer.observe("scan", pool(rabbitmq=both), TARGET, PROBE_AGE)

    assert unavailable(observation) == {"queues": Reason.BROKER_UNREACHABLE}
    assert sources.count("amqp.read_ready") == 0


async def test_missing_queues_are_named_beside_the_depths_of_the_others(
    observer: Observer,
) -> None:
    spec = pool(queue(), queue("scan.typo"), queue("scan.gone"))

    observation = await observer.observe("scan", spec, TARGET, PROBE_AGE)

    assert observation.queues == seen((DEPTHS[VISION],))
    assert [gap.reason for gap in observation.queue_gaps] == [Reason.QUEUE_NOT_FOUND] * 2
    for name, gap in zip(("'scan.typo'", "'scan.gone'"), observation.queue_gaps, strict=True):
        assert name in gap.message


async def test_a_pool_whose_only_queue_is_missing_has_no_depth_and_not_an_empty_queue(
    observer: Observer,
) -> None:
    observation = await observer.observe("scan", pool(queue("scan.typo")), TARGET, PROBE_AGE)

    assert unavailable(observation) == {"queues": Reason.QUEUE_NOT_FOUND}


@pytest.mark.parametrize(
    ("tokens", "own_labels", "expected"),
    [
        pytest.param(3_000, False, Reason.STATISTICS_NOT_FOUND, id="needed"),
        pytest.param(0, False, None, id="costs-nothing"),
        pytest.param(3_000, True, None, id="told-by-labels"),
    ],
)
async def test_a_rate_that_the_pools_part_of_the_use_needs_must_be_known(
    observer: Observer,
    sources: Sources,
    tokens: int,
    own_labels: bool,
    expected: Reason | None,
) -> None:
    sources.answers["management.read_queues"] = seen({**QUEUES, "new": QueueReport("new", 0, 0)})
    labels = ({"name": "job", "value": "scan"},) if own_labels else ()
    prometheus = Prometheus.model_validate({"url": "http://p", "preset": "otel-genai"} | {
        "ownLabels": labels
    })  # fmt: skip
    spec = pool(
        queue(),
        queue("new", tokens=tokens),
        llm=llm(usage=Usage(prometheus=prometheus)),
    )

    observation = await observer.observe("scan", spec, TARGET, PROBE_AGE)

    if expected is None:
        assert observation.rates == seen((RATES[VISION],))
    else:
        assert unavailable(observation) == {"rates": expected}
        assert "'new'" in observation.rates.message


@pytest.mark.parametrize(
    ("source", "readings"),
    [
        ("management.read_queues", {"queues"}),
        ("management.read_rates", {"rates", "paces"}),
        ("probe.probe", {"provider"}),
        ("openai_admin.read_limits", {"configured"}),
    ],
)
async def test_a_source_that_hangs_does_not_take_the_others_with_it(
    observer: Observer,
    sources: Sources,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    readings: set[str],
) -> None:
    monkeypatch.setattr(in_time, "DEADLINE_SECONDS", 0.2)
    sources.hanging = {source}

    observation = await observer.observe("scan", full_pool(), TARGET, PROBE_AGE)

    assert unavailable(observation) == dict.fromkeys(readings, Reason.DEADLINE_EXCEEDED)
    for reading in readings:
        assert reading in getattr(observation, reading).message


async def test_what_a_broker_counts_is_taken_note_of_once_however_many_pools_share_it(
    observer: Observer, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted, really = [], broker_history.count

    def count(counts: Counts, seen: Iterable[RateReport], now: float) -> Counts:
        noted.append(now)
        return really(counts, seen, now)

    monkeypatch.setattr(broker_history, "count", count)
    for _ in range(3):
        await observer.observe("scan", pool(llm=llm()), TARGET, PROBE_AGE)

    assert len(noted) == 1


async def test_depths_that_pools_share_are_no_older_than_a_fifth_of_the_interval(
    observer: Observer, sources: Sources, clock: Clock
) -> None:
    spec = full_pool(polling_interval_seconds=10)
    for second in range(10):
        clock.now = NOW + second
        await observer.observe("scan", spec, TARGET, PROBE_AGE)

    names = ("broker_state.read_broker", "management.read_queues", "prometheus.read_usage")
    assert [sources.count(name) for name in names] == [5, 5, 2]


async def test_two_pools_with_one_broker_read_it_once(
    observer: Observer, sources: Sources, cluster: FakeCluster
) -> None:
    other = pool(queue("other"))

    first, second = await asyncio.gather(
        observer.observe("scan", full_pool(rabbitmq=pool().rabbitmq), TARGET, PROBE_AGE),
        observer.observe("team", other, TARGET, PROBE_AGE),
    )

    assert first.queues == seen((DEPTHS[VISION],))
    assert second.queues == seen((DEPTHS["other"],))
    assert sources.count("management.read_queues") == 1
    # Each with the Secret of its own namespace.
    assert {namespace for namespace, _ in cluster.secret_reads} == {"scan", "team"}


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(SECRETS[BROKER].replace("password", "other"), id="credentials"),
        pytest.param(SECRETS[BROKER].replace("broker", "broker2"), id="broker"),
    ],
)
async def test_pools_with_other_credentials_or_brokers_share_nothing(
    observer: Observer, sources: Sources, cluster: FakeCluster, other: str
) -> None:
    ref = SecretKeyRef(name="other", key="URL")
    cluster.write(ref, other)
    spec = pool(rabbitmq=RabbitMQ(management_url_secret_ref=ref, queues=(queue(),)))

    await asyncio.gather(
        observer.observe("scan", pool(), TARGET, PROBE_AGE),
        observer.observe("scan", spec, TARGET, PROBE_AGE),
    )

    assert sources.count("management.read_queues") == 2


async def test_each_reading_is_renewed_at_its_own_pace(
    observer: Observer, sources: Sources, cluster: FakeCluster, clock: Clock
) -> None:
    spec = full_pool(polling_interval_seconds=2)
    reads: dict[str, list[int]] = {}
    for second in range(61):
        clock.now = NOW + second
        await observer.observe("scan", spec, TARGET, PROBE_AGE)
        for name in sources.calls:
            reads.setdefault(name, []).append(sources.count(name))

    counts = {name: found[-1] for name, found in reads.items()}
    assert counts == {
        # Each tick: none is as short as the time for which pools share a reading.
        "broker_state.read_broker": 61,
        "management.read_queues": 61,
        "prometheus.read_usage": 61,
        "management.read_rates": 60 / STATISTICS_SECONDS + 1,
        "probe.probe": 60 / PROBE_AGE[ONLY] + 1,
        "openai_admin.read_limits": 60 // ADMIN_SECONDS + 1,
    }
    # From the index of the watches, as they are now.
    assert cluster.node_reads == 61
    # Each Secret once, whichever of its keys are named.
    names = {"scan-secret", "scan-admin", "monitoring"}
    assert Counter(name for _, name in cluster.secret_reads) == dict.fromkeys(
        names, 60 // SECRET_SECONDS + 1
    )


async def test_pools_of_one_key_and_model_share_one_probe_and_one_look_at_its_project(
    observer: Observer, sources: Sources
) -> None:
    await asyncio.gather(
        observer.observe("scan", full_pool(), TARGET, PROBE_AGE),
        observer.observe("team", full_pool(max_replicas=3), TARGET, PROBE_AGE),
    )

    assert sources.count("probe.probe") == 1
    assert sources.count("openai_admin.read_limits") == 1


AZURE = {"provider": Provider.AZURE_OPENAI, "base_url": "https://name.openai.azure.com"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param({}, {"model": "gpt-5.2-mini"}, id="model"),
        pytest.param({}, {"base_url": "https://gateway/v1"}, id="base-url"),
        pytest.param({}, {"api_key_secret_ref": BEARER}, id="key"),
        pytest.param({"base_url": AZURE["base_url"]}, AZURE, id="provider"),
        pytest.param(AZURE, {**AZURE, "api_version": "2024-10-21"}, id="api-version"),
    ],
)
async def test_pools_that_are_asked_for_otherwise_have_probes_of_their_own(
    observer: Observer, sources: Sources, one: dict[str, Any], other: dict[str, Any]
) -> None:
    for changes in (one, other):
        spec = pool(llm=llm(**{"api_key_secret_ref": API_KEY, **changes}))
        await observer.observe("scan", spec, TARGET, PROBE_AGE)

    assert sources.count("probe.probe") == 2


async def test_who_needs_a_newer_answer_gets_one(
    observer: Observer, sources: Sources, clock: Clock
) -> None:
    counts = []
    for second, age in ((0, 60.0), (5, 60.0), (10, 5.0), (15, 900.0)):
        clock.now = NOW + second
        await observer.observe("scan", full_pool(), TARGET, {ONLY: age})
        counts.append(sources.count("probe.probe"))

    assert counts == [1, 1, 2, 2]


REFUSED = ProviderState(billing_code="insufficient_quota")
BACK_OFF = {ONLY: 900.0}


@pytest.mark.parametrize(
    ("state", "text", "probes"),
    [
        pytest.param(REFUSED, "sk-test", [1, 1, 2, 2, 2], id="touched"),
        pytest.param(REFUSED, "sk-new", [1, 1, 2, 2, 2], id="another-key"),
        pytest.param(
            ProviderState(rate_limited=True, used_up_quota="requests per day"),
            "sk-test",
            [1, 1, 2, 2, 2],
            id="touched-while-a-quota-is-used-up",
        ),
        pytest.param(ProviderState(), "sk-test", [1, 1, 1, 1, 1], id="touched-while-paid"),
        pytest.param(REFUSED, None, [1, 1, 1, 1, 1], id="left-alone"),
    ],
)
async def test_a_secret_that_is_written_while_nobody_pays_is_tried_at_once(
    observer: Observer,
    sources: Sources,
    cluster: FakeCluster,
    clock: Clock,
    state: ProviderState,
    text: str | None,
    probes: list[int],
) -> None:
    spec, counts = pool(llm=llm(api_key_secret_ref=API_KEY)), []
    for tick in range(len(probes)):
        clock.now = NOW + SECRET_SECONDS * tick
        if tick == 2 and text is not None:
            cluster.write(API_KEY, text)
        sources.answers["probe.probe"] = seen(state, clock.now + 1)
        found = await observer.observe("scan", spec, TARGET, BACK_OFF)
        counts.append(sources.count("probe.probe"))

    assert counts == probes
    probed_at = NOW if probes[-1] == 1 else NOW + 2 * SECRET_SECONDS
    assert found.provider == seen(state, probed_at + 1)


async def test_pools_of_a_secret_that_is_written_share_the_probe(
    observer: Observer, sources: Sources, cluster: FakeCluster, clock: Clock
) -> None:
    specs = [pool(llm=llm(api_key_secret_ref=API_KEY))] * 2
    for tick in range(5):
        clock.now = NOW + SECRET_SECONDS * tick
        if tick == 2:
            cluster.write(API_KEY, "sk-test")
        if tick == 3:  # A Secret that is new to the operator has not been written since.
            other = SecretKeyRef(name="other", key="key")
            cluster.write(other, "sk-test")
            specs.append(pool(llm=llm(api_key_secret_ref=other)))
        sources.answers["probe.probe"] = seen(REFUSED, clock.now + 1)
        for spec in specs:
            await observer.observe("scan", spec, TARGET, BACK_OFF)

    assert sources.count("probe.probe") == 2


async def test_a_rotated_password_counts_within_a_minute(
    observer: Observer, sources: Sources, cluster: FakeCluster, clock: Clock
) -> None:
    await observer.observe("scan", pool(), TARGET, PROBE_AGE)
    cluster.write(BROKER, "http://user:new@broker:15672/")
    clock.now += SECRET_SECONDS

    await observer.observe("scan", pool(), TARGET, PROBE_AGE)

    assert (
        sources.calls["management.read_queues"][-1]["access"].url == "http://user:new@broker:15672/"
    )


async def test_a_target_comes_with_the_working_sets_of_its_pods_read_once_for_all(
    observer: Observer, cluster: FakeCluster
) -> None:
    cluster.pods_used = {("scan", TARGET.pods[0].name): 7, ("other", TARGET.pods[1].name): 8}

    ref = ScaleTargetRef(name="scan-worker")
    found = await observer.read_target("scan", ref)
    await observer.read_target("other", ref)

    assert isinstance(found, Available)
    assert found.value.selector == "scan/scan-worker"
    assert [pod.memory_used for pod in found.value.pods] == [7, None]
    assert cluster.used_reads == 1


async def test_a_rotated_secret_counts_at_once_where_the_old_one_is_refused(
    observer: Observer, sources: Sources, cluster: FakeCluster, clock: Clock
) -> None:
    await observer.observe("scan", pool(), TARGET, PROBE_AGE)
    rotated = "http://user:rotated@broker:15672/"
    cluster.write(BROKER, rotated)
    refusal = Unavailable(Reason.BROKER_AUTHENTICATION_FAILED, "it refuses the password")
    sources.answers["management.read_queues"] = refusal
    clock.now += 10

    await observer.observe("scan", pool(), TARGET, PROBE_AGE)

    urls = [call["access"].url for call in sources.calls["management.read_queues"]]
    assert urls == [SECRETS[BROKER], SECRETS[BROKER], rotated]


async def test_a_credential_that_is_wrong_for_good_is_not_asked_for_all_the_time(
    observer: Observer, sources: Sources, cluster: FakeCluster, clock: Clock
) -> None:
    refusal = Unavailable(Reason.BROKER_AUTHENTICATION_FAILED, "it refuses the password")
    sources.answers["management.read_queues"] = refusal
    for _ in range(20):
        await observer.observe("scan", pool(), TARGET, PROBE_AGE)
        clock.now += 0.5

    assert len(cluster.secret_reads) <= 2 * 10 / DOUBT_SECONDS + 1


ONE, OTHER = SecretKeyRef(name="one", key="KEY"), SecretKeyRef(name="other", key="KEY")
SEVERAL = pool(llm=llm(api_key_secret_refs=(ONE, OTHER)))


def keys_of(observation: Observation) -> Mapping[str, Reading[ProviderState]]:
    assert isinstance(observation.keys, Available)
    assert observation.provider is None
    return observation.keys.value


async def test_the_provider_is_asked_with_each_of_several_keys_in_its_own_time(
    observer: Observer, sources: Sources, cluster: FakeCluster, clock: Clock
) -> None:
    cluster.write(ONE, "sk-one")
    cluster.write(OTHER, "sk-other\n")
    asked_with = []
    for second in (0, 10, 20, 60):
        clock.now = NOW + second
        ages = {"one/KEY": 10.0, "other/KEY": 60.0}
        found = keys_of(await observer.observe("scan", SEVERAL, TARGET, ages))
        assert found.keys() == ages.keys()
        asked_with.append([call["api_key"] for call in sources.calls.pop("probe.probe")])

    assert asked_with == [
        ["sk-one", "sk-other"],
        ["sk-one"],
        ["sk-one"],
        ["sk-one", "sk-other"],
    ]
    assert SEVERAL.llm is not None
    texts = await observer.read_keys("scan", SEVERAL.llm)
    assert texts == {"one/KEY": "sk-one", "other/KEY": "sk-other"}


async def test_the_same_key_under_two_names_is_one(
    observer: Observer, sources: Sources, cluster: FakeCluster
) -> None:
    cluster.write(ONE, "sk-one")
    cluster.write(OTHER, "sk-one\n")
    found = await observer.observe("scan", SEVERAL, TARGET, {"one/KEY": 60.0, "other/KEY": 60.0})

    assert keys_of(found).keys() == {"one/KEY"}
    assert sources.count("probe.probe") == 1


async def test_what_cannot_be_read_with_one_key_names_it_and_leaves_the_other(
    observer: Observer, sources: Sources, cluster: FakeCluster
) -> None:
    gap = Unavailable(Reason.PROVIDER_ERROR, "correct the Secret of llm.apiKeySecretRef")
    sources.answers["probe.probe"] = gap
    cluster.write(ONE, "sk-one")
    cluster.drop(OTHER.name)
    ages = {"one/KEY": 60.0, "other/KEY": 60.0}
    found = keys_of(await observer.observe("scan", SEVERAL, TARGET, ages))

    missing = {
        name: (one.reason, one.message)
        for name, one in found.items()
        if isinstance(one, Unavailable)
    }
    assert missing == {
        "one/KEY": (
            Reason.PROVIDER_ERROR,
            "with the key one/KEY: correct the Secret of llm.apiKeySecretRefs",
        ),
        "other/KEY": (
            Reason.SECRET_NOT_FOUND,
            "with the key other/KEY: SecretNotFound: look there",
        ),
    }
    assert SEVERAL.llm is not None
    assert await observer.read_keys("scan", SEVERAL.llm) == {"one/KEY": "sk-one"}


async def test_one_of_several_keys_that_was_rotated_counts_at_once_where_the_old_one_is_refused(
    observer: Observer, sources: Sources, cluster: FakeCluster, clock: Clock
) -> None:
    cluster.write(ONE, "sk-one")
    cluster.write(OTHER, "sk-other")
    ages = {"one/KEY": 60.0, "other/KEY": 5.0}
    await observer.observe("scan", SEVERAL, TARGET, ages)
    cluster.write(OTHER, "sk-rotated")
    refusal = Unavailable(Reason.PROVIDER_AUTHENTICATION_FAILED, "it refuses the API key")
    sources.by_key["sk-other"] = refusal
    clock.now += 10

    found = await observer.observe("scan", SEVERAL, TARGET, ages)

    assert all(isinstance(one, Available) for one in keys_of(found).values())
    asked_with = [call["api_key"] for call in sources.calls["probe.probe"]]
    assert asked_with == ["sk-one", "sk-other", "sk-other", "sk-rotated"]
