"""RabbitMQ's management API: depths (ready and unacked) and rates of all queues of a vhost."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

import httpx

from scanpool.models.conditions import Reason
from scanpool.models.observation import QueueDepth, QueueRates
from scanpool.models.reading import Available, Reading
from scanpool.models.units import Clock
from scanpool.sources.buckets import whole_number
from scanpool.sources.failures import SourceError, reading, vhost_not_found
from scanpool.sources.http import Answer, Request, exchange
from scanpool.sources.text import decoded, mapping, quoted, without_secrets
from scanpool.sources.urls import HTTP_PORTS, Address, parse_address

SOURCE: Final = "management"

TOTALS_QUERY: Final = "disable_stats=true&enable_queue_totals=true"
"""Asks the queues themselves: true within milliseconds. The statistics lag by up to 7 s (measured
on 3.10)."""
COUNTS_QUERY: Final = "columns=name,messages_ready,messages_unacknowledged"
"""From the statistics, for brokers that know only the first half of TOTALS_QUERY."""
RATE_COLUMNS: Final = (
    "name,consumers,arguments,effective_policy_definition,"
    "message_stats.ack,message_stats.ack_details.avg_rate"
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


Queues = Mapping[str, Mapping[str, object]]


@reading
async def read_depths(
    http: httpx.AsyncClient, url: str, vhost: str | None, *, clock: Clock
) -> Reading[Mapping[str, QueueDepth]]:
    """Read the ready and unacked messages of all queues of a vhost, by name, in one request.

    A queue that does not exist, or whose messages the broker cannot tell because its node is down,
    is absent. `http` trusts the server's certificate. `url` is http(s)://user:password@host:port,
    percent-encoded, with or without `/api`. A base path behind a proxy ends in `/` or `/api`, or
    comes with `vhost`: otherwise the last segment of the path is the vhost. `vhost` wins over the
    one in the URL; with neither it is "/".
    """
    target = _vhost(url, vhost)
    queues = await _queues(http, target, TOTALS_QUERY)
    depths = _depths(queues)
    if queues and not depths:
        depths = _depths(await _queues(http, target, COUNTS_QUERY))
    return Available(depths, at=clock(), source=SOURCE)


@reading
async def read_rates(
    http: httpx.AsyncClient, url: str, vhost: str | None, window_seconds: int, *, clock: Clock
) -> Reading[Mapping[str, QueueRates]]:
    """Read what is worked off of all queues of a vhost, by name, averaged over the window.

    A queue is absent while its rates are not known: for some seconds after its declaration, and
    always where the broker's administrator has switched statistics off. After a restart of the
    broker the time before counts as idle until the window has passed. The window is of at most 600
    seconds: the broker keeps no finer samples longer. The others are as for `read_depths`.
    """
    window = f"msg_rates_age={window_seconds}&msg_rates_incr={SAMPLE_SECONDS}"
    queues = await _queues(http, _vhost(url, vhost), f"{window}&columns={RATE_COLUMNS}")
    rates = {
        name: QueueRates(name, acked, _message_ttl_seconds(queue))
        for name, queue in queues.items()
        if (acked := _acked_per_second(queue)) is not None
    }
    return Available(rates, at=clock(), source=SOURCE)


def _vhost(url: str, vhost: str | None) -> _Vhost:
    """Tell the base path from the vhost in the URL's path."""
    address = parse_address(url, HTTP_PORTS, "it in the Secret of managementUrlSecretRef")
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


async def _queues(http: httpx.AsyncClient, target: _Vhost, query: str) -> Queues:
    address = target.address
    url = f"{address.origin}{target.base_path}/api/queues/{_encoded(target.name)}?{query}"
    auth = None if address.user is None else (address.user, address.password or "")
    headers = {"Accept": "application/json"}
    request = Request(url, address.origin, Reason.BROKER_UNREACHABLE, auth=auth, headers=headers)
    answer = await exchange(http, request)
    if answer.status != httpx.codes.OK:
        raise _refusal(answer, target)
    listed = decoded(answer.body)
    queues = [mapping(one) for one in listed] if isinstance(listed, list) else [{}]
    if not all(isinstance(queue.get("name"), str) for queue in queues):
        raise SourceError(
            Reason.BROKER_ERROR,
            f"{target.place} did not answer as RabbitMQ's management API does; check that the URL "
            "is the management API's (usually port 15672)",
        )
    return {str(queue["name"]): queue for queue in queues}


def _refusal(answer: Answer, target: _Vhost) -> SourceError:
    said = mapping(decoded(answer.body)).get("reason")
    address = target.address
    words = without_secrets(str(said), address.password) if said else f"HTTP {answer.status}"
    words = quoted(words)
    match answer.status:
        # RabbitMQ answers 401 for missing permissions too; only its words differ.
        case httpx.codes.UNAUTHORIZED if said in (None, "Login failed"):
            return SourceError(
                Reason.BROKER_AUTHENTICATION_FAILED,
                f"{address.origin} refuses the user name or password ({words}); correct them in "
                "the Secret of managementUrlSecretRef, percent-encoded",
            )
        case httpx.codes.UNAUTHORIZED | httpx.codes.FORBIDDEN:
            return SourceError(
                Reason.BROKER_FORBIDDEN,
                f"the user may not read {target.place} ({words}); give it the tag 'management' "
                "(or 'monitoring') and permissions on this vhost",
            )
        case httpx.codes.NOT_FOUND if said is not None:
            return vhost_not_found(target.place)
        case status if said is None and httpx.codes.is_client_error(status):
            return SourceError(
                Reason.BROKER_ERROR,
                f"there is no management API at {address.origin}{quoted(target.base_path)} "
                f"({words}); correct the URL, and write a base path with a slash at its end",
            )
    if answer.status in range(300, 400):
        words = f"redirected, HTTP {answer.status}: write the URL that it redirects to"
    return SourceError(
        Reason.BROKER_ERROR,
        f"the management API cannot tell about {target.place} ({words}); see the broker's log",
    )


def _depths(queues: Queues) -> dict[str, QueueDepth]:
    depths = {}
    for name, queue in queues.items():
        ready = whole_number(queue.get("messages_ready"))
        unacked = whole_number(queue.get("messages_unacknowledged"))
        if ready is not None and unacked is not None:
            depths[name] = QueueDepth(name, ready, unacked)
    return depths


def _acked_per_second(queue: Mapping[str, object]) -> float | None:
    """Return the rate over the window; None if no statistics have arrived, or none of rates."""
    if whole_number(queue.get("consumers")) is None:
        # A statistic too: without it missing message_stats do not mean that there were no messages.
        return None
    stats = mapping(queue.get("message_stats"))
    rate = mapping(stats.get("ack_details")).get("avg_rate")
    if rate is None:
        # Never counted at all: a true zero.
        return 0.0 if "ack" not in stats else None
    if isinstance(rate, bool) or not isinstance(rate, int | float):
        return None
    return float(rate) if math.isfinite(rate) and rate >= 0 else None


def _message_ttl_seconds(queue: Mapping[str, object]) -> float | None:
    """Return the time to live of the queue's messages: the shortest applies."""
    found = (
        mapping(queue.get("arguments")).get("x-message-ttl"),
        # Policies and operator policies, already merged.
        mapping(queue.get("effective_policy_definition")).get("message-ttl"),
    )
    milliseconds = [number for value in found if (number := whole_number(value)) is not None]
    return min(milliseconds) / MILLISECONDS if milliseconds else None
