"""What a server may do instead of answering as it should; each is a `Fault` of the gateway."""

import asyncio
import json
import re
import zlib
from collections.abc import Mapping
from contextlib import suppress
from functools import cache

from aiohttp import web

from faults.gateway import Fault, PassOn

MEBIBYTE = 2**20
GIBIBYTE = 2**30
FOREVER_SECONDS = 3600.0
LIMITS = {"x-ratelimit-limit-tokens": "2000000", "x-ratelimit-limit-requests": "10000"}


def answers(status: int, body: object = "", headers: Mapping[str, str] | None = None) -> Fault:
    """Answer with this; a `body` that is no text is sent as JSON."""
    text = body if isinstance(body, str) else json.dumps(body)

    async def fault(_request: web.Request, _pass_on: PassOn) -> web.StreamResponse:
        return web.Response(status=status, text=text, headers=headers)

    return fault


def at(pattern: str, fault: Fault) -> Fault:
    """Do it to the requests whose method and path with query match; pass the others on."""

    async def chosen(request: web.Request, pass_on: PassOn) -> web.StreamResponse:
        is_meant = re.match(pattern, f"{request.method} {request.raw_path}")
        return await (fault(request, pass_on) if is_meant else pass_on())

    return chosen


def refuses(status: int, headers: Mapping[str, str] | None = None, **error: object) -> Fault:
    """Answer with an error as providers word it."""
    return answers(status, {"error": {"message": "no", **error}}, headers)


def redirects(url: str) -> Fault:
    return answers(307, headers={"Location": url})


def is_late(seconds: float) -> Fault:
    """Answer rightly, and so late."""

    async def fault(_request: web.Request, pass_on: PassOn) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await pass_on()

    return fault


def cuts() -> Fault:
    """Reset the connection in the middle of the right answer's body."""

    async def fault(request: web.Request, pass_on: PassOn) -> web.StreamResponse:
        right = await pass_on()
        assert isinstance(right, web.Response)
        assert isinstance(right.body, bytes)
        cut = web.StreamResponse(status=right.status, headers=right.headers)
        cut.content_length = len(right.body)
        await cut.prepare(request)
        await cut.write(right.body[: len(right.body) // 2])
        assert request.transport is not None
        request.transport.abort()
        return cut

    return fault


def sends(chunk: bytes, times: int, pause_seconds: float = 0.0, **headers: str) -> Fault:
    """Answer 200 with this body, piece by piece, until all of it is sent or the reader has gone."""

    async def fault(request: web.Request, _pass_on: PassOn) -> web.StreamResponse:
        response = web.StreamResponse(headers={k.replace("_", "-"): v for k, v in headers.items()})
        await response.prepare(request)
        with suppress(ConnectionError):
            for _ in range(times):
                await response.write(chunk)
                await asyncio.sleep(pause_seconds)
            await response.write_eof()
        return response

    return fault


def floods() -> Fault:
    """Send a body of 2 GiB."""
    return sends(b" " * MEBIBYTE, 2 * GIBIBYTE // MEBIBYTE)


def trickles() -> Fault:
    """Send a body of a byte a second that does not end."""
    return sends(b" ", int(FOREVER_SECONDS), 1.0)


@cache
def bomb(layers: int) -> bytes:
    """Return a GiB of spaces, packed so many times over."""
    packer = zlib.compressobj(9, wbits=31)
    packed = b"".join(packer.compress(b" " * MEBIBYTE) for _ in range(GIBIBYTE // MEBIBYTE))
    packed += packer.flush()
    for _ in range(layers - 1):
        again = zlib.compressobj(9, wbits=31)
        packed = again.compress(packed) + again.flush()
    return packed


def explodes(layers: int = 1) -> Fault:
    """Send a small body that unpacks to a GiB."""

    async def fault(request: web.Request, pass_on: PassOn) -> web.StreamResponse:
        encoding = ", ".join(["gzip"] * layers)
        # Packing takes seconds, in which the others' faults have to go on.
        packed = await asyncio.to_thread(bomb, layers)
        return await sends(packed, 1, Content_Encoding=encoding)(request, pass_on)

    return fault


def changes_headers(**headers: str | None) -> Fault:
    """Answer rightly, but for these headers; None takes one away."""

    async def fault(_request: web.Request, pass_on: PassOn) -> web.StreamResponse:
        response = await pass_on()
        for name, value in headers.items():
            real = name.replace("_", "-")
            response.headers.popall(real, None)
            if value is not None:
                response.headers[real] = value
        return response

    return fault


def rewrites(pattern: str, new: str) -> Fault:
    """Answer rightly, but for what a regular expression finds in the body."""

    async def fault(_request: web.Request, pass_on: PassOn) -> web.StreamResponse:
        response = await pass_on()
        assert isinstance(response, web.Response)
        assert response.text is not None
        response.text = re.sub(pattern, new, response.text)
        return response

    return fault


def wants_key(key: str) -> Fault:
    """Refuse every key but this one."""

    async def fault(request: web.Request, pass_on: PassOn) -> web.StreamResponse:
        if request.headers.get("Authorization") == f"Bearer {key}":
            return await answers(200, headers=LIMITS)(request, pass_on)
        return await refuses(401, code="invalid_api_key")(request, pass_on)

    return fault
