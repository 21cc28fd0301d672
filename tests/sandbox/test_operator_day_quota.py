"""A quota of a day: used up until a known time, and planned with before."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from answering import Answering, Reply
from sandbox.patience import until
from sandbox.scene import API_KEY, Scene, llm, open_scene
from scanpool.models.units import epoch

QUEUE, NAME = "scan.vision", "worker"
MESSAGES = 20
WAIT_SECONDS = 63
PER_DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
ANSWER = Reply(200, {"usageMetadata": {"totalTokenCount": 12}})
GEMINI = {
    "provider": "gemini",
    "model": "gemini-2.5-flash",
    "tokensPerMinute": 10_000_000,
    "onQuotaExhausted": "ScaleToZero",
}


def used_up(quota: str = PER_DAY, delay: str = "36s") -> Reply:
    details = [{"violations": [{"quotaId": quota}]}, {"retryDelay": delay}]
    error = {"code": 429, "message": "x", "status": "RESOURCE_EXHAUSTED", "details": details}
    return Reply(429, [{"error": error}])


@contextmanager
def working(
    stage: Any, rabbitmq: Any, background: Any, answer: Reply = ANSWER, **changes: Any
) -> Iterator[tuple[Scene, Answering]]:
    """A pool of two replicas, over a provider whose answers are the test's."""
    server = Answering(lambda *_: answer)
    with background.running(server), open_scene(stage, rabbitmq) as scene:
        scene.queues.publish(QUEUE, MESSAGES)
        scene.create_deployment(NAME)
        pool = llm(server.base_url, **{**GEMINI, **changes})
        scene.create_pool(NAME, QUEUE, llm=pool, minReplicas=0, maxReplicas=5)
        scene.wait_status(NAME, replicas=2, readyReplicas=2)
        yield scene, server


def ends_at(scene: Scene) -> float:
    """When the refusal ends, which the status has to tell."""
    return epoch(scene.status(NAME)["llm"]["quotaEndsAt"])


@pytest.mark.long
@pytest.mark.parametrize(
    ("reply", "wait"),
    [
        pytest.param(used_up(delay="7200s"), 7_200, id="by its own delay"),
        pytest.param(Reply(429, "", {"Retry-After": "7200"}), 7_200, id="by no name"),
    ],
)
def test_nobody_is_asked_until_a_known_end(
    stage, rabbitmq, background, reply: Reply, wait: float
) -> None:
    with working(stage, rabbitmq, background) as (scene, server):
        server.answer = lambda *_: reply
        told = scene.wait_condition(NAME, "QuotaExhausted", "True", "QuotaExhausted")
        scene.wait_status(NAME, replicas=0, readyReplicas=0, limitedBy="Quota")
        assert f"until {scene.status(NAME)['llm']['quotaEndsAt']}" in told["message"]
        asked = len(server.asked)
        # The back-off would ask after one second, two and four.
        stage.operator.wait_ticks(10)
        assert len(server.asked) == asked
        assert scene.queues.ready(QUEUE) == MESSAGES

        # The next process asks once, since it has no answer, and knows the end before.
        end = ends_at(scene)
        assert stage.operator.stop() == 0
        assert scene.status(NAME)["checkpoint"]["quotaUntil"] == pytest.approx(end, abs=1)
        stage.operator.start()
        until("it has asked once", lambda: len(server.asked) > asked)
        stage.operator.wait_ticks(10)
        assert len(server.asked) == asked + 1
        assert ends_at(scene) == pytest.approx(end, abs=wait)

        # A quota that was raised is found at once, as a payment is.
        server.answer = lambda *_: ANSWER
        scene.change_secret(**{API_KEY: "AIza-new"})
        scene.wait_condition(NAME, "QuotaExhausted", "False", "QuotaRecovering")
        scene.wait_status(NAME, replicas=2, readyReplicas=2)


@pytest.mark.long
def test_it_ends_by_itself_when_it_was_said_to(stage, rabbitmq, background) -> None:
    """The shortest end that is one is a minute away."""
    with working(stage, rabbitmq, background) as (scene, server):
        server.answer = lambda *_: Reply(429, "", {"Retry-After": str(WAIT_SECONDS)})
        scene.wait_condition(NAME, "QuotaExhausted", "True", "QuotaExhausted")
        asked = len(server.asked)
        server.answer = lambda *_: ANSWER
        end = ends_at(scene)
        scene.wait_status(NAME, replicas=0, readyReplicas=0)
        until(
            "the end has come",
            lambda: scene.condition(NAME, "QuotaExhausted")["status"] == "False",
            lambda: scene.status(NAME),
            patience_seconds=2 * WAIT_SECONDS,
        )
        answered = scene.condition(NAME, "QuotaExhausted")["lastTransitionTime"]
        # One call found that it was over, and none had asked before.
        assert epoch(answered) >= end - 1
        assert len(server.asked) <= asked + 3


def left(requests: int) -> Reply:
    """An answer of a provider that tells its requests of a day as Cerebras does."""
    headers = {
        "x-ratelimit-limit-tokens-minute": "100000000",
        "x-ratelimit-limit-requests-day": "1440000",
        "x-ratelimit-remaining-requests-day": str(requests),
        "x-ratelimit-reset-requests-day": "40000",
    }
    return Reply(200, {"usage": {"total_tokens": 12}}, headers)


def test_what_is_left_of_a_day_is_planned_with_and_shown(stage, rabbitmq, background) -> None:
    openai = {"provider": "openai", "model": "gpt-5.2", "tokensPerMinute": 100_000_000}
    with working(stage, rabbitmq, background, left(1_440_000), **openai) as (scene, server):
        # At 1,000 tokens a message a replica makes 500 requests a minute, and 198 a minute are
        # what is left for an hour.
        server.answer = lambda *_: left(14_000)
        scene.wait_status(NAME, replicas=1, limitedBy="Requests")
        told = scene.status(NAME)
        assert told["ceilings"]["requests"] == 1
        assert told["llm"]["requestsPerDayLimit"] == 1_440_000
        pace = "left of 1,440,000 RPD, within 60 min"
        assert any(pace in step["reason"] for step in told["steps"])
        shown = f'namespace="{scene.namespace}",pool="{NAME}"'
        metrics = scene.stage.operator.metrics()
        assert f"scanpool_pool_rpd_limit{{{shown}}} 1.44e+06" in metrics
        (line,) = [
            one
            for one in metrics.splitlines()
            if one.startswith("scanpool_pool_rpd_left{") and shown in one
        ]
        assert 13_000 < float(line.split()[-1]) <= 14_000
