"""RabbitMQ's management API: what the broker tells of itself, in three small requests at once."""

import asyncio
from collections.abc import Mapping
from typing import Final

import httpx

from scanpool.models.broker import BrokerNode, BrokerState
from scanpool.models.conditions import Reason
from scanpool.models.reading import Available, Reading
from scanpool.models.units import Clock
from scanpool.sources.broker_access import Access
from scanpool.sources.buckets import whole_number
from scanpool.sources.failures import SourceError, reading
from scanpool.sources.management import MILLISECONDS, SOURCE
from scanpool.sources.management_api import NOT_IT, Api, api, ask, get
from scanpool.sources.text import decoded, mapping, quoted

OVERVIEW: Final = {"columns": "rates_mode,disable_stats,churn_rates,object_totals"}
NODES: Final = {"columns": "name,running,uptime,rates_mode,partitions"}
STATISTICS_SETTING: Final = (
    "management.disable_stats or management_agent.disable_metrics_collector is true"
)
RATES_SETTING: Final = "management.rates_mode is none"
NO_RATES: Final = "none"
ALARMED: Final = 503
"""The answer of a health check that failed."""


@reading
async def read_broker(
    http: httpx.AsyncClient, access: Access, *, clock: Clock
) -> Reading[BrokerState]:
    """Read how long the broker's nodes are up, what it counts, and which alarms it has raised.

    Only users with the tag 'monitoring' may see its nodes.
    """
    asked = api(access)
    overview = asyncio.ensure_future(get(http, asked, "overview", OVERVIEW))
    listed = asyncio.ensure_future(_nodes(http, asked))
    short = asyncio.ensure_future(_alarms(http, asked))
    # The others are waited for where one fails: a request that is ended while it opens a TLS
    # connection leaves the socket behind.
    await asyncio.gather(overview, listed, short, return_exceptions=True)
    told, nodes, alarms = mapping(overview.result()), listed.result(), short.result()
    if "rates_mode" not in told:
        raise SourceError(Reason.BROKER_ERROR, f"{asked.root} {NOT_IT}")
    is_without = NO_RATES in {told["rates_mode"], *(node.get("rates_mode") for node in nodes or ())}
    return Available(
        BrokerState(
            statistics_off=STATISTICS_SETTING if told.get("disable_stats") is True else None,
            rates_off=RATES_SETTING if is_without else None,
            nodes=None if nodes is None else tuple(map(_node, nodes)),
            opened=_opened(mapping(told.get("churn_rates"))),
            alarms=alarms,
            queues=whole_number(mapping(told.get("object_totals")).get("queues")),
        ),
        at=clock(),
        source=SOURCE,
    )


async def _nodes(http: httpx.AsyncClient, asked: Api) -> list[Mapping[str, object]] | None:
    answer = await ask(http, asked, "nodes", NODES)
    found = decoded(answer.body)
    if answer.status != httpx.codes.OK or not isinstance(found, list):
        return None
    return [mapping(one) for one in found]


def _node(told: Mapping[str, object]) -> BrokerNode:
    milliseconds = whole_number(told.get("uptime"))
    lost = told.get("partitions")
    return BrokerNode(
        name=str(told.get("name")),
        is_running=told.get("running") is True,
        uptime=None if milliseconds is None else milliseconds / MILLISECONDS,
        others=tuple(map(str, lost)) if isinstance(lost, list) else (),
    )


async def _alarms(http: httpx.AsyncClient, asked: Api) -> tuple[str, ...]:
    """Return the resources that are short, of any node; older brokers do not tell."""
    answer = await ask(http, asked, "health/checks/alarms", {})
    if answer.status != ALARMED:
        return ()
    listed = mapping(decoded(answer.body)).get("alarms")
    alarms = [mapping(one) for one in listed] if isinstance(listed, list) else []
    named = {
        f"{quoted(str(one.get('resource')))} of {quoted(str(one.get('node')))}" for one in alarms
    }
    return tuple(sorted(named))


def _opened(churn: Mapping[str, object]) -> int | None:
    """Return the connections and channels that were opened since the start of the nodes."""
    counts = [whole_number(churn.get(name)) for name in ("connection_created", "channel_created")]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
