"""RabbitMQ's management API: depths (ready and unacked) and rates of all queues of a vhost."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

import httpx

from scanpool.models.conditions import Reason
from scanpool.models.observation import QueueDepth, QueueRates
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.sources.http import Answer, exchange
from scanpool.sources.text import quoted, without_secrets
from scanpool.sources.urls import Address, InvalidUrlError, parse_address

SOURCE: Final = "management"
DEFAULT_PORTS: Final = {"http": 80, "https": 443}

TOTALS_QUERY: Final = "disable_stats=true&enable_queue_totals=true"
"""Asks the queues themselves: true within milliseconds. The statistics lag by up to 7 s (measured
on 3.10)."""
COUNTS_QUERY: Final = "columns=name,messages_ready,messages_unacknowledged"
"""From the statistics, for brokers that know only the first half of TOTALS_QUERY."""
RATE_COLUMNS: Final = ",".join(
    (
        "name",
        "consumers",
        "arguments",
        "effective_policy_definition",
        "message_stats.publish",
        "message_stats.ack",
        "message_stats.publish_details.avg_rate",
        "message_stats.ack_details.avg_rate",
    )
)
SAMPLE_SECONDS: Final = 5
"""How often the broker takes samples by default. They are aligned to multiples of the increment, so
a longer one would add its own length to their age."""
MILLISECONDS: Final = 1000.0


@dataclass(frozen=True, slots=True)
class _Vhost:
    """A vhost of the API at `address`."""

    address: Address
    base_path: str
    name: str

    @property
    def place(self) -> str:
        """Where a message says it happened."""
        return f"vhost '{quoted(self.name)}' at {self.address.origin}{quoted(self.base_path)}"

    def url(self, query: str) -> str:
        """Return the URL of all its queues."""
        path = f"{self.base_path}/api/queues/{_encoded(self.name)}"
        return f"{self.address.origin}{path}?{query}"


async def read_depths(
    http: httpx.AsyncClient, url: str, vhost: str | None, *, clock: Callable[[], float]
) -> Reading[Mapping[str, QueueDepth]]:
    """Read the ready and unacked messages of all queues of a vhost, by name, in one request.

    A queue that does not exist, or whose messages the broker cannot tell because its node is down,
    is absent.

    Args:
        http: a client that trusts the server's certificate.
        url: http(s)://user:password@host:port, percent-encoded, with or without `/api`. A base path
            behind a proxy ends in `/` or `/api`, or comes with `vhost`: otherwise the last segment
            of the path is the vhost.
        vhost: the virtual host; it wins over the one in the URL. With neither it is "/".
        clock: seconds since the epoch.

    """
    try:
        target = _vhost(url, vhost)
    except InvalidUrlError as error:
        return _invalid_url(error)
    queues = await _queues(http, target, TOTALS_QUERY)
    if isinstance(queues, Unavailable):
        return queues
    depths = dict(_depths(queues))
    if queues and not depths:
        queues = await _queues(http, target, COUNTS_QUERY)
        if isinstance(queues, Unavailable):
            return queues
        depths = dict(_depths(queues))
    return Available(depths, at=clock(), source=SOURCE)


async def read_rates(
    http: httpx.AsyncClient,
    url: str,
    vhost: str | None,
    *,
    window_seconds: int,
    clock: Callable[[], float],
) -> Reading[Mapping[str, QueueRates]]:
    """Read what passes through all queues of a vhost, by name, averaged over the window.

    A queue is absent while its rates are not known: for some seconds after its declaration, and
    always where the broker's administrator has switched statistics off. After a restart of the
    broker the time before counts as idle until the window has passed.

    Args:
        http: a client that trusts the server's certificate.
        url: as for `read_depths`.
        vhost: as for `read_depths`.
        window_seconds: length of the window, at most 600: the broker keeps no finer samples longer.
        clock: seconds since the epoch.

    """
    try:
        target = _vhost(url, vhost)
    except InvalidUrlError as error:
        return _invalid_url(error)
    window = f"msg_rates_age={window_seconds}&msg_rates_incr={SAMPLE_SECONDS}"
    queues = await _queues(http, target, f"{window}&columns={RATE_COLUMNS}")
    if isinstance(queues, Unavailable):
        return queues
    return Available(dict(_rates(queues)), at=clock(), source=SOURCE)


def _vhost(url: str, vhost: str | None) -> _Vhost:
    """Tell the base path from the vhost in the URL's path.

    Raises:
        InvalidUrlError: see `parse_address`.

    """
    address = parse_address(url, DEFAULT_PORTS)
    segments = [segment for segment in address.path.split("/") if segment]
    is_base = address.path.endswith("/") or segments[-1:] == ["api"]
    if segments[-1:] == ["api"]:
        segments.pop()
    last = unquote(segments[-1]) if segments and not is_base else None
    if last is not None and vhost in (None, last):
        segments.pop()
        vhost = last
    base_path = "".join(f"/{_encoded(unquote(segment))}" for segment in segments)
    return _Vhost(address, base_path, "/" if vhost is None else vhost)


def _encoded(segment: str) -> str:
    encoded = quote(segment, safe="", errors="replace")
    # A client would resolve these two as steps in the path, and ask for something else.
    return encoded.replace(".", "%2E") if segment in {".", ".."} else encoded


async def _queues(
    http: httpx.AsyncClient, target: _Vhost, query: str
) -> list[Mapping[str, object]] | Unavailable:
    address = target.address
    answer = await exchange(
        http,
        "GET",
        target.url(query),
        origin=address.origin,
        unreachable=Reason.BROKER_UNREACHABLE,
        auth=None if address.user is None else (address.user, address.password or ""),
        headers={"Accept": "application/json"},
    )
    if isinstance(answer, Unavailable):
        return answer
    if answer.status != httpx.codes.OK:
        return _refusal(answer, target)
    body = _json(answer)
    if not isinstance(body, list) or not all(_is_queue(item) for item in body):
        return Unavailable(
            Reason.BROKER_ERROR,
            f"{target.place} did not answer as RabbitMQ's management API does; check that the URL "
            "is the management API's (usually port 15672)",
        )
    return body


def _refusal(answer: Answer, target: _Vhost) -> Unavailable:
    body = _json(answer)
    said = body.get("reason") if isinstance(body, Mapping) else None
    address = target.address
    words = without_secrets(str(said), address.password) if said else f"HTTP {answer.status}"
    words = quoted(words)
    match answer.status:
        # RabbitMQ answers 401 for missing permissions too; only its words differ.
        case httpx.codes.UNAUTHORIZED if said in (None, "Login failed"):
            return Unavailable(
                Reason.BROKER_AUTHENTICATION_FAILED,
                f"{address.origin} refuses the user name or password ({words}); correct them in "
                "the Secret of managementUrlSecretRef, percent-encoded",
            )
        case httpx.codes.UNAUTHORIZED | httpx.codes.FORBIDDEN:
            return Unavailable(
                Reason.BROKER_FORBIDDEN,
                f"the user may not read {target.place} ({words}); give it the tag 'management' "
                "(or 'monitoring') and permissions on this vhost",
            )
        case httpx.codes.NOT_FOUND if said is not None:
            return Unavailable(
                Reason.VHOST_NOT_FOUND,
                f"there is no {target.place}; correct rabbitmq.vhost or the URL's path, or create "
                "the vhost",
            )
        case status if said is None and httpx.codes.is_client_error(status):
            return Unavailable(
                Reason.BROKER_ERROR,
                f"there is no management API at {address.origin}{quoted(target.base_path)} "
                f"({words}); correct the URL, and write a base path with a slash at its end",
            )
    if answer.status in range(300, 400):
        words = f"redirected, HTTP {answer.status}: write the URL that it redirects to"
    return Unavailable(
        Reason.BROKER_ERROR,
        f"the management API cannot tell about {target.place} ({words}); see the broker's log",
    )


def _json(answer: Answer) -> object:
    try:
        decoded: object = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    return decoded


def _is_queue(item: object) -> bool:
    return isinstance(item, Mapping) and isinstance(item.get("name"), str)


def _depths(queues: list[Mapping[str, object]]) -> Iterator[tuple[str, QueueDepth]]:
    for queue in queues:
        ready, unacked = queue.get("messages_ready"), queue.get("messages_unacknowledged")
        if _is_count(ready) and _is_count(unacked):
            name = str(queue["name"])
            yield name, QueueDepth(name, ready=int(str(ready)), unacked=int(str(unacked)))


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _rates(queues: list[Mapping[str, object]]) -> Iterator[tuple[str, QueueRates]]:
    for queue in queues:
        consumers = queue.get("consumers")
        # The number of consumers is a statistic too: without it no statistics have arrived, and
        # missing message_stats do not mean that there were no messages.
        if not _is_count(consumers):
            continue
        published, acked = _rate(queue, "publish"), _rate(queue, "ack")
        if published is None or acked is None:
            continue
        name = str(queue["name"])
        yield (
            name,
            QueueRates(
                name,
                published_per_second=published,
                acked_per_second=acked,
                consumers=int(str(consumers)),
                message_ttl_seconds=_message_ttl_seconds(queue),
            ),
        )


def _rate(queue: Mapping[str, object], event: str) -> float | None:
    """Return events per second over the window; None if the broker counts but keeps no rates."""
    stats = _mapping(queue.get("message_stats"))
    rate = _mapping(stats.get(f"{event}_details")).get("avg_rate")
    if rate is None:
        # Never counted at all: a true zero.
        return 0.0 if event not in stats else None
    if isinstance(rate, bool) or not isinstance(rate, int | float):
        return None
    return float(rate) if math.isfinite(rate) and rate >= 0 else None


def _message_ttl_seconds(queue: Mapping[str, object]) -> float | None:
    """Return the time to live of the queue's messages: the shortest applies."""
    found = (
        _mapping(queue.get("arguments")).get("x-message-ttl"),
        # Policies and operator policies, already merged.
        _mapping(queue.get("effective_policy_definition")).get("message-ttl"),
    )
    milliseconds = [int(str(value)) for value in found if _is_count(value)]
    return min(milliseconds) / MILLISECONDS if milliseconds else None


def _mapping(value: object) -> Mapping[str, object]:
    # Erlang's empty list stands for an empty object too.
    return value if isinstance(value, Mapping) else {}


def _invalid_url(error: InvalidUrlError) -> Unavailable:
    return Unavailable(
        Reason.INVALID_URL, f"{error}; correct it in the Secret of managementUrlSecretRef"
    )
