"""Probes: one HTTP or TCP attempt, and the loop that counts successes and failures."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from scanpool_sandbox.kube.objects import Obj


async def attempt(probe: Obj, local_port: Callable[[int | str], int]) -> bool:
    """Try a probe once; any answer below 400 to httpGet, any connection to tcpSocket, is good.

    `local_port` maps a container port, by number or name, to the port it really has. An exec
    probe always succeeds: there is no container to run it in.
    """
    try:
        async with asyncio.timeout(probe.get("timeoutSeconds", 1)):
            if "httpGet" in probe:
                return await _http(probe["httpGet"], local_port)
            if "tcpSocket" in probe:
                port = local_port(probe["tcpSocket"]["port"])
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                await writer.wait_closed()
    except (OSError, TimeoutError, aiohttp.ClientError):
        return False
    return True


async def _http(get: Obj, local_port: Callable[[int | str], int]) -> bool:
    scheme = get.get("scheme", "HTTP").lower()
    url = f"{scheme}://127.0.0.1:{local_port(get['port'])}{get.get('path', '/')}"
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, allow_redirects=False) as response,
    ):
        return response.status < HTTPStatus.BAD_REQUEST


async def watch_probe(
    probe: Obj, succeeds: Callable[[Obj], Awaitable[bool]], report: Callable[[bool], None]
) -> None:
    """Probe for ever, reporting each success or failure that reached its threshold."""
    await asyncio.sleep(probe.get("initialDelaySeconds", 0))
    successes = failures = 0
    while True:
        if await succeeds(probe):
            successes, failures = successes + 1, 0
            if successes >= probe.get("successThreshold", 1):
                report(True)
        else:
            successes, failures = 0, failures + 1
            if failures >= probe.get("failureThreshold", 3):
                report(False)
        await asyncio.sleep(probe.get("periodSeconds", 10))
