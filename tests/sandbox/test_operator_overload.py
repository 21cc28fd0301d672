"""Demand for four times the token limit, for as long as the test lasts: no scaling buys 429s.

Calls and tokens are counted by the provider. The usage window is 10 s, a sixth of the default, and
what is measured is a ratio or a count: the machine may be slow.
"""

import time
from collections.abc import Iterator
from math import floor

import pytest

from sandbox.kube_client import Obj
from sandbox.overload import LIMIT, NAME, TOKENS_PER_SCAN, Overload, open_overload
from sandbox.patience import POLL_SECONDS, until
from sandbox.scene import llm
from scanpool_sandbox.openai_ledger import LogEntry
from scanpool_sandbox.prometheus_server import PrometheusServer
from scanpool_sandbox.worker import CONSUMER

TARGET = 0.85
"""Share of the limit that a pool plans to use, by default."""
ALLOWED_SHARE = 0.001
"""Of refused calls."""
CONFIDENT_PERCENT = 50
"""Half a minute of learning: the chance of the first few calls has then worn off."""
WATCHED_SECONDS = 30.0
"""Three usage windows."""


@pytest.fixture
def overload(stage, rabbitmq, background) -> Iterator[Overload]:
    with open_overload(stage, rabbitmq, background) as overload:
        yield overload


@pytest.fixture
def measured_by(overload, tmp_path) -> Iterator[Obj]:
    """How a pool measures its use: by the metrics of a gateway in front of the provider."""
    targets = {"llm": [overload.server.address]}
    with PrometheusServer(tmp_path, targets) as prometheus:
        labels = [{"name": "consumer", "value": CONSUMER}]
        query = {"url": prometheus.url, "preset": "otel-genai", "ownLabels": labels}
        yield {"windowSeconds": 10, "prometheus": query}


def refused(calls: list[LogEntry]) -> int:
    return sum(call.status == 429 for call in calls)


def tokens_per_minute(calls: list[LogEntry], seconds: float) -> float:
    return sum(call.tokens for call in calls) * 60 / seconds


def watch(overload: Overload) -> tuple[list[Obj], list[LogEntry], float]:
    """Look on: each status that was shown, the calls that were made, and the seconds it took."""
    before, began = len(overload.calls()), time.monotonic()
    shown: list[Obj] = []
    while time.monotonic() - began < WATCHED_SECONDS:
        shown.append(overload.scene.status(NAME))
        time.sleep(POLL_SECONDS)
    return shown, overload.calls()[before:], time.monotonic() - began


def has_grown(overload: Overload) -> bool:
    """Whether the pool has learned what a replica uses, and has what it may by that."""
    status = overload.scene.status(NAME)
    return (
        status.get("llm", {}).get("tokensPerReplicaSource") == "Learned"
        and status["readyReplicas"] == status["ceilings"]["tokens"]
    )


def is_settled(overload: Overload) -> bool:
    """Whether the pool knows well what a replica uses, and has and uses what it may by that."""
    status = overload.scene.status(NAME)
    figures = status.get("llm", {})
    if figures.get("tokensPerReplicaConfidencePercent", 0) < CONFIDENT_PERCENT:
        return False
    replicas = overload.scene.replicas(NAME)
    return (
        status["limitedBy"] == "Tokens"
        and status["readyReplicas"] == status["ceilings"]["tokens"] == replicas
        and figures["ownTokensPerMinute"] > 0.9 * figures["tokensPerReplicaMinute"] * replicas
    )


def test_queue_depth_alone_buys_429s(overload) -> None:
    """The proof that the test below can fail: the same scene, and a pool that sees queues only."""
    overload.create_pool()
    until(
        "a hundredth of the calls is refused",
        lambda: refused(calls := overload.calls()) > 10 * ALLOWED_SHARE * len(calls),
        lambda: overload.scene.status(NAME),
    )


def test_no_scaling_buys_429s_under_the_token_ceiling(overload, measured_by) -> None:
    scene = overload.scene
    pool = llm(overload.server.base_url, usage=measured_by, probe={"intervalSeconds": 5})
    # Nobody knows what a worker uses.
    del pool["tokensPerReplicaMinute"]
    overload.create_pool(llm=pool)
    # Learning starts anew where replicas change, after their first calls and a whole window.
    until("it has grown", lambda: has_grown(overload), lambda: scene.status(NAME))
    until("it has settled", lambda: is_settled(overload), lambda: scene.status(NAME))
    scaled, submitted = scene.stage.scales(scene.namespace, NAME), overload.counts().submitted

    shown, calls, seconds = watch(overload)

    assert scene.stage.scales(scene.namespace, NAME) == scaled
    arrived = (overload.counts().submitted - submitted) * TOKENS_PER_SCAN * 60 / seconds
    assert arrived == pytest.approx(4 * LIMIT, rel=0.1)
    replicas, used = scene.replicas(NAME), tokens_per_minute(calls, seconds)
    cost = used / replicas
    assert used >= 0.75 * LIMIT or replicas >= floor(TARGET * LIMIT / cost) - 1
    # Before it had settled, too.
    assert refused(overload.calls()) <= ALLOWED_SHARE * len(overload.calls())
    for status in shown:
        figures = status["llm"]
        assert status["limitedBy"] == "Tokens"
        assert status["replicas"] == replicas
        assert (figures["limitTokensPerMinute"], figures["limitSource"]) == (LIMIT, "probe")
        assert figures["usedTokensPerMinute"] == pytest.approx(used, rel=0.2)
        assert figures["othersTokensPerMinute"] < 0.02 * LIMIT
        assert figures["tokensPerReplicaMinute"] == pytest.approx(cost, rel=0.15)
        assert figures["tokensPerReplicaSource"] == "Learned"
        assert figures["zone"] in ("Yellow", "Orange")
        assert (figures["rateLimitedPerMinute"], figures["backoffPercent"]) == (0, 100)

    overload.stop_workers()
    until(
        "every scan that has not ended waits in a queue",
        lambda: overload.waiting() == overload.counts().in_flight,
        lambda: (overload.waiting(), overload.counts()),
    )
    assert overload.counts().failed == overload.expired() == 0
