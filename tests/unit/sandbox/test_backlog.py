import asyncio
from types import SimpleNamespace
from typing import Any, cast

from scanpool_sandbox.demo import backlog
from scanpool_sandbox.demo.backlog import Backlog


class SlowUsers:
    """Counts scans at once, and sends them when it is told to."""

    def __init__(self) -> None:
        self.counted, self.sent, self.worked_off = 0, 0, 0
        self.sending = asyncio.Event()
        self.may_send = asyncio.Event()
        self.may_send.set()

    def counts(self) -> Any:
        return SimpleNamespace(in_flight=self.counted - self.worked_off)

    async def submit(self, number: int) -> None:
        self.counted += number
        self.sending.set()
        await self.may_send.wait()
        self.sent += number


async def test_what_was_counted_is_sent_when_the_backlog_ends(monkeypatch: Any) -> None:
    monkeypatch.setattr(backlog, "LOOK_SECONDS", 0.01)
    users = SlowUsers()
    kept = Backlog(cast("Any", users), 10)
    await kept.__aenter__()
    assert (users.counted, users.sent) == (10, 10)

    users.may_send.clear()
    users.sending.clear()
    users.worked_off = 4
    async with asyncio.timeout(30):
        await users.sending.wait()
        ending = asyncio.create_task(kept.__aexit__())
        await asyncio.sleep(0)
        users.may_send.set()
        await ending

    assert users.counted == users.sent == 14
    await asyncio.sleep(0)
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
