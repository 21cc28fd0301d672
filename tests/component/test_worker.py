"""What a scan worker does with scans, against a real RabbitMQ and the sandbox's provider."""

import json

import pika
import pytest

from celery_worker import DONE_SECONDS, AtWork, depths, publish, until
from scanpool_sandbox.openai_provider import Call, Latency, OpenAISettings, Provider
from scanpool_sandbox.pipeline import (
    ANSWER,
    CONSUMER,
    DEAD_LETTER_QUEUE,
    TOKENS_PER_SCAN,
    VISION,
)
from scanpool_sandbox.users import LoadProfile, Users

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMIT = 30_000
"""Tokens per minute: from an empty bucket a call has to wait for six seconds."""


def spend(provider: Provider, tokens: int) -> None:
    """Take tokens out of the bucket, by a call that nobody waits for."""
    body = {"model": "gpt-5.2", "messages": "", "max_completion_tokens": tokens}
    provider.admit(
        Call("chat/completions", "Bearer sk-sandbox", json.dumps(body).encode(), "spender")
    )


async def test_every_scan_goes_through_all_steps_and_costs_what_a_scan_costs(
    at_work: AtWork,
) -> None:
    provider = at_work.grant(OpenAISettings())
    async with Users(at_work.amqp_url) as users:
        await users.submit(1)
        await users.wait_all(DONE_SECONDS)
        # Only the vision and the answer step call an LLM.
        assert [entry.tokens for entry in provider.ledger.entries(limit=9)] == [3_000, 1_500]

        await users.submit(19)
        counts = await users.wait_all(DONE_SECONDS)

    assert (counts.submitted, counts.completed, counts.failed) == (20, 20, 0)
    worker = provider.state()["consumers"][CONSUMER]
    assert (worker["calls"], worker["tokens"]) == (40, 20 * TOKENS_PER_SCAN)
    assert set(depths(at_work.amqp_url).values()) == {0}


async def test_a_call_is_made_nine_times_before_the_scan_fails_and_is_reported(
    at_work: AtWork,
) -> None:
    provider = at_work.grant(OpenAISettings(quota_tokens=0))
    async with Users(at_work.amqp_url) as users:
        await users.submit(1)
        counts = await users.wait_all(DONE_SECONDS)

    assert (counts.completed, counts.failed) == (0, 1)
    assert counts.reasons == {"scan.vision: insufficient_quota": 1}
    assert provider.state()["error_codes"] == {"insufficient_quota": 9}


async def test_a_rate_limited_call_waits_as_told_and_succeeds(at_work: AtWork) -> None:
    provider = at_work.grant(OpenAISettings(tokens_per_minute=LIMIT))
    async with Users(at_work.amqp_url) as users:
        spend(provider, LIMIT)
        await users.submit(1)
        counts = await users.wait_all(DONE_SECONDS)

    assert (counts.completed, counts.failed) == (1, 0)
    # Without what it is told it would try every half a second or second.
    assert 0 < provider.state()["rate_limited"]["tokens"] <= len((VISION, ANSWER))


async def test_a_message_that_is_no_task_is_dead_lettered(at_work: AtWork) -> None:
    publish(at_work.amqp_url, "scan.vision", b'{"scan_id": "not a task"}')

    await until(lambda: depths(at_work.amqp_url)[DEAD_LETTER_QUEUE] == 1)

    connection = pika.BlockingConnection(pika.URLParameters(at_work.amqp_url))
    connection.channel().queue_purge(DEAD_LETTER_QUEUE)
    connection.close()


async def test_a_queue_that_is_deleted_is_declared_again(at_work: AtWork) -> None:
    at_work.grant(OpenAISettings())
    connection = pika.BlockingConnection(pika.URLParameters(at_work.amqp_url))
    connection.channel().queue_delete("scan.rule")
    connection.close()

    async with Users(at_work.amqp_url) as users:
        await users.submit(1)
        counts = await users.wait_all(DONE_SECONDS)

    assert (counts.completed, counts.failed) == (1, 0)


async def test_virtual_users_submit_again_when_a_scan_ends_and_give_up_on_a_slow_one(
    at_work: AtWork,
) -> None:
    provider = at_work.grant(OpenAISettings(latency=Latency(median_seconds=0.05)))
    profile = LoadProfile(
        users=3,
        ramp_up_seconds=0.2,
        hold_seconds=4.0,
        ramp_down_seconds=0.2,
        poll_seconds=0.1,
    )
    async with Users(at_work.amqp_url) as users:
        await users.run(profile)
        counts = await users.wait_all(DONE_SECONDS)
        assert counts.submitted > profile.users
        assert (counts.completed, counts.timed_out) == (counts.submitted, 0)
        assert 0 < users.e2e_seconds(50) <= users.e2e_seconds(95)

        provider.faults.outage = True
        counts = await users.run(
            LoadProfile(
                users=1,
                ramp_up_seconds=0,
                hold_seconds=1.0,
                ramp_down_seconds=0,
                poll_seconds=0.1,
                timeout_seconds=0.2,
            )
        )
        assert counts.timed_out > 0
