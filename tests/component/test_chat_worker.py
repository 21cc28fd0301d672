"""The chat worker, beside which scans go on, against a real RabbitMQ and the sandbox's provider."""

from celery_worker import DONE_SECONDS, StartWorker
from scanpool_sandbox.openai_provider import OpenAISettings
from scanpool_sandbox.pipeline import CHAT, CHATS
from scanpool_sandbox.users import Users


async def test_chats_cost_their_tokens_and_touch_no_scan(
    vhost, openai_server, start_worker: StartWorker
) -> None:
    server = await openai_server(OpenAISettings())
    start_worker(vhost.amqp_url, server, pipeline=CHATS)
    async with Users(vhost.amqp_url, CHATS) as chats, Users(vhost.amqp_url) as scans:
        await scans.submit(1)
        await chats.submit(3)
        counts = await chats.wait_all(DONE_SECONDS)

        assert (counts.completed, counts.failed) == (3, 0)
        assert scans.counts().in_flight == 1
    worker = server.provider.state()["consumers"][CHATS.consumer]
    assert (worker["calls"], worker["tokens"]) == (3, 3 * CHAT.tokens)
