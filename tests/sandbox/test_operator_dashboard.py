"""Every query of dashboard and alerts, on a real Prometheus that scrapes the operator."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest

from promql import alert_rules, without_comparison
from sandbox.patience import until
from sandbox.scene import API_KEY, KEY, MODEL, PROVIDER, Scene, llm, management, open_scene
from scanpool.dashboard.grafana import dashboard
from scanpool_sandbox.openai_provider import Latency
from scanpool_sandbox.openai_server import OpenAIServer
from scanpool_sandbox.pipeline import CONSUMER
from scanpool_sandbox.prometheus_server import PrometheusServer

FIRST, SECOND = "scan-worker", "chat-worker"
SCRAPED_EVERY_SECOND = "10s"
"""What Grafana takes for $__rate_interval there, and more."""
PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
OTHER_MODEL = "gpt-5.2-mini"
OTHER_KEYS = ("sk-one", "sk-two")
"""Of a pool of several limits, the first of which has two keys."""
QUICK = replace(
    PROVIDER,
    latency=Latency(median_seconds=0.01),
    api_keys=(*PROVIDER.api_keys, *OTHER_KEYS),
    models=(MODEL, OTHER_MODEL),
)
PRICES = {"input": 1, "output": 10}
SOME_TOKENS, ALL_TOKENS = 50_000, PROVIDER.tokens_per_minute
"""Those of a call that may go through, and those of one that is refused right after it: the bucket
takes 1.5 s to fill again."""


class Watched:
    """Two pools on one key that do what there is to see, and a Prometheus that looks on."""

    def __init__(
        self, scene: Scene, server: OpenAIServer, prometheus_url: str, http: httpx.Client
    ) -> None:
        self._scene = scene
        self.namespaces = [scene.namespace]
        self._server = server
        self._http = http
        self._url = prometheus_url

    @property
    def namespace(self) -> str:
        return self._scene.namespace

    @property
    def base_url(self) -> str:
        return self._server.base_url

    def work(self) -> None:
        """Work off a message and call the provider for it; another call is refused."""
        self._scene.queues.publish(FIRST, 1)
        self._scene.queues.work_off(FIRST, 1)
        self._call(SOME_TOKENS)
        assert self._call(ALL_TOKENS) == 429

    def ask(self, expression: str) -> list[dict[str, str]]:
        """Return the labels of what a query finds."""
        values = {
            "$namespace": "|".join(self.namespaces),
            "$pool": ".*",
            "$__rate_interval": SCRAPED_EVERY_SECOND,
        }
        for variable, value in values.items():
            expression = expression.replace(variable, value)
        answer = self._http.get(f"{self._url}/api/v1/query", params={"query": expression})
        assert answer.is_success, (expression, answer.text)
        return [found["metric"] for found in answer.json()["data"]["result"]]

    def _call(self, tokens: int) -> int:
        return self._http.post(
            f"{self._server.base_url}/chat/completions",
            json={"model": MODEL, "messages": [], "max_completion_tokens": tokens},
            headers={"Authorization": f"Bearer {KEY}", "User-Agent": CONSUMER},
        ).status_code


@pytest.fixture(scope="module")
def watched(stage, rabbitmq, background, tmp_path_factory) -> Iterator[Watched]:
    with background.running(OpenAIServer(QUICK)) as server:
        targets = {"llm": [server.address], "scanpool": [stage.operator.metrics_address]}
        with (
            PrometheusServer(tmp_path_factory.mktemp("prometheus"), targets) as prometheus,
            open_scene(stage, rabbitmq) as scene,
            httpx.Client(trust_env=False, timeout=10.0) as http,
        ):
            labels = [{"name": "consumer", "value": CONSUMER}]
            query = {"url": prometheus.url, "preset": "otel-genai", "ownLabels": labels}
            usage = {"windowSeconds": 10, "prometheus": query}
            for name in (FIRST, SECOND):
                scene.queues.publish(name, 10)
                scene.create_deployment(name)
                used = llm(server.base_url, usage=usage, bucketReservePercent=15, prices=PRICES)
                scene.create_pool(name, name, llm=used, spend={"perDay": 1_000_000})
            yield Watched(scene, server, prometheus.url, http)


@pytest.fixture
def several(stage, rabbitmq, watched) -> Iterator[None]:
    """A pool of two limits in a namespace of its own, as its keys are."""
    url = watched.base_url
    with open_scene(stage, rabbitmq) as scene:
        refs = []
        for text in OTHER_KEYS:
            scene.create_secret(text, **{API_KEY: text})
            refs.append({"name": text, "key": API_KEY})
        keyed = {**llm(url), "name": "keyed", "apiKeySecretRefs": refs}
        del keyed["apiKeySecretRef"]
        plain = {**llm(url, model=OTHER_MODEL), "name": "plain"}
        plain["apiKeySecretRef"] = refs[0]
        costs = [{"llm": name, "perMessage": 1_000} for name in ("keyed", "plain")]
        rabbitmq_of = management(FIRST)
        del rabbitmq_of["queues"][0]["tokensPerMessage"]
        rabbitmq_of["queues"][0]["tokens"] = costs
        scene.queues.publish(FIRST, 10)
        scene.create_deployment(FIRST)
        scene.create_pool(FIRST, FIRST, rabbitmq=rabbitmq_of, llms=[keyed, plain])
        watched.namespaces.append(scene.namespace)
        yield
        watched.namespaces.remove(scene.namespace)


def dashboard_queries() -> Mapping[str, tuple[str, str]]:
    """Return every query with its legend, by its panel's title and its letter."""
    return {
        f"{panel['title']} {target['refId']}": (target["expr"], target["legendFormat"])
        for panel in dashboard()["panels"]
        for target in panel.get("targets", ())
    }


def wait_for_data(watched: Watched, queries: Mapping[str, str]) -> dict[str, Any]:
    """Work on until every query has found something at one time or another."""
    found: dict[str, Any] = {}

    def has_all() -> bool:
        watched.work()
        missing = {name: query for name, query in queries.items() if name not in found}
        answers = {name: watched.ask(query) for name, query in missing.items()}
        found.update({name: answer for name, answer in answers.items() if answer})
        return len(found) == len(queries)

    until("every query has data", has_all, lambda: sorted(queries.keys() - found.keys()))
    return found


def test_every_query_of_the_dashboard_finds_data_and_what_its_legend_names(
    watched, several
) -> None:
    del several
    queries = dashboard_queries()
    found = wait_for_data(watched, {name: query for name, (query, _) in queries.items()})
    for name, (_, legend) in queries.items():
        for labels in found[name]:
            assert set(PLACEHOLDER.findall(legend)) == labels.keys() - {"le"}, name


def test_every_alert_has_something_to_judge(watched) -> None:
    wait_for_data(
        watched, {rule["alert"]: without_comparison(rule["expr"]) for rule in alert_rules()}
    )


def test_pools_of_one_key_are_one_line(watched) -> None:
    limit, _ = dashboard_queries()["Tokens per minute B"]
    until(
        "the limit is that of one key, called after the first of its pools",
        lambda: [one["key"] for one in watched.ask(limit)] == [f"{watched.namespace}/{SECOND}"],
        lambda: watched.ask(limit),
    )
