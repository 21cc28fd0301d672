"""Everything that a user or the world can do wrong: a condition with its remedy, and no change.

All pools fail at once, beside each other, and each has a backlog that asks for three replicas.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import pytest

from sandbox.patience import until
from sandbox.scene import (
    AMQP_URL,
    API_KEY,
    KEY,
    MANAGEMENT_URL,
    PROVIDER,
    Scene,
    amqp,
    llm,
    management,
    open_scene,
)
from sandbox.shown import secrets_in, shown_of
from sandbox.stage import Stage
from scanpool_sandbox.openai_server import OpenAIServer
from scanpool_sandbox.processes import free_port
from scanpool_sandbox.rabbitmq_server import RabbitMQServer

QUEUE = "scan.vision"
WRONG_PASSWORD = "wr0ng/pass word@%?#[]é"
WRONG_KEY = "sk-wrong/0123456789+ABCDEF=="
BEARER_TOKEN = "bearer/0123456789+token=="


@dataclass
class World:
    """What the cases are made of."""

    scene: Scene
    rabbitmq: RabbitMQServer
    openai_url: str
    prometheus_url: str

    @property
    def vhost(self) -> str:
        return f"{self.scene.namespace}/eco2"

    def management_url(self, password: str = "", vhost: str = "", port: int = 0) -> str:
        password = quote(password or self.rabbitmq.password, safe="")
        port = port or self.rabbitmq.ports.management
        path = quote(vhost or self.vhost, safe="")
        return f"http://{self.rabbitmq.user}:{password}@127.0.0.1:{port}/{path}"

    def amqp_url(self, password: str = "", vhost: str = "", port: int = 0) -> str:
        password = quote(password or self.rabbitmq.password, safe="")
        port = port or self.rabbitmq.ports.amqp
        path = quote(vhost or self.vhost, safe="")
        return f"amqp://{self.rabbitmq.user}:{password}@127.0.0.1:{port}/{path}"

    def queries(self, **changes: Any) -> dict[str, Any]:
        """The provider, with its use asked of Prometheus under a bearer token."""
        token = {"name": "prometheus", "key": "TOKEN"}
        asked = {"url": self.prometheus_url, "query": "vector(0)", "bearerTokenSecretRef": token}
        return llm(self.openai_url, usage={"prometheus": {**asked, **changes}})


@dataclass(frozen=True)
class Case:
    """One way to fail: the pool's spec and Secret, what has to be said, and what mends it."""

    name: str
    reason: str
    says: tuple[str, ...]
    spec: Callable[[World, str], dict[str, Any]] = lambda _w, _n: {}
    secret: Callable[[World], dict[str, str] | None] = lambda w: {
        MANAGEMENT_URL: w.management_url()
    }
    mend: Callable[[World, str], object] | None = None


def broker(make: Callable[..., Any] = management) -> Callable[[World, str], dict[str, Any]]:
    return lambda _, name: {"rabbitmq": make(QUEUE, secret=name)}


def right_url(w: World, name: str) -> None:
    w.scene.change_secret(name, **{MANAGEMENT_URL: w.management_url()})


def right_amqp_url(w: World, name: str) -> None:
    w.scene.change_secret(name, **{AMQP_URL: w.amqp_url()})


CASES = (
    Case(
        "missing-target",
        "TargetNotFound",
        ("/missing-target does not exist", "spec.scaleTargetRef"),
        mend=lambda w, name: w.scene.create_deployment(name),
    ),
    Case(
        "missing-secret",
        "SecretNotFound",
        ("Secret ", "/missing-secret does not exist: create it"),
        secret=lambda _: None,
        mend=lambda w, name: w.scene.create_secret(name, **{MANAGEMENT_URL: w.management_url()}),
    ),
    Case(
        "missing-key",
        "SecretKeyNotFound",
        ("/missing-key has no key RABBITMQ_API_URL: add it",),
        secret=lambda w: {"RABBITMQ_URL": w.management_url()},
        mend=right_url,
    ),
    Case(
        "wrong-password",
        "BrokerAuthenticationFailed",
        ("http://127.0.0.1:", "refuses the user name or password", "managementUrlSecretRef"),
        secret=lambda w: {MANAGEMENT_URL: w.management_url(password=WRONG_PASSWORD)},
        mend=right_url,
    ),
    Case(
        "unreachable-broker",
        "BrokerUnreachable",
        ("http://127.0.0.1:", "refuses connections; check that it runs"),
        secret=lambda w: {MANAGEMENT_URL: w.management_url(port=free_port())},
        mend=right_url,
    ),
    Case(
        "unknown-vhost",
        "VhostNotFound",
        ("there is no vhost 'later/eco2' at http://127.0.0.1:", "create the vhost"),
        secret=lambda w: {MANAGEMENT_URL: w.management_url(vhost="later/eco2")},
        mend=right_url,
    ),
    Case(
        "amqp-url-for-http",
        "InvalidURL",
        ("does not begin with http:// or https://", "managementUrlSecretRef"),
        secret=lambda w: {MANAGEMENT_URL: w.amqp_url()},
        mend=right_url,
    ),
    Case(
        "missing-queue",
        "QueueNotFound",
        ("no queue 'scan.later'", "declare it", "spec.rabbitmq.queues"),
        spec=lambda _, name: {"rabbitmq": management("scan.later", secret=name)},
        mend=lambda w, _: w.scene.queues.publish("scan.later", 30),
    ),
    Case(
        "amqp-wrong-password",
        "BrokerAuthenticationFailed",
        ("amqp://127.0.0.1:", "refuses the user name or password", "rabbitmq.urlSecretRef"),
        spec=broker(amqp),
        secret=lambda w: {AMQP_URL: w.amqp_url(password=WRONG_PASSWORD)},
        mend=right_amqp_url,
    ),
    Case(
        "amqp-unreachable-broker",
        "BrokerUnreachable",
        ("amqp://127.0.0.1:", "refuses connections"),
        spec=broker(amqp),
        secret=lambda w: {AMQP_URL: w.amqp_url(port=free_port())},
    ),
    Case(
        "amqp-unknown-vhost",
        "VhostNotFound",
        ("there is no vhost 'later/eco2' at amqp://127.0.0.1:",),
        spec=broker(amqp),
        secret=lambda w: {AMQP_URL: w.amqp_url(vhost="later/eco2")},
    ),
    Case(
        "http-url-for-amqp",
        "InvalidURL",
        ("does not begin with amqp:// or amqps://", "rabbitmq.urlSecretRef"),
        spec=broker(amqp),
        secret=lambda w: {AMQP_URL: w.management_url()},
    ),
    Case(
        "unreachable-provider",
        "ProviderUnreachable",
        ("http://127.0.0.1:", "refuses connections"),
        spec=lambda *_: {"llm": llm(f"http://127.0.0.1:{free_port()}/v1")},
        mend=lambda w, name: w.scene.change_pool(name, llm={"baseUrl": w.openai_url}),
    ),
    Case(
        "wrong-api-key",
        "ProviderAuthenticationFailed",
        ("http://127.0.0.1:", "refuses the API key", "llm.apiKeySecretRef"),
        spec=lambda w, name: {"llm": llm(w.openai_url, secret=name)},
        secret=lambda w: {MANAGEMENT_URL: w.management_url(), API_KEY: WRONG_KEY},
        mend=lambda w, name: w.scene.change_secret(name, **{API_KEY: KEY}),
    ),
    Case(
        "unknown-model",
        "ModelNotFound",
        ("knows no model 'gpt-none' for this key", "llm.model"),
        spec=lambda w, _: {"llm": llm(w.openai_url, model="gpt-none")},
        mend=lambda w, name: w.scene.change_pool(name, llm={"model": "gpt-5.2"}),
    ),
    Case(
        "missing-prometheus",
        "PrometheusUnreachable",
        ("http://127.0.0.1:", "refuses connections"),
        spec=lambda w, _: {"llm": w.queries(url=f"http://127.0.0.1:{free_port()}")},
        mend=lambda w, name: w.scene.change_pool(name, llm=w.queries()),
    ),
    Case(
        "bad-promql",
        "PrometheusQueryFailed",
        ("http://127.0.0.1:", "does not answer the query `sum(`", "llm.usage.prometheus"),
        spec=lambda w, _: {"llm": w.queries(query="sum(")},
        mend=lambda w, name: w.scene.change_pool(name, llm=w.queries()),
    ),
)
MENDED = [case for case in CASES if case.mend is not None]
DEFINITION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/scanworkerpools.scan.eco2.io"
INVALID = "invalid-spec"
"""Not in the table: the API server itself would refuse it."""


@pytest.fixture(scope="module")
def world(stage, rabbitmq, background, prometheus_url) -> Iterator[World]:
    """All pools, each failing in its way, some ticks after the last has said so."""
    # Those that mend all share one key.
    openai = OpenAIServer(replace(PROVIDER, tokens_per_minute=20_000_000))
    with background.running(openai), open_scene(stage, rabbitmq) as scene:
        world = World(scene, rabbitmq, openai.base_url, prometheus_url)
        scene.queues.publish(QUEUE, 30)
        scene.create_secret("prometheus", TOKEN=BEARER_TOKEN)
        for case in CASES:
            start(world, case)
        scene.create_deployment(INVALID)
        with without_rules(stage):
            scene.create_pool(INVALID, QUEUE, minReplicas=5, maxReplicas=3)
            # Its status would be refused too, once the rules are back.
            scene.wait_condition(INVALID, "Ready", "False")
        for case in CASES:
            scene.wait_condition(case.name, "Ready", "False")
        stage.operator.wait_ticks(3 * len(CASES))
        yield world


@contextmanager
def without_rules(stage: Stage) -> Iterator[None]:
    """Make the API server accept what one without CEL would."""
    definition = stage.kube.get(DEFINITION)
    (version,) = definition["spec"]["versions"]
    stage.kube.patch(DEFINITION, {"spec": {"versions": [stripped(version)]}})
    yield
    stage.kube.patch(DEFINITION, {"spec": {"versions": [version]}})


def stripped(value: Any) -> Any:
    """A copy of a schema that has no rules."""
    if isinstance(value, list):
        return [stripped(one) for one in value]
    if isinstance(value, dict):
        return {k: stripped(v) for k, v in value.items() if k != "x-kubernetes-validations"}
    return value


def start(world: World, case: Case) -> None:
    scene = world.scene
    values = case.secret(world)
    if values is not None:
        scene.create_secret(case.name, **values)
    if case.name != "missing-target":
        scene.create_deployment(case.name)
    spec = {"rabbitmq": management(QUEUE, secret=case.name), **case.spec(world, case.name)}
    scene.create_pool(case.name, QUEUE, **spec)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_failure_is_told_with_its_remedy_and_changes_nothing(world, case) -> None:
    scene = world.scene
    ready = scene.condition(case.name, "Ready")
    assert (ready["status"], ready["reason"]) == ("False", case.reason)
    for words in case.says:
        assert words in ready["message"]
    assert scene.condition(case.name, "ScalingActive")["reason"] == case.reason
    assert scene.status(case.name)["limitedBy"] == "Hold"
    told = [e for e in scene.events(case.reason) if e["involvedObject"]["name"] == case.name]
    assert [(event["type"], event["involvedObject"]["kind"]) for event in told] == [
        ("Warning", "ScanWorkerPool")
    ]
    assert scene.stage.scales(scene.namespace, case.name) == (
        [] if case.name == "missing-target" else [1]
    )


def test_an_invalid_spec_is_told_and_changes_nothing(world) -> None:
    scene = world.scene
    ready = scene.condition(INVALID, "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "InvalidSpec")
    assert ready["message"] == "spec: minReplicas must not be larger than maxReplicas"
    assert scene.stage.scales(scene.namespace, INVALID) == [1]
    scene.change_pool(INVALID, minReplicas=1)
    scene.wait_condition(INVALID, "Ready", "True", "Reconciled")
    scene.wait_replicas(INVALID, 3)


@pytest.fixture(scope="module")
def mended(world) -> World:
    """The same, with every cause mended that can be."""
    for case in MENDED:
        case.mend(world, case.name)
    return world


@pytest.mark.parametrize("case", MENDED, ids=lambda case: case.name)
def test_it_heals_by_itself_once_the_cause_is_mended(mended, case) -> None:
    mended.scene.wait_condition(case.name, "Ready", "True", "Reconciled")
    mended.scene.wait_replicas(case.name, 3)


def test_no_secret_is_shown_anywhere(mended) -> None:
    scene, operator = mended.scene, mended.scene.stage.operator
    until("a healed pool is shown", lambda: f'pool="{MENDED[-1].name}"' in operator.metrics())
    shown = shown_of(scene)
    user = mended.rabbitmq.user
    for secret in (mended.rabbitmq.password, WRONG_PASSWORD, KEY, WRONG_KEY, BEARER_TOKEN):
        assert secrets_in(shown, secret, user) == [], secret
