"""One task in a worker's hands: CPU, LLM calls with the SDK's retries, CPU, and what follows.

A task that fails after the SDK's retries is published again by the task queue, to the tail of its
queue and after a delay, as often as `retries` says; then its scan has failed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from scanpool_replay.broker import Broker
from scanpool_replay.cpu import Cpu
from scanpool_replay.engine import Engine
from scanpool_replay.provider import Account, LLMProvider
from scanpool_replay.scans import Book, Task
from scanpool_replay.settings import Retries, Stage
from scanpool_sandbox.limiter import Admitted, Rejected

# The SDK's own: delays double from the first to the longest, shortened by up to a quarter, unless
# the answer names a wait of at most a minute.
SDK_FIRST_DELAY_SECONDS = 0.5
SDK_LONGEST_DELAY_SECONDS = 8.0
SDK_JITTER = 0.25
SDK_LONGEST_OBEYED_WAIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Shop:
    """What all workers of a pipeline work with; `pool` and `canary` pay for what they call."""

    engine: Engine
    broker: Broker
    provider: LLMProvider
    book: Book
    stages: tuple[Stage, ...]
    retries: Retries
    rng: Random
    pool: Account
    canary: Account


class Work:
    """A task between its delivery and its acknowledgement."""

    __slots__ = ("_account", "_cpu", "_cpu_seconds", "_finished", "_given_up", "_is_answered",
                 "_shop", "_stage", "task")  # fmt: skip

    def __init__(
        self,
        shop: Shop,
        task: Task,
        account: Account,
        cpu: Cpu,
        cpu_growth: float,
        finished: Callable[["Work"], None],
    ) -> None:
        self._shop = shop
        self._account = account
        self._cpu = cpu
        self._finished = finished
        self._stage = shop.stages[task.stage]
        self._cpu_seconds = self._stage.cpu_seconds * cpu_growth
        self._is_answered = not self._stage.tokens
        self._given_up = False
        self.task = task

    def start(self) -> None:
        """Begin with the first half of the CPU time; all of it where there is no call."""
        self._cpu.add(self._cpu_seconds * (1.0 if self._is_answered else 0.5), self)

    def abandon(self) -> None:
        """Do no more: the pod is gone, and the message goes to another one."""
        self._given_up = True

    def computed(self) -> None:
        """Call the provider, or be done."""
        if self._given_up:
            return
        if self._is_answered:
            self._complete()
        else:
            self._call(0)

    def _call(self, retries: int) -> None:
        if self._given_up:
            return
        shop, tokens = self._shop, self._stage.tokens
        answer = shop.provider.call(self._account, tokens)
        if isinstance(answer, Admitted):
            self.task.scan.charged += tokens
            shop.engine.after(self.task.scan.latencies[self.task.stage], self._answer)
            return
        refused_in = shop.provider.settings.refusal_seconds
        if retries < shop.retries.sdk:
            delay = refused_in + sdk_delay_seconds(retries, answer, shop.rng)
            shop.engine.after(delay, self._call, retries + 1)
        else:
            shop.engine.after(refused_in, self._fail, answer.code)

    def _answer(self) -> None:
        if self._given_up:
            return
        self._shop.provider.answered(self._account, self._stage.tokens)
        self._is_answered = True
        self._cpu.add(self._cpu_seconds * 0.5, self)

    def _complete(self) -> None:
        """Publish what follows, then acknowledge."""
        shop, task = self._shop, self.task
        following = task.stage + 1
        if following < len(shop.stages):
            shop.broker.publish(Task(task.scan, following))
        else:
            shop.book.complete(task.scan, shop.engine.now)
        self._finished(self)

    def _fail(self, code: str) -> None:
        if self._given_up:
            return
        shop, task = self._shop, self.task
        delays = shop.retries.task_delays_seconds
        if task.attempt < len(delays):
            again = Task(task.scan, task.stage, task.attempt + 1)
            shop.broker.delay(again, delays[task.attempt])
        else:
            shop.book.fail(task.scan, code, shop.engine.now)
        self._finished(self)


def sdk_delay_seconds(retries: int, refusal: Rejected, rng: Random) -> float:
    """Return the SDK's wait before its next call; `retries` counts those already made."""
    wait = refusal.retry_after_seconds
    if wait is not None and 0 < wait <= SDK_LONGEST_OBEYED_WAIT_SECONDS:
        return wait
    delay = min(SDK_FIRST_DELAY_SECONDS * 2.0**retries, SDK_LONGEST_DELAY_SECONDS)
    return delay * (1 - SDK_JITTER * rng.random())
