"""RabbitMQ's management API: which connections hold how many unacknowledged messages.

Asked for at the time of a scale-down only: a broker with thousands of channels pays for each list.
"""

from collections import defaultdict
from typing import Final

import httpx

from scanpool.models.deliveries import Consuming
from scanpool.models.reading import Available, Reading
from scanpool.models.units import Clock
from scanpool.sources.broker_access import Access
from scanpool.sources.buckets import whole_number
from scanpool.sources.failures import reading
from scanpool.sources.management import SOURCE
from scanpool.sources.management_api import api, encoded, get
from scanpool.sources.text import mapping

CONSUMERS_QUERY: Final = {"columns": "consumer_tag,queue.vhost,channel_details.name"}
CHANNELS_QUERY: Final = {
    "columns": "name,vhost,connection_details.peer_host,messages_unacknowledged"
}


@reading
async def read_consuming(
    http: httpx.AsyncClient, access: Access, *, clock: Clock
) -> Reading[tuple[Consuming, ...]]:
    """Read the channels that consume on a vhost, as of the last statistics, 5 s old or less.

    A channel that shows no count is left out: what it holds is unknown. The user needs the tag
    'monitoring' to see channels of other users.
    """
    asked = api(access)
    vhost = encoded(asked.name)
    consumers = await get(http, asked, f"consumers/{vhost}", CONSUMERS_QUERY)
    tags: defaultdict[str, list[str]] = defaultdict(list)
    for one in map(mapping, consumers if isinstance(consumers, list) else ()):
        name = mapping(one.get("channel_details")).get("name")
        if mapping(one.get("queue")).get("vhost") == asked.name and isinstance(name, str):
            tags[name].append(str(one.get("consumer_tag", "")))
    channels = await get(http, asked, f"vhosts/{vhost}/channels", CHANNELS_QUERY)
    found = []
    for one in map(mapping, channels if isinstance(channels, list) else ()):
        name, peer = one.get("name"), mapping(one.get("connection_details")).get("peer_host")
        unacked = whole_number(one.get("messages_unacknowledged"))
        if one.get("vhost") == asked.name and name in tags and unacked is not None:
            found.append(Consuming(str(peer or ""), tuple(sorted(tags[str(name)])), unacked))
    return Available(tuple(found), at=clock(), source=SOURCE)
