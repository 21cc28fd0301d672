"""Demand for four times the token limit, for as long as the test lasts: all of it is used, without
a call that is refused.

Calls and tokens are counted by the provider. The usage window is 10 s, a sixth of the default, and
what is measured is a ratio or a count: the machine may be slow.
"""

import time
from collections.abc import Iterator
from functools import partial

import pytest

from sandbox.kube_client import Obj
from sandbox.overload import LIMIT, NAME, TOKENS_PER_SCAN, Overload, open_overload
from sandbox.patience import POLL_SECONDS, until
from sandbox.scene import llm
from scanpool_sandbox.openai_ledger import LogEntry
from scanpool_sandbox.prometheus_server import PrometheusServer

LEAST_SHARE = 0.97
"""Of what flows into the provider's bucket."""
CLOSE_SHARE = 0.8
"""Of the limit: less than a replica is missing then."""
ALLOWED_SHARE = 0.001
"""Of refused calls."""
CONFIDENT_PERCENT = 50
"""Half a minute of learning: the chance of the first few calls has then worn off."""
LEARNING_SECONDS = 240.0
"""For half a minute of learning, in which nothing counts that was seen soon after a change."""
WATCHED_SECONDS = 300.0
"""A cycle of the bucket's level, or nearly one."""


@pytest.fixture
def overload(stage, rabbitmq, background) -> Iterator[Overload]:
    with open_overload(stage, rabbitmq, background) as overload:
        yield overload


@pytest.fixture
def measured_by(overload, tmp_path) -> Iterator[Obj]:
    """How a pool measures its use: by what OpenTelemetry counts in its workers."""
    namespace = overload.scene.namespace
    found = f"{overload.scene.stage.emulator.url}/sandbox/scrape"
    with PrometheusServer(tmp_path, {}, discovery={"pods": found}) as prometheus:
        labels = [{"name": "namespace", "value": namespace}]
        query = {"url": prometheus.url, "preset": "otel-genai", "ownLabels": labels}
        yield {"windowSeconds": 10, "prometheus": query}


def refused(calls: list[LogEntry]) -> int:
    return sum(call.status == 429 for call in calls)


def watch(overload: Overload) -> tuple[list[Obj], float]:
    """Look on: each status that was shown, and the share of what flowed in that was used."""
    before, level, began = len(overload.calls()), overload.level(), time.monotonic()
    shown: list[Obj] = []
    while (seconds := time.monotonic() - began) < WATCHED_SECONDS:
        shown.append(overload.scene.status(NAME))
        time.sleep(POLL_SECONDS)
    spent = sum(call.tokens for call in overload.calls()[before:])
    return shown, (spent + overload.level() - level) * 60 / (LIMIT * seconds)


def has_learned(overload: Overload) -> bool:
    """Whether the pool knows what a replica uses."""
    figures = overload.scene.status(NAME).get("llm", {})
    confidence = figures.get("tokensPerReplicaConfidencePercent", 0)
    return figures.get("tokensPerReplicaSource") == "Learned" and confidence >= CONFIDENT_PERCENT


def has_grown(overload: Overload) -> bool:
    """Whether it uses nearly all of the limit."""
    used = overload.scene.status(NAME).get("llm", {}).get("ownTokensPerMinute", 0)
    return used >= CLOSE_SHARE * LIMIT


def test_queue_depth_alone_buys_429s(overload) -> None:
    """The proof that the test below can fail: the same scene, and a pool that sees queues only."""
    overload.create_pool()
    until(
        "a hundredth of the calls is refused",
        lambda: refused(calls := overload.calls()) > 10 * ALLOWED_SHARE * len(calls),
        lambda: overload.scene.status(NAME),
    )


@pytest.mark.long
def test_all_of_the_limit_is_used_and_no_call_is_refused(overload, measured_by) -> None:
    scene = overload.scene
    pool = llm(overload.server.base_url, usage=measured_by)
    # Nobody knows what a worker uses, and the probe comes as it does by default.
    del pool["tokensPerReplicaMinute"], pool["probe"], pool["bucketReservePercent"]
    overload.create_pool(llm=pool)
    # The bucket was spent: it fills up beside the first workers, and then others come.
    wait = partial(until, seen=lambda: scene.status(NAME), patience_seconds=LEARNING_SECONDS)
    wait("it has learned", lambda: has_learned(overload))
    wait("it has settled", lambda: has_grown(overload))
    scaled, submitted = scene.stage.scales(scene.namespace, NAME), overload.counts().submitted

    shown, used = watch(overload)

    arrived = (overload.counts().submitted - submitted) * TOKENS_PER_SCAN * 60 / WATCHED_SECONDS
    # Four times the limit, unless the machine is so busy that the users come late.
    assert arrived >= 2 * LIMIT
    assert used >= LEAST_SHARE
    # Before it had settled, too.
    assert refused(overload.calls()) <= ALLOWED_SHARE * len(overload.calls())
    # Two in a cycle, two on the way to it, and two where a busy machine makes replicas dearer.
    assert len(scene.stage.scales(scene.namespace, NAME)) - len(scaled) <= 6
    for status in shown:
        figures = status["llm"]
        assert (figures["limitTokensPerMinute"], figures["limitSource"]) == (LIMIT, "probe")
        assert figures["bucketState"] in ("High", "Between", "Low", "Reserve")
        assert figures["tokensPerReplicaSource"] == "Learned"
        assert (figures["rateLimitedPerMinute"], figures["backoffPercent"]) == (0, 100)

    overload.stop_workers()
    until(
        "every scan that has not ended waits in a queue",
        lambda: overload.waiting() == overload.counts().in_flight,
        lambda: (overload.waiting(), overload.counts()),
    )
    assert overload.counts().failed == overload.expired() == 0
