"""What a broker tells of itself: a reading has ended only when all of its requests have."""

import asyncio

import httpx
import pytest

from scanpool.models.conditions import Reason
from scanpool.models.reading import Unavailable
from scanpool.sources.broker_access import Access
from scanpool.sources.broker_state import read_broker


@pytest.mark.parametrize("lost", ["overview", "nodes", "alarms"])
async def test_a_request_that_is_lost_leaves_no_other_under_way(lost: str) -> None:
    under_way = 0
    others_go_on = asyncio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal under_way
        if request.url.path.endswith(lost):
            # Everything else is asked by then, and answered only after it.
            asyncio.get_running_loop().call_soon(others_go_on.set)
            raise httpx.ConnectError("", request=request)
        under_way += 1
        try:
            await others_go_on.wait()
            await asyncio.sleep(0)
            return httpx.Response(200, json={"rates_mode": "basic"})
        finally:
            under_way -= 1

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        state = await read_broker(http, Access("http://broker:15672"), clock=lambda: 0.0)
    assert isinstance(state, Unavailable)
    assert state.reason is Reason.BROKER_UNREACHABLE
    assert under_way == 0
