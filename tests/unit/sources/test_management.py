import json
from collections.abc import Callable

import httpx
import pytest

from scanpool.models.broker import QueueReport, RateReport
from scanpool.models.conditions import Reason
from scanpool.models.reading import Available, Unavailable
from scanpool.sources.broker_access import Access
from scanpool.sources.management import read_queue, read_queues, read_rates

NOW = 1_000.0
URL = "http://user:hunter2@broker:15672"
ECO2 = Access(URL, "eco2")
Handler = Callable[[httpx.Request], httpx.Response]


def clock() -> float:
    return NOW


def seen_as(value: object) -> Available[object]:
    return Available(value, NOW, "management")


async def depths(handler: Handler, url: str = URL, vhost: str | None = "eco2") -> object:
    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as http:
        return await read_queues(http, Access(url, vhost), clock=clock)


async def rates(*queues: object) -> object:
    async with httpx.AsyncClient(transport=answering(list(queues))) as http:
        return await read_rates(http, ECO2, 60, clock=clock)


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


async def test_a_count_that_is_not_told_is_unknown_and_not_zero() -> None:
    def handler(_: httpx.Request) -> httpx.Response:
        queues = [
            {"name": "up", "messages_ready": 3, "messages_unacknowledged": 4, "state": "running"},
            {"name": "down", "state": "down", "type": "classic", "node": "rabbit@one"},
            {"name": "half", "messages_ready": 3},
            {"name": "odd", "messages_ready": True, "messages_unacknowledged": -1},
            {"name": "log", "type": "stream", "messages_ready": None},
            {"name": "mine", "exclusive": True, "auto_delete": True},
            {"name": "led", "type": "quorum", "leader": "b", "members": ["a", "b"], "online": []},
        ]
        return httpx.Response(200, json=[{"vhost": "eco2"} | queue for queue in queues])

    expected = [
        QueueReport("up", 3, 4, "running"),
        QueueReport("down", None, None, "down", "classic", "rabbit@one"),
        QueueReport("half", 3),
        QueueReport("odd"),
        QueueReport("log", kind="stream"),
        QueueReport("mine", is_exclusive=True, is_auto_deleted=True),
        QueueReport("led", kind="quorum", node="b", members=2, online=0),
    ]
    assert await depths(handler) == seen_as({one.name: one for one in expected})


@pytest.mark.parametrize("listed", [("eco2", "/"), ("/",)])
async def test_the_queues_of_another_vhost_are_not_taken_for_the_pools_own(
    listed: tuple[str, ...],
) -> None:
    """As behind a proxy that decodes %2F and merges slashes."""
    queues = [
        {"name": "q", "vhost": vhost, "messages_ready": 90, "messages_unacknowledged": 0}
        for vhost in listed
    ]
    reading = await depths(lambda _: httpx.Response(200, json=queues))
    assert isinstance(reading, Unavailable)
    assert reading.reason is Reason.BROKER_ERROR
    assert "vhost '/'" in reading.message
    assert "proxy" in reading.message


async def one(status: int, body: object, *listed: dict[str, str]) -> object:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.raw_path.startswith(b"/api/queues/eco2/a%2Fb?"):
            return httpx.Response(status, json=body)
        # What tells a vhost that exists from one that does not.
        assert request.url.params["name"] == "^a/b$"
        is_there = body != MISSING | {"vhost": False}
        page = {"page_count": 1, "items": listed}
        return httpx.Response(200 if is_there else 404, json=page if is_there else MISSING)

    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as http:
        return await read_queue(http, ECO2, "a/b", clock=clock)


async def test_one_queue_is_there_or_not_or_the_vhost_is_not() -> None:
    there = {"name": "a/b", "vhost": "eco2", "state": "down"}
    assert await one(200, there) == seen_as(QueueReport("a/b", state="down"))
    assert await one(404, MISSING) == seen_as(None)
    for status, body, reason in (
        (404, MISSING | {"vhost": False}, Reason.VHOST_NOT_FOUND),
        (200, there | {"vhost": "/"}, Reason.BROKER_ERROR),
        (200, there | {"name": "b"}, Reason.BROKER_ERROR),
        (200, [there], Reason.BROKER_ERROR),
        (404, "", Reason.BROKER_ERROR),
        (500, "", Reason.BROKER_ERROR),
    ):
        reading = await one(status, body)
        assert isinstance(reading, Unavailable)
        assert reading.reason is reason


async def test_a_queue_whose_path_a_proxy_changes_is_not_one_that_is_missing() -> None:
    """It decodes the %2F of the queue's name, and the broker knows no such path."""
    other, asked = {"name": "A/B", "vhost": "eco2"}, {"name": "a/b", "vhost": "eco2"}
    found = await one(404, MISSING, other, asked)
    assert isinstance(found, Unavailable)
    assert found.reason is Reason.BROKER_ERROR
    assert "has a queue 'a/b' that is not found by its path: a proxy" in found.message
    assert await one(404, MISSING, other) == seen_as(None)
    # So a broker of today answers where the queue's name makes another path.
    changed = await one(406, "", other, asked)
    assert changed == found
    unknown = await one(406, "", other)
    assert isinstance(unknown, Unavailable)
    assert "there is no management API" in unknown.message
    assert "Or a proxy before the management API decodes %2F" in unknown.message


@pytest.mark.parametrize(("vhost", "is_hinted"), [("a/b", True), ("/", True), ("eco2", False)])
async def test_a_vhost_whose_path_a_proxy_may_have_changed_is_said_to(
    vhost: str, *, is_hinted: bool
) -> None:
    found = await depths(lambda _: httpx.Response(404, json=MISSING), vhost=vhost)
    assert isinstance(found, Unavailable)
    assert found.reason is Reason.VHOST_NOT_FOUND
    assert ("a proxy before the management API" in found.message) is is_hinted


async def test_a_broker_that_leaves_the_totals_out_is_asked_for_its_statistics() -> None:
    asked: list[httpx.QueryParams] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params)
        queue: dict[str, object] = {"name": "q", "vhost": "eco2"}
        if "columns" in request.url.params:
            queue |= {"messages_ready": 1, "messages_unacknowledged": 2}
        return httpx.Response(200, json=[queue])

    assert await depths(handler) == seen_as({"q": QueueReport("q", 1, 2)})
    totals, statistics = (dict(params) for params in asked)
    assert totals == {"disable_stats": "true", "enable_queue_totals": "true"}
    assert {"messages_ready", "state", "type"} < set(statistics["columns"].split(","))


async def test_a_vhost_of_streams_alone_is_not_asked_for_its_logs_lengths() -> None:
    stream = {"name": "log", "vhost": "eco2", "type": "stream", "state": "running"}
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url.params))
        return httpx.Response(200, json=[stream])

    assert await depths(handler) == seen_as(
        {"log": QueueReport("log", state="running", kind="stream")}
    )
    assert len(asked) == 1


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
        "vhost": "eco2",
        "consumers": 4,
        "arguments": {"x-message-ttl": 3_600_000},
        "effective_policy_definition": {"message-ttl": 300_000},
        "message_stats": {**measured(2), "deliver": 11, "get": 2},
    }
    expected = RateReport(
        "q",
        has_statistics=True,
        acked=9,
        acked_per_second=2.0,
        message_ttl_seconds=300.0,
        delivered=13,
    )
    assert await rates(queue) == seen_as({"q": expected})


@pytest.mark.parametrize(
    ("queue", "has_statistics", "acked", "rate"),
    [
        ({"consumers": 0, "arguments": {}}, True, None, None),
        # An empty policy is an empty list in older versions.
        ({"consumers": 0, "effective_policy_definition": []}, True, None, None),
        ({"consumers": 0, "message_stats": {"publish": 1}}, True, None, None),
        ({"arguments": {}}, False, None, None),
        ({"consumers": 0, "message_stats": {"publish": 7, "ack": 7}}, True, 7, None),
        ({"consumers": 0, "message_stats": measured(-1.0)}, True, 9, None),
        ({"consumers": 0, "message_stats": measured(float("inf"))}, True, 9, None),
    ],
)
async def test_what_is_not_counted_is_no_rate(
    queue: dict[str, object], has_statistics: bool, acked: int | None, rate: float | None
) -> None:
    text = json.dumps([{"name": "q", "vhost": "eco2"} | queue])
    transport = httpx.MockTransport(lambda _: httpx.Response(200, text=text))
    async with httpx.AsyncClient(transport=transport) as http:
        reading = await read_rates(http, ECO2, 60, clock=clock)
    assert reading == seen_as({"q": RateReport("q", has_statistics, acked, rate)})


async def test_an_invalid_url_is_said_to_be_one() -> None:
    reading = await depths(lambda _: httpx.Response(200, json=[]), url="amqp://u:hunter2@h")
    assert isinstance(reading, Unavailable)
    assert reading.reason is Reason.INVALID_URL
