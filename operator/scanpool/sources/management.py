"""RabbitMQ's management API: what it tells of the queues of a vhost, and of their rates."""

import math
import re
from collections.abc import Mapping
from typing import Final

import httpx

from scanpool.models.broker import QueueReport, RateReport
from scanpool.models.conditions import Reason
from scanpool.models.reading import Available, Reading
from scanpool.models.units import Clock
from scanpool.sources.broker_access import Access
from scanpool.sources.buckets import whole_number
from scanpool.sources.failures import SourceError, reading
from scanpool.sources.management_api import (
    NO_SUCH_PATH,
    NOT_IT,
    PROXY,
    SLASH,
    Api,
    api,
    ask,
    encoded,
    get,
    of_vhost,
    refusal,
)
from scanpool.sources.text import decoded, mapping, quoted

SOURCE: Final = "management"

TOTALS_QUERY: Final = {"disable_stats": "true", "enable_queue_totals": "true"}
"""Asks the queues themselves: true within milliseconds, but for a quorum queue, which counts every
5 s. The statistics lag by up to 7 s (measured on 3.10)."""
COUNTS_QUERY: Final = {
    "columns": "name,vhost,messages_ready,messages_unacknowledged,state,type,node,leader,online,"
    "members,exclusive,auto_delete"
}
"""From the statistics, for brokers that know only the first half of TOTALS_QUERY."""
RATE_COLUMNS: Final = (
    "name,vhost,consumers,arguments,effective_policy_definition,"
    "message_stats.ack,message_stats.ack_details.avg_rate,"
    "message_stats.deliver,message_stats.get"
)
SAMPLE_SECONDS: Final = 5
"""How often the broker takes samples by default. They are aligned to multiples of the increment, so
a longer one would add its own length to their age."""
SAME_BUT_FOR_CASE: Final = 10
"""Queues whose names differ in nothing else: the broker chooses in any case."""
MILLISECONDS: Final = 1000.0

Item = Mapping[str, object]


@reading
async def read_queues(
    http: httpx.AsyncClient, access: Access, *, clock: Clock
) -> Reading[Mapping[str, QueueReport]]:
    """Read what the broker tells of all queues of a vhost, by name, in one request.

    A queue that does not exist is absent, and one whose leader is away may be: `read_queue` tells.
    `http` trusts the server's certificate.
    """
    asked = api(access)
    items = of_vhost(asked, await get(http, asked, asked.queues, TOTALS_QUERY))
    reports = _reports(items)
    countable = [one for one in reports.values() if not one.is_stream]
    if countable and all(one.ready is None for one in countable):
        items = of_vhost(asked, await get(http, asked, asked.queues, COUNTS_QUERY))
        reports = _reports(items)
    return Available(reports, at=clock(), source=SOURCE)


@reading
async def read_rates(
    http: httpx.AsyncClient, access: Access, window_seconds: int, *, clock: Clock
) -> Reading[Mapping[str, RateReport]]:
    """Read what is worked off of all queues of a vhost, by name, averaged over the window.

    After a restart of the broker the time before counts as idle until the window has passed. The
    window is of at most 600 seconds: the broker keeps no finer samples longer.
    """
    asked = api(access)
    query = rates_query(window_seconds)
    items = of_vhost(asked, await get(http, asked, asked.queues, query))
    return Available({one.name: one for one in map(told_of_rate, items)}, at=clock(), source=SOURCE)


@reading
async def read_queue(
    http: httpx.AsyncClient, access: Access, name: str, *, clock: Clock
) -> Reading[QueueReport | None]:
    """Read what the broker tells of one queue by its statistics; None if it does not exist."""
    item = await _one(http, api(access), name, COUNTS_QUERY)
    return Available(None if item is None else told_of_queue(item), at=clock(), source=SOURCE)


@reading
async def read_queue_rates(
    http: httpx.AsyncClient, access: Access, name: str, window_seconds: int, *, clock: Clock
) -> Reading[RateReport | None]:
    """Read what is worked off of one queue, as `read_rates` does; None if it does not exist."""
    item = await _one(http, api(access), name, rates_query(window_seconds))
    return Available(None if item is None else told_of_rate(item), at=clock(), source=SOURCE)


async def _one(
    http: httpx.AsyncClient, asked: Api, name: str, query: Mapping[str, str | int]
) -> Item | None:
    path = f"{asked.queues}/{encoded(name)}"
    answer = await ask(http, asked, path, query)
    if answer.status in NO_SUCH_PATH:
        # The same for a vhost that does not exist, and for a path that a proxy has changed.
        is_listed = await _is_listed(http, asked, name)
        if is_listed and SLASH in path:
            raise SourceError(
                Reason.BROKER_ERROR,
                f"{asked.place} has a queue {quoted(name)!r} that is not found by its path: "
                f"{PROXY}",
            )
        if mapping(decoded(answer.body)).get("reason"):
            return None
    if answer.status != httpx.codes.OK:
        raise refusal(answer, asked, path)
    (item,) = of_vhost(asked, [decoded(answer.body)])
    if item["name"] != name:
        raise SourceError(Reason.BROKER_ERROR, f"{asked.place} {NOT_IT}")
    return item


async def _is_listed(http: httpx.AsyncClient, asked: Api, name: str) -> bool:
    """Tell whether a vhost has a queue by a page that the queue's name chooses, not its path."""
    query: dict[str, str | int] = {
        "name": f"^{re.escape(name)}$",
        "use_regex": "true",
        "page": 1,
        "page_size": SAME_BUT_FOR_CASE,
        "columns": "name,vhost",
    }
    told = mapping(await get(http, asked, asked.queues, query))
    return any(one["name"] == name for one in of_vhost(asked, told.get("items")))


def rates_query(window_seconds: int) -> Mapping[str, str | int]:
    """Return what asks for rates, averaged over a window of whole seconds."""
    return {
        "msg_rates_age": window_seconds,
        "msg_rates_incr": SAMPLE_SECONDS,
        "columns": RATE_COLUMNS,
    }


def _reports(items: list[Item]) -> dict[str, QueueReport]:
    return {one.name: one for one in map(told_of_queue, items)}


def told_of_queue(item: Item) -> QueueReport:
    """Return what an item of an answer tells of a queue."""
    return QueueReport(
        name=str(item["name"]),
        ready=whole_number(item.get("messages_ready")),
        unacked=whole_number(item.get("messages_unacknowledged")),
        state=_text(item.get("state")),
        kind=_text(item.get("type")),
        node=_text(item.get("leader")) or _text(item.get("node")),
        members=_length(item.get("members")),
        online=_length(item.get("online")),
        # The owner's details stand for it in older versions.
        is_exclusive=item.get("exclusive") is True or "owner_pid_details" in item,
        is_auto_deleted=item.get("auto_delete") is True,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _length(value: object) -> int | None:
    return len(value) if isinstance(value, list) else None


def told_of_rate(item: Item) -> RateReport:
    """Return what an item of an answer tells of what is worked off of a queue."""
    stats = mapping(item.get("message_stats"))
    handed_out = [whole_number(stats.get(name)) for name in ("deliver", "get")]
    delivered = [one for one in handed_out if one is not None]
    return RateReport(
        str(item["name"]),
        # A statistic too: without it missing message_stats do not mean that there were none.
        has_statistics=whole_number(item.get("consumers")) is not None,
        acked=whole_number(stats.get("ack")),
        acked_per_second=_per_second(mapping(stats.get("ack_details")).get("avg_rate")),
        message_ttl_seconds=_message_ttl_seconds(item),
        delivered=sum(delivered) if delivered else None,
    )


def _per_second(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None


def _message_ttl_seconds(item: Item) -> float | None:
    """Return the time to live of the queue's messages: the shortest applies."""
    found = (
        mapping(item.get("arguments")).get("x-message-ttl"),
        # Policies and operator policies, already merged.
        mapping(item.get("effective_policy_definition")).get("message-ttl"),
    )
    milliseconds = [number for value in found if (number := whole_number(value)) is not None]
    return min(milliseconds) / MILLISECONDS if milliseconds else None
