"""Events are written beside the ticks: in their order, one at a time, and not without end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from scanpool.kube import events
from scanpool.kube.cluster import Happening, Object
from scanpool.kube.events import MOST_WAITING, Events
from scanpool.models.conditions import Reason
from scanpool.models.reading import Unavailable

ABOUT = Object("scan", "pool", "uid-1")


class Server:
    """An API server that takes Events while it is open."""

    def __init__(self) -> None:
        self.now = 100.0
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.taken: list[tuple[Object, str, float]] = []
        self.at_once = self.most_at_once = 0
        self.refusal: Unavailable | None = None

    async def emit(self, about: Object, event: Happening, at: float) -> Unavailable | None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.is_open.wait()
        self.at_once -= 1
        self.taken.append((about, event.reason, at))
        return self.refusal

    @property
    def reasons(self) -> list[str]:
        return [reason for _, reason, _ in self.taken]


@asynccontextmanager
async def recording(server: Server) -> AsyncIterator[Events]:
    made = Events(server.emit, lambda: server.now)
    try:
        yield made
    finally:
        await made.close()


async def test_events_are_written_in_their_order_one_at_a_time() -> None:
    server = Server()
    async with recording(server) as told:
        for number in range(20):
            told.tell(ABOUT, Happening(f"R{number}", "m"))

    assert server.reasons == [f"R{number}" for number in range(20)]
    assert server.most_at_once == 1


async def test_an_event_says_when_it_happened_not_when_its_turn_came() -> None:
    server = Server()
    server.is_open.clear()
    async with recording(server) as told:
        told.tell(ABOUT, Happening("Early", "m"))
        server.now = 130.0
        told.tell(ABOUT, Happening("Late", "m"))
        server.now = 160.0
        server.is_open.set()

    assert server.taken == [(ABOUT, "Early", 100.0), (ABOUT, "Late", 130.0)]


async def test_what_is_too_much_is_dropped_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    server = Server()
    server.is_open.clear()
    async with recording(server) as told:
        for number in range(MOST_WAITING + 10):
            told.tell(ABOUT, Happening(f"R{number}", "m"))
        server.is_open.set()

    assert server.reasons == [f"R{number}" for number in range(MOST_WAITING)]
    dropping, dropped = caplog.messages
    assert "more are dropped" in dropping
    assert dropped.startswith("10 Events were dropped")


async def test_one_that_is_refused_is_logged_and_the_next_one_written(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Server()
    server.refusal = Unavailable(Reason.KUBERNETES_FORBIDDEN, "may not create events")
    async with recording(server) as told:
        told.tell(ABOUT, Happening("First", "m"))
        told.tell(ABOUT, Happening("Second", "m"))

    assert server.reasons == ["First", "Second"]
    assert caplog.messages == ["An Event of scan/pool was not written: may not create events"] * 2


async def test_a_process_that_leads_no_more_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    server = Server()
    server.refusal = Unavailable(Reason.NOT_LEADING, "does not hold the Lease")
    async with recording(server) as told:
        told.tell(ABOUT, Happening("First", "m"))

    assert server.reasons == ["First"]
    assert caplog.messages == []


async def test_the_end_does_not_wait_for_a_server_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(events, "LAST_SECONDS", 0.01)
    server = Server()
    server.is_open.clear()
    async with recording(server) as told:
        told.tell(ABOUT, Happening("First", "m"))

    assert server.taken == []
