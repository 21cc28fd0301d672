import asyncio

import pytest

from scanpool.models.conditions import Reason
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.observe.shared_reads import FORGET_SECONDS, RETRY_SECONDS, SharedReads

MAX_AGE = 60.0


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Source:
    """Counts how often it is read; each read waits until `answer` is called."""

    def __init__(self, clock: Clock) -> None:
        self.reads = 0
        self.begun = asyncio.Event()
        self.cancelled = 0
        self._clock = clock
        self._answers: asyncio.Queue[Reading[int] | Exception] = asyncio.Queue()

    async def read(self) -> Reading[int]:
        self.reads += 1
        self.begun.set()
        try:
            answer = await self._answers.get()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(answer, Exception):
            raise answer
        return answer

    def answer(self, value: int) -> None:
        self._answers.put_nowait(Available(value, self._clock.now, "test"))

    def fail(self) -> None:
        self._answers.put_nowait(Unavailable(Reason.BROKER_UNREACHABLE, "gone"))

    def crash(self) -> None:
        self._answers.put_nowait(RuntimeError("a defect"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def source(clock: Clock) -> Source:
    return Source(clock)


def value_of(reading: Reading[int]) -> int | None:
    return reading.value if isinstance(reading, Available) else None


async def test_all_who_ask_at_once_share_one_read(clock: Clock, source: Source) -> None:
    shared = SharedReads(clock)
    source.answer(7)

    found = await asyncio.gather(*(shared.get("k", MAX_AGE, source.read) for _ in range(50)))

    assert [value_of(one) for one in found] == [7] * 50
    assert source.reads == 1


async def test_a_reading_is_shared_until_it_is_too_old(clock: Clock, source: Source) -> None:
    shared = SharedReads(clock)
    source.answer(1)
    source.answer(2)
    await shared.get("k", MAX_AGE, source.read)

    clock.now += MAX_AGE - 0.1
    assert value_of(await shared.get("k", MAX_AGE, source.read)) == 1
    clock.now += 0.1
    assert value_of(await shared.get("k", MAX_AGE, source.read)) == 2
    assert source.reads == 2


async def test_who_wants_it_fresher_reads_anew_for_everyone(clock: Clock, source: Source) -> None:
    shared = SharedReads(clock)
    source.answer(1)
    source.answer(2)
    await shared.get("k", MAX_AGE, source.read)
    clock.now += 10

    assert value_of(await shared.get("k", 5, source.read)) == 2
    assert value_of(await shared.get("k", MAX_AGE, source.read)) == 2


async def test_what_is_read_from_elsewhere_is_another_read(clock: Clock, source: Source) -> None:
    shared = SharedReads(clock)
    source.answer(1)
    source.answer(2)

    assert value_of(await shared.get("a", MAX_AGE, source.read)) == 1
    assert value_of(await shared.get("b", MAX_AGE, source.read)) == 2


async def test_a_failure_is_shared_and_tried_again_soon(clock: Clock, source: Source) -> None:
    shared = SharedReads(clock)
    source.fail()
    source.answer(2)
    await shared.get("k", MAX_AGE, source.read)

    clock.now += RETRY_SECONDS - 0.1
    assert isinstance(await shared.get("k", MAX_AGE, source.read), Unavailable)
    clock.now += 0.1
    assert value_of(await shared.get("k", MAX_AGE, source.read)) == 2


async def test_a_failure_is_never_older_than_who_asks_allows(clock: Clock, source: Source) -> None:
    shared = SharedReads(clock)
    source.fail()
    source.answer(2)
    await shared.get("k", 1, source.read)
    clock.now += 1

    assert value_of(await shared.get("k", 1, source.read)) == 2


async def test_a_read_that_raised_is_tried_again_too(clock: Clock, source: Source) -> None:
    shared = SharedReads(clock)
    source.crash()
    source.answer(2)
    with pytest.raises(RuntimeError):
        await shared.get("k", MAX_AGE, source.read)
    clock.now += RETRY_SECONDS

    assert value_of(await shared.get("k", MAX_AGE, source.read)) == 2


async def test_who_gives_up_does_not_end_the_read_for_the_others(
    clock: Clock, source: Source
) -> None:
    shared = SharedReads(clock)
    impatient = asyncio.ensure_future(shared.get("k", MAX_AGE, source.read))
    patient = asyncio.ensure_future(shared.get("k", MAX_AGE, source.read))
    await asyncio.sleep(0)

    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    source.answer(7)

    assert value_of(await patient) == 7
    assert (source.reads, source.cancelled) == (1, 0)


async def test_a_read_under_way_is_joined_however_old_it_is(clock: Clock, source: Source) -> None:
    shared = SharedReads(clock)
    first = asyncio.ensure_future(shared.get("k", 1, source.read))
    await asyncio.sleep(0)
    clock.now += 100
    second = asyncio.ensure_future(shared.get("k", 1, source.read))
    await asyncio.sleep(0)
    source.answer(7)

    assert [value_of(one) for one in await asyncio.gather(first, second)] == [7, 7]
    assert source.reads == 1


async def test_what_nobody_wants_is_forgotten_with_its_credentials(
    clock: Clock, source: Source
) -> None:
    shared = SharedReads(clock)
    for value in range(3):
        source.answer(value)
    await shared.get("amqp://user:old@broker", MAX_AGE, source.read)
    clock.now += FORGET_SECONDS - 1
    await shared.get("still wanted", MAX_AGE, source.read)
    clock.now += 1
    await shared.get("amqp://user:new@broker", MAX_AGE, source.read)

    assert set(shared._entries) == {"still wanted", "amqp://user:new@broker"}


async def test_what_was_asked_for_first_and_is_wanted_still_keeps_nothing_else(
    clock: Clock, source: Source
) -> None:
    shared = SharedReads(clock)
    for value in range(4):
        source.answer(value)
    await shared.get("still wanted", MAX_AGE, source.read)
    await shared.get("amqp://user:old@broker", MAX_AGE, source.read)
    clock.now += FORGET_SECONDS
    await shared.get("still wanted", FORGET_SECONDS + 1, source.read)
    await shared.get("new", MAX_AGE, source.read)

    assert set(shared._entries) == {"still wanted", "new"}


async def test_closing_ends_the_reads_that_are_under_way(clock: Clock, source: Source) -> None:
    shared = SharedReads(clock)
    waiting = asyncio.ensure_future(shared.get("k", MAX_AGE, source.read))
    await source.begun.wait()

    await shared.close()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert source.cancelled == 1


async def test_a_reading_of_the_future_is_made_anew(clock: Clock, source: Source) -> None:
    """Where the clock was set back by an hour, all readings would else be an hour old."""
    shared = SharedReads(clock)
    for value in (1, 2):
        source.answer(value)
        reading = await shared.get("depth", MAX_AGE, source.read)
        assert isinstance(reading, Available)
        assert reading.value == value
        clock.now -= 3_600
