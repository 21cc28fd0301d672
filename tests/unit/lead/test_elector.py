"""An elector on a Lease that can be taken away, refused and slow, with a clock that is turned."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, cast

import pytest

from scanpool.kube.fence import Fence
from scanpool.lead.election import Candidate, Terms
from scanpool.lead.elector import ASK_AGAIN_SECONDS, Clocks, Elector, Told
from scanpool.models.conditions import Reason
from scanpool.models.lease import NOBODY, Lease
from scanpool.models.reading import Unavailable

SILENT = Unavailable(Reason.KUBERNETES_UNAVAILABLE, "the Kubernetes API does not answer")
FORBIDDEN = Unavailable(Reason.KUBERNETES_FORBIDDEN, 'leases "scanpool" is forbidden')
STALE = Unavailable(Reason.SCALE_CONFLICT, "the object has been modified")
GONE = Unavailable(Reason.NOT_FOUND, "not found")


@dataclass
class LeaseServer:
    """The API server as both electors see it; `down` says what it answers instead."""

    namespace: str = "scanpool-system"
    name: str = "scanpool"
    lease: Lease | None = None
    down: Unavailable | None = None
    writes: list[Lease] = field(default_factory=list)
    reads: int = 0
    revision: int = 0
    before_write: Callable[[], None] = lambda: None

    async def read(self) -> Lease | Unavailable | None:
        self.reads += 1
        return self.down or self.lease

    async def write(self, lease: Lease) -> Lease | Unavailable:
        self.before_write()
        if self.down is not None:
            return self.down
        if lease.version and self.lease is None:
            return GONE
        if lease.version != ("" if self.lease is None else self.lease.version):
            return STALE
        self.revision += 1
        self.lease = replace(lease, version=str(self.revision))
        self.writes.append(self.lease)
        return self.lease


class Process:
    def __init__(self, server: LeaseServer, clock: "Clock", name: str) -> None:
        self.name, self.clock, self.changes = name, clock, list[str]()
        self.fence = Fence(clock, -inf, -inf)
        self.elector = Elector(
            cast("Any", server),
            Candidate(name, Terms()),
            self.fence,
            Clocks(lambda: 0.0, clock),
            Told(lambda: self.changes.append("gained"), lambda: self.changes.append("lost")),
        )

    @property
    def leads(self) -> bool:
        return self.fence.is_open


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> LeaseServer:
    return LeaseServer()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def first(server: LeaseServer, clock: Clock) -> Process:
    return Process(server, clock, "first")


@pytest.fixture
def second(server: LeaseServer, clock: Clock) -> Process:
    return Process(server, clock, "second")


async def test_one_leads_and_the_other_stands_by(
    server: LeaseServer, clock: Clock, first: Process, second: Process
) -> None:
    assert not first.leads
    for _ in range(20):
        assert await first.elector.attempt() == 2
        assert await second.elector.attempt() == 2
        assert (first.leads, second.leads) == (True, False)
        clock.now += 2

    assert (first.changes, second.changes) == (["gained"], [])
    assert {lease.holder for lease in server.writes} == {"first"}
    # Its holder writes without reading first.
    assert (server.reads, len(server.writes)) == (1 + 20, 20)


async def test_after_a_kill_the_other_leads_once_the_lease_has_run_out(
    clock: Clock, first: Process, second: Process, server: LeaseServer
) -> None:
    await first.elector.attempt()
    killed_at = clock.now
    while not second.leads:
        wait = await second.elector.attempt()
        clock.now += 0 if second.leads else wait

    assert not first.leads
    assert clock.now == killed_at + 15
    assert server.lease is not None
    assert (server.lease.holder, server.lease.transitions) == ("second", 1)


async def test_a_leader_that_cannot_renew_stops_before_another_begins(
    server: LeaseServer, clock: Clock, first: Process, second: Process, caplog: Any
) -> None:
    await first.elector.attempt()
    await second.elector.attempt()
    server.down = SILENT
    for after, leads in ((2, True), (9.9, True), (10.1, False), (14, False)):
        clock.now = 100.0 + after
        await first.elector.attempt()
        assert first.leads is leads
    assert first.changes == ["gained", "lost"]
    assert "was not renewed in time" in caplog.text

    server.down = None
    await second.elector.attempt()
    assert not second.leads
    clock.now = 115.0
    await second.elector.attempt()
    await first.elector.attempt()
    assert (first.leads, second.leads) == (False, True)


async def test_a_short_silence_costs_nothing(
    server: LeaseServer, clock: Clock, first: Process
) -> None:
    await first.elector.attempt()
    for down in (SILENT, SILENT, None):
        clock.now += 3
        server.down = down
        await first.elector.attempt()
        assert first.leads
    assert first.changes == ["gained"]


async def test_time_counts_from_before_the_request_was_sent(
    server: LeaseServer, clock: Clock, first: Process
) -> None:
    def slowly() -> None:
        clock.now += 4

    server.before_write = slowly
    await first.elector.attempt()

    clock.now = 109.9
    assert first.leads
    clock.now = 110.0
    assert not first.leads


async def test_a_lease_that_another_took_is_noticed_by_the_conflict(
    server: LeaseServer, clock: Clock, first: Process, caplog: Any
) -> None:
    await first.elector.attempt()
    clock.now += 20
    assert server.lease is not None
    server.lease = replace(server.lease, holder="second", version="99")

    await first.elector.attempt()

    assert first.fence.is_shut
    assert "is held by second" in caplog.text


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda lease: replace(lease, version="99"), id="annotated"),
        pytest.param(lambda _: None, id="deleted"),
    ],
)
async def test_a_leader_goes_on_where_only_a_hand_was_at_the_lease(
    server: LeaseServer, clock: Clock, first: Process, change: Callable[[Any], Any]
) -> None:
    await first.elector.attempt()
    server.lease = change(server.lease)
    for _ in range(3):
        clock.now += 2
        await first.elector.attempt()
        assert first.leads
    assert server.lease is not None
    assert server.lease.holder == "first"
    clock.now += 9
    assert first.leads


async def test_at_the_end_the_lease_is_given_back_after_the_last_write(
    server: LeaseServer, first: Process, second: Process
) -> None:
    first.elector.start()
    async with asyncio.timeout(30):
        while not first.leads:
            await asyncio.sleep(0)
    with first.fence.passage() as left:
        assert left == 15
        closing = asyncio.create_task(first.elector.close())
        for _ in range(10):
            await asyncio.sleep(0)
        assert not first.leads
        with first.fence.passage() as late:
            assert late == 0
        assert server.lease is not None
        assert server.lease.holder == "first"
    await closing

    assert server.lease.holder == NOBODY
    await second.elector.attempt()
    assert second.leads


async def test_who_never_led_gives_nothing_back(
    server: LeaseServer, first: Process, second: Process
) -> None:
    await first.elector.attempt()
    await second.elector.attempt()
    await second.elector.close()

    assert server.lease is not None
    assert server.lease.holder == "first"


async def test_without_rights_it_leads_alone_after_a_whole_lease_of_refusals(
    server: LeaseServer, clock: Clock, first: Process, caplog: Any
) -> None:
    server.down = FORBIDDEN
    while clock.now < 115.0:
        assert await first.elector.attempt() == 2
        assert not first.leads
        clock.now += 2
    assert await first.elector.attempt() == ASK_AGAIN_SECONDS
    assert first.leads
    assert "Leading without Lease scanpool-system/scanpool" in caplog.text
    assert 'leases "scanpool" is forbidden' in caplog.text
    clock.now += 1e6
    assert first.leads


async def test_rights_that_come_late_count(
    server: LeaseServer, clock: Clock, first: Process, second: Process
) -> None:
    server.down = FORBIDDEN
    for _ in range(9):
        await first.elector.attempt()
        clock.now += 2
    assert first.leads

    server.down = None
    await second.elector.attempt()
    await first.elector.attempt()

    assert (first.leads, second.leads) == (False, True)
    assert first.changes == ["gained", "lost"]


@pytest.mark.parametrize("down", [SILENT, FORBIDDEN])
async def test_who_has_seen_the_lease_never_leads_without_it(
    server: LeaseServer, clock: Clock, first: Process, second: Process, down: Unavailable
) -> None:
    await first.elector.attempt()
    await second.elector.attempt()
    server.down = down
    for _ in range(30):
        clock.now += 2
        await second.elector.attempt()
        await first.elector.attempt()
    assert (first.leads, second.leads) == (False, False)


async def test_an_api_server_that_is_away_is_no_lack_of_rights(
    server: LeaseServer, clock: Clock, first: Process
) -> None:
    server.down = FORBIDDEN
    for silent in (False, True, False):
        server.down = SILENT if silent else FORBIDDEN
        for _ in range(6):
            await first.elector.attempt()
            clock.now += 2
    assert not first.leads


async def test_a_defect_is_told_and_tried_again(
    server: LeaseServer, first: Process, caplog: Any
) -> None:
    def defect() -> None:
        server.before_write = lambda: None
        raise RuntimeError("a defect")

    server.before_write = defect
    first.elector._terms = Terms(1)
    first.elector.start()
    async with asyncio.timeout(30):
        while not first.leads:
            await asyncio.sleep(0.01)
    await first.elector.close()

    assert "An attempt at Lease scanpool-system/scanpool failed" in caplog.text
    assert "a defect" in caplog.text
