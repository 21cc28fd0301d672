import json
from collections.abc import Callable

import httpx
import pytest

from scanpool.models.conditions import Reason
from scanpool.models.observation import QueueDepth, QueueRates
from scanpool.models.reading import Available, Unavailable
from scanpool.sources.management import read_depths, read_rates

NOW = 1_000.0
URL = "http://user:hunter2@broker:15672"
Handler = Callable[[httpx.Request], httpx.Response]


def clock() -> float:
    return NOW


async def depths(handler: Handler, url: str = URL, vhost: str | None = "eco2") -> object:
    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as http:
        return await read_depths(http, url, vhost, clock=clock)


async def rates(*queues: object) -> object:
    async with httpx.AsyncClient(transport=answering(list(queues))) as http:
        return await read_rates(http, URL, "eco2", window_seconds=60, clock=clock)


def answering(body: object, status: int = 200) -> httpx.MockTransport:
    return httpx.MockTransport(lambda _: httpx.Response(status, json=body))


@pytest.mark.parametrize(
    ("path", "vhost", "requested"),
    [
        ("", None, "/api/queues/%2F"),
        ("/", None, "/api/queues/%2F"),
        ("/api", None, "/api/queues/%2F"),
        ("/api/", None, "/api/queues/%2F"),
        ("/eco2", None, "/api/queues/eco2"),
        ("/%2F", None, "/api/queues/%2F"),
        ("/a%2Fb%20c", None, "/api/queues/a%2Fb%20c"),
        ("/rabbit/eco2", None, "/rabbit/api/queues/eco2"),
        ("/rabbit/", None, "/rabbit/api/queues/%2F"),
        ("/rabbit/api", None, "/rabbit/api/queues/%2F"),
        ("", "eco2", "/api/queues/eco2"),
        ("/api", "eco2", "/api/queues/eco2"),
        ("/eco2", "eco2", "/api/queues/eco2"),
        ("/rabbit", "eco2", "/rabbit/api/queues/eco2"),
        ("/rabbit/", "rabbit", "/rabbit/api/queues/rabbit"),
        ("", "스캔/é?#%", "/api/queues/%EC%8A%A4%EC%BA%94%2F%C3%A9%3F%23%25"),
        ("", "..", "/api/queues/%2E%2E"),
        ("", "api", "/api/queues/api"),
    ],
)
async def test_the_vhost_comes_from_the_field_else_from_the_path(
    path: str, vhost: str | None, requested: str
) -> None:
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path.decode().partition("?")[0])
        return httpx.Response(200, json=[])

    assert await depths(handler, URL + path, vhost) == Available({}, NOW, "management")
    assert asked == [requested]


async def test_user_and_password_go_into_the_header_decoded_and_not_into_the_url() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert request.url.userinfo == b""
        assert request.headers["authorization"] == httpx.BasicAuth("a@b", "c/d")._auth_header
        return httpx.Response(200, json=[])

    assert isinstance(await depths(handler, "http://a%40b:c%2Fd@broker"), Available)


async def test_a_queue_without_counts_is_absent_rather_than_empty() -> None:
    def handler(_: httpx.Request) -> httpx.Response:
        queues = [
            {"name": "up", "messages_ready": 3, "messages_unacknowledged": 4},
            {"name": "down", "state": "down"},
            {"name": "half", "messages_ready": 3},
            {"name": "odd", "messages_ready": True, "messages_unacknowledged": -1},
        ]
        return httpx.Response(200, json=queues)

    assert await depths(handler) == Available({"up": QueueDepth("up", 3, 4)}, NOW, "management")


async def test_a_broker_that_leaves_the_totals_out_is_asked_for_its_statistics() -> None:
    asked: list[httpx.QueryParams] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params)
        queue: dict[str, object] = {"name": "q"}
        if "columns" in request.url.params:
            queue |= {"messages_ready": 1, "messages_unacknowledged": 2}
        return httpx.Response(200, json=[queue])

    assert await depths(handler) == Available({"q": QueueDepth("q", 1, 2)}, NOW, "management")
    assert [dict(params) for params in asked] == [
        {"disable_stats": "true", "enable_queue_totals": "true"},
        {"columns": "name,messages_ready,messages_unacknowledged"},
    ]


LOGIN = {"error": "not_authorized", "reason": "Login failed"}
NO_TAG = {"error": "not_authorised", "reason": "Not management user"}
MISSING = {"error": "Object Not Found", "reason": "Not Found"}


@pytest.mark.parametrize(
    ("status", "body", "reason", "words"),
    [
        (401, LOGIN, Reason.BROKER_AUTHENTICATION_FAILED, "user name or password"),
        (401, "", Reason.BROKER_AUTHENTICATION_FAILED, "user name or password"),
        (401, NO_TAG, Reason.BROKER_FORBIDDEN, "tag 'management'"),
        (403, "", Reason.BROKER_FORBIDDEN, "tag 'management'"),
        (404, MISSING, Reason.VHOST_NOT_FOUND, "no vhost 'eco2' at http://broker:15672"),
        (404, "<html>", Reason.BROKER_ERROR, "no management API"),
        (406, "", Reason.BROKER_ERROR, "no management API"),
        (301, "", Reason.BROKER_ERROR, "redirects to"),
        (500, {"error": "x", "reason": "boom"}, Reason.BROKER_ERROR, "boom"),
        (503, "", Reason.BROKER_ERROR, "HTTP 503"),
        (200, "<html>", Reason.BROKER_ERROR, "usually port 15672"),
        (200, "[" * 100_000, Reason.BROKER_ERROR, "usually port 15672"),
        (200, {"name": "q"}, Reason.BROKER_ERROR, "usually port 15672"),
        (200, [{"no": "name"}], Reason.BROKER_ERROR, "usually port 15672"),
    ],
)
async def test_every_refusal_is_told_apart(
    status: int, body: object, reason: Reason, words: str
) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    reading = await depths(lambda _: httpx.Response(status, text=text))
    assert isinstance(reading, Unavailable)
    assert reading.reason is reason
    assert words in reading.message


async def test_a_long_name_with_line_breaks_stays_one_bounded_line() -> None:
    reading = await depths(lambda _: httpx.Response(404, json=MISSING), vhost="evil\n" * 2_000)
    assert isinstance(reading, Unavailable)
    assert "\n" not in reading.message
    assert len(reading.message) < 500


def measured(ack: float) -> dict[str, object]:
    published = {"publish": 9, "publish_details": {"avg_rate": 2.5}}
    return {**published, "ack": 9, "ack_details": {"avg_rate": ack}}


async def test_rates_and_the_shortest_time_to_live() -> None:
    queue = {
        "name": "q",
        "consumers": 4,
        "arguments": {"x-message-ttl": 3_600_000},
        "effective_policy_definition": {"message-ttl": 300_000},
        "message_stats": measured(2),
    }
    expected = QueueRates("q", 2.0, message_ttl_seconds=300.0)
    assert await rates(queue) == Available({"q": expected}, NOW, "management")


@pytest.mark.parametrize(
    ("queue", "expected"),
    [
        # Statistics have arrived and count no message: a known zero.
        ({"consumers": 0, "arguments": {}}, 0.0),
        # An empty policy is an empty list in older versions.
        ({"consumers": 0, "effective_policy_definition": []}, 0.0),
        (
            {"consumers": 0, "message_stats": {"publish": 1, "publish_details": {"avg_rate": 1}}},
            0.0,
        ),
        # Not yet, not kept, or nonsense: unknown.
        ({"arguments": {}}, None),
        ({"consumers": 0, "message_stats": {"publish": 7, "ack": 7}}, None),
        ({"consumers": 0, "message_stats": measured(-1.0)}, None),
        ({"consumers": 0, "message_stats": measured(float("inf"))}, None),
    ],
)
async def test_a_rate_is_zero_only_where_nothing_was_counted(
    queue: dict[str, object], expected: float | None
) -> None:
    text = json.dumps([{"name": "q"} | queue])
    transport = httpx.MockTransport(lambda _: httpx.Response(200, text=text))
    async with httpx.AsyncClient(transport=transport) as http:
        reading = await read_rates(http, URL, "eco2", window_seconds=60, clock=clock)
    assert isinstance(reading, Available)
    found = reading.value.get("q")
    assert (None if found is None else found.acked_per_second) == expected


async def test_an_invalid_url_is_said_to_be_one() -> None:
    reading = await depths(lambda _: httpx.Response(200, json=[]), url="amqp://u:hunter2@h")
    assert isinstance(reading, Unavailable)
    assert reading.reason is Reason.INVALID_URL
