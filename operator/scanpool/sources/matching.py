"""RabbitMQ's management API: the queues of a vhost whose names match a regular expression.

The broker matches: anywhere in the name and in any case, as KEDA's useRegex has it.
"""

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
from scanpool.sources.management import (
    COUNTS_QUERY,
    SOURCE,
    TOTALS_QUERY,
    Item,
    rates_query,
    told_of_queue,
    told_of_rate,
)
from scanpool.sources.management_api import NOT_IT, Api, api, ask, of_vhost, refusal
from scanpool.sources.text import decoded, mapping, quoted

PAGE_SIZE: Final = 500
"""The most that the API gives at once."""
MOST_PAGES: Final = 100
"""50,000 queues: a page more is one that a proxy makes up."""


@reading
async def read_matching(
    http: httpx.AsyncClient, access: Access, expression: str, *, clock: Clock
) -> Reading[Mapping[str, QueueReport]]:
    """Read what the broker tells of the queues that match, by name; none may.

    It asks every queue of the vhost for its totals first, whether or not it matches.
    """
    asked = api(access)
    reports = _reports(await _pages(http, asked, expression, TOTALS_QUERY))
    countable = [one for one in reports.values() if not one.is_stream]
    if countable and all(one.ready is None for one in countable):
        reports = _reports(await _pages(http, asked, expression, COUNTS_QUERY))
    return Available(reports, at=clock(), source=SOURCE)


@reading
async def read_matching_statistics(
    http: httpx.AsyncClient, access: Access, expression: str, *, clock: Clock
) -> Reading[Mapping[str, QueueReport]]:
    """Read the same from the statistics: some seconds older, and cheaper in a large vhost."""
    items = await _pages(http, api(access), expression, COUNTS_QUERY)
    return Available(_reports(items), at=clock(), source=SOURCE)


@reading
async def read_matching_rates(
    http: httpx.AsyncClient, access: Access, expression: str, window_seconds: int, *, clock: Clock
) -> Reading[Mapping[str, RateReport]]:
    """Read what is worked off of the queues that match, as `read_rates` does.

    Streams and exclusive queues are not among them: workers do not share them.
    """
    query = rates_query(window_seconds)
    query = {**query, "columns": f"{query['columns']},type,exclusive"}
    items = await _pages(http, api(access), expression, query)
    shared = [item for item in items if told_of_queue(item).is_shared]
    rates = {one.name: one for one in map(told_of_rate, shared)}
    return Available(rates, at=clock(), source=SOURCE)


def _reports(items: list[Item]) -> dict[str, QueueReport]:
    return {one.name: one for one in map(told_of_queue, items)}


async def _pages(
    http: httpx.AsyncClient, asked: Api, expression: str, query: Mapping[str, str | int]
) -> list[Item]:
    found: list[Item] = []
    for page in range(1, MOST_PAGES + 1):
        chosen: dict[str, str | int] = {"name": expression, "use_regex": "true", "page": page}
        answer = await ask(http, asked, asked.queues, {**query, **chosen, "page_size": PAGE_SIZE})
        if answer.status == httpx.codes.BAD_REQUEST:
            raise SourceError(
                Reason.INVALID_SPEC,
                f"the broker takes {quoted(expression)!r} for no regular expression: correct the "
                "name in spec.rabbitmq.queues, or take useRegex out",
            )
        if answer.status != httpx.codes.OK:
            raise refusal(answer, asked, asked.queues)
        told = mapping(decoded(answer.body))
        pages = whole_number(told.get("page_count"))
        found += of_vhost(asked, told.get("items"))
        if pages is None:
            break
        if page >= pages:
            return found
    raise SourceError(Reason.BROKER_ERROR, f"{asked.place} {NOT_IT}")
