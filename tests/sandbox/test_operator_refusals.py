"""Refusals as the field sends them: what they say decides, not the status."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from answering import Answering, Reply
from sandbox.patience import until
from sandbox.scene import Scene, llm, open_scene

QUEUE, NAME = "scan.vision", "worker"
BEFORE, WANTED = 2, 5
"""Replicas that the messages ask for, at first and once more have come."""
ANSWER = Reply(
    200,
    {"usage": {"total_tokens": 24}},
    {"x-ratelimit-limit-tokens": "10000000", "x-ratelimit-limit-requests": "100000"},
)
"""Room for all replicas: no token ceiling binds."""
OUTAGE = Reply(503, {"error": {"message": "x", "code": "server_is_overloaded"}})


def refusal(status: int, **error: Any) -> Reply:
    return Reply(status, {"error": {"message": "x", **error}}, ANSWER.headers)


@contextmanager
def growing(stage, rabbitmq, background) -> Iterator[tuple[Scene, Answering]]:
    """A pool of two replicas, over a provider whose answers are the test's."""
    server = Answering(lambda *_: ANSWER)
    with background.running(server), open_scene(stage, rabbitmq) as scene:
        scene.queues.publish(QUEUE, 10 * BEFORE)
        scene.create_deployment(NAME)
        scene.create_pool(NAME, QUEUE, llm=llm(server.base_url), maxReplicas=WANTED)
        scene.wait_status(NAME, replicas=BEFORE, readyReplicas=BEFORE)
        yield scene, server


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(refusal(429, type="billing_not_active", code=None), id="in type alone"),
        pytest.param(refusal(402, code=402), id="as a number"),
        pytest.param(
            refusal(
                400,
                message="litellm.BadRequestError: AnthropicException - {'error': {'message': "
                "'Your credit balance is too low to access the Anthropic API.'}}",
                code="400",
            ),
            id="in a gateway's words",
        ),
    ],
)
def test_whoever_is_not_paid_gets_no_more_workers(
    stage, rabbitmq, background, reply: Reply
) -> None:
    with growing(stage, rabbitmq, background) as (scene, server):
        server.answer = lambda *_: reply
        scene.wait_condition(NAME, "QuotaExhausted", "True", "QuotaExhausted")
        scene.queues.publish(QUEUE, 10 * (WANTED - BEFORE))
        scene.wait_status(NAME, backlog=10 * WANTED, replicas=1, limitedBy="Quota")
        assert scene.stage.scales(scene.namespace, NAME) == [1, 2, 1]


@pytest.mark.parametrize("error", [{"code": "slow_down"}, {"type": "slow_down", "code": 503}])
def test_a_503_that_asks_to_slow_down_stops_growth(
    stage, rabbitmq, background, error: dict[str, Any]
) -> None:
    with growing(stage, rabbitmq, background) as (scene, server):
        server.answer = lambda *_: refusal(503, **error)
        asked = len(server.asked)
        # A tick has a probe's answer before the next probe is made.
        until("a probe was refused", lambda: len(server.asked) > asked + 1)
        scene.queues.publish(QUEUE, 10 * (WANTED - BEFORE))
        scene.wait_status(NAME, backlog=10 * WANTED, limitedBy="Tokens")
        assert "slow down" in scene.condition(NAME, "ScalingLimited")["message"]
        # It answers again, and 15 minutes are not over.
        server.answer = lambda *_: ANSWER
        asked = len(server.asked)
        until("probes are answered", lambda: len(server.asked) > asked + 2)
        assert scene.status(NAME)["checkpoint"]["growthStoppedUntil"]
        assert scene.replicas(NAME) == BEFORE


def test_a_503_of_an_overloaded_provider_stops_nothing_once_it_is_over(
    stage, rabbitmq, background
) -> None:
    with growing(stage, rabbitmq, background) as (scene, server):
        server.answer = lambda *_: OUTAGE
        scene.wait_condition(NAME, "Ready", "False", "ProviderUnreachable")
        scene.queues.publish(QUEUE, 10 * (WANTED - BEFORE))
        scene.wait_status(NAME, backlog=10 * WANTED)
        assert scene.replicas(NAME) == BEFORE

        server.answer = lambda *_: ANSWER
        scene.wait_status(NAME, replicas=WANTED)
