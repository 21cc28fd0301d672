"""Several hosts of a broker's cluster: one that does not answer is not asked first again."""

import time
from typing import Any, cast

import pytest

from builders import NOW, seen, unseen
from scanpool.models.conditions import Reason
from scanpool.models.reading import Reading
from scanpool.observe.brokers import Brokers
from scanpool.observe.shared_reads import SharedReads
from scanpool.sources import deliveries
from scanpool.sources.broker_access import Access

HOSTS = ("http://a:15672", "http://b:15672", "http://c:15672")


class Clients:
    def get(self, *_: object) -> object:
        return None


class Cluster:
    """Hosts of which some refuse; `asked` says who was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.refusing: dict[str, Reason] = {}
        self.asked: list[str] = []
        monkeypatch.setattr(deliveries, "read_consuming", self._answer)
        clients = cast("Any", Clients())
        self._brokers = Brokers(clients, SharedReads(time.time), lambda *_: None, lambda: NOW)

    async def _answer(self, _: object, access: Access, *, clock: object) -> Reading[Any]:
        assert clock is not None
        self.asked.append(access.url)
        reason = self.refusing.get(access.url)
        return seen(()) if reason is None else unseen(reason)

    async def read(self) -> Reading[Any]:
        return await self._brokers.get(Access(" ".join(HOSTS))).consuming()


@pytest.mark.parametrize(
    ("reason", "asked"),
    [
        (Reason.BROKER_UNREACHABLE, [HOSTS[0], HOSTS[1], HOSTS[1]]),
        (Reason.BROKER_ERROR, [HOSTS[0], HOSTS[1], HOSTS[1]]),
        # Any other host would say the same.
        (Reason.VHOST_NOT_FOUND, [HOSTS[0], HOSTS[0]]),
    ],
)
async def test_the_host_that_answered_is_asked_first(
    monkeypatch, reason: Reason, asked: list[str]
) -> None:
    cluster = Cluster(monkeypatch)
    cluster.refusing = {HOSTS[0]: reason}
    for _ in range(2):
        await cluster.read()

    assert cluster.asked == asked


async def test_where_no_host_answers_all_are_asked_and_said_to_be_away(monkeypatch) -> None:
    cluster = Cluster(monkeypatch)
    cluster.refusing = dict.fromkeys(HOSTS, Reason.BROKER_UNREACHABLE)

    assert await cluster.read() == unseen(Reason.BROKER_UNREACHABLE)
    assert cluster.asked == list(HOSTS)
