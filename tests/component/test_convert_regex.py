"""A real broker says which queues a regular expression matches; `--queues` has to find the same."""

import asyncio
from contextlib import closing
from urllib.parse import quote

import httpx
import pika
import pytest

from scanpool.convert.regex import matching

NAMES = ("Orders.new", "orders.new", "orders.old", "x-orders.new-y", "other")
SHOWN_WITHIN_SECONDS = 30


@pytest.mark.parametrize(
    "expression", ["orders", "^orders", r"\.new$", "^orders\\.(new|old)$", "o.*w"]
)
async def test_the_broker_matches_the_same_queues(vhost, expression: str) -> None:
    with closing(pika.BlockingConnection(pika.URLParameters(vhost.amqp_url))) as connection:
        for name in NAMES:
            connection.channel().queue_declare(name)

    # As KEDA asks it.
    url = f"{vhost.management_url}/api/queues/{quote(vhost.name, safe='')}"
    query = {"page": "1", "use_regex": "true", "pagination": "false", "page_size": "100"}
    async with httpx.AsyncClient(trust_env=False) as http, asyncio.timeout(SHOWN_WITHIN_SECONDS):
        while (await http.get(url, params={**query, "name": ""})).json()["total_count"] < len(
            NAMES
        ):
            await asyncio.sleep(0.1)
        found = (await http.get(url, params={**query, "name": expression})).json()

    listed = {one["name"] for one in found["items"]}
    assert listed == set(matching(expression, NAMES))
    assert listed
