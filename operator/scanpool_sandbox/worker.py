"""A scan worker: consumes the pipeline's queues as the real deployment does.

It acknowledges late (after the next task is published and confirmed), prefetches one message per
concurrent task, retries each task twice on top of the SDK's two retries, and reports a scan that
still fails as failed: no scan is lost. On SIGTERM it takes no more messages, gives those in hand a
short grace and leaves the rest to be redelivered.

Configured by the environment, as the real one is:

- CELERY_BROKER_URL, OPENAI_API_KEY, OPENAI_BASE_URL (with /v1), OPENAI_MODEL
- SCAN_CONCURRENCY: tasks at once
- SCAN_GRACE_SECONDS: for tasks in hand on SIGTERM
- SCAN_RULE_SECONDS, SCAN_REWARD_SECONDS: the work of the steps that call no LLM
"""

import asyncio
import logging
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Self

from scanpool_sandbox.amqp import ConnectionLostError, Delivery, Session, UnroutableError
from scanpool_sandbox.amqp_link import Link
from scanpool_sandbox.llm_client import CallFailedError, LLMClient
from scanpool_sandbox.pipeline import (
    RESULTS_QUEUE,
    REWARD,
    RULE,
    STEPS,
    Result,
    Step,
    decode_task,
    encode_task,
    next_queue,
)

CONSUMER = "scan-worker"
RETRY_DELAYS_SECONDS = (1.0, 2.0)

logger = logging.getLogger("scan-worker")


@dataclass(frozen=True)
class WorkerSettings:
    """What the environment says."""

    broker_url: str
    api_key: str
    base_url: str
    model: str = "gpt-5.2"
    concurrency: int = 4
    grace_seconds: float = 5.0
    rule_seconds: float = 0.05
    reward_seconds: float = 0.05

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the environment.

        Raises:
            KeyError: if a variable without a default is missing.
            ValueError: if a number is not one.

        """
        return cls(
            broker_url=environment["CELERY_BROKER_URL"],
            api_key=environment["OPENAI_API_KEY"],
            base_url=environment["OPENAI_BASE_URL"],
            model=environment.get("OPENAI_MODEL", cls.model),
            concurrency=int(environment.get("SCAN_CONCURRENCY", cls.concurrency)),
            grace_seconds=float(environment.get("SCAN_GRACE_SECONDS", cls.grace_seconds)),
            rule_seconds=float(environment.get("SCAN_RULE_SECONDS", cls.rule_seconds)),
            reward_seconds=float(environment.get("SCAN_REWARD_SECONDS", cls.reward_seconds)),
        )


class Worker:
    """Works until `stop` is called; `run` returns once all is put away."""

    def __init__(self, settings: WorkerSettings, client: LLMClient) -> None:
        self._settings = settings
        self._client = client
        self._stopping = asyncio.Event()
        self._in_hand: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """Take no more tasks and finish, as on SIGTERM."""
        self._stopping.set()

    async def run(self) -> None:
        """Consume until stopped, whatever happens to the broker."""
        link = Link(
            self._settings.broker_url,
            prefetch=self._settings.concurrency,
            prepare=self._consume,
            abandon=self._abandon,
        )
        async with link:
            await self._stopping.wait()
            if link.current is not None:
                await self._finish(link.current)

    async def _consume(self, session: Session) -> None:
        await session.declare_pipeline()
        for step in STEPS:
            await session.consume(step.queue, partial(self._accept, session, step))
        logger.info("consuming with concurrency %d", self._settings.concurrency)

    async def _finish(self, session: Session) -> None:
        """Give the tasks in hand a grace; closing the session redelivers the others."""
        try:
            async with asyncio.timeout(self._settings.grace_seconds):
                await session.stop_consuming()
                while self._in_hand:
                    await asyncio.wait(self._in_hand)
        except (TimeoutError, ConnectionLostError):
            logger.warning("%d tasks are left to be redelivered", len(self._in_hand))

    def _accept(self, session: Session, step: Step, delivery: Delivery) -> None:
        task = asyncio.create_task(self._perform(session, step, delivery))
        self._in_hand.add(task)
        task.add_done_callback(self._put_down)

    def _put_down(self, task: asyncio.Task[None]) -> None:
        self._in_hand.discard(task)
        if not task.cancelled():
            task.result()  # a bug shows at once, in the loop's exception handler

    def _abandon(self) -> None:
        """Stop work on messages that will be redelivered."""
        for task in self._in_hand:
            task.cancel()

    async def _perform(self, session: Session, step: Step, delivery: Delivery) -> None:
        """Do one task: publish what follows, then acknowledge."""
        try:
            scan_id = decode_task(delivery.body)
        except (ValueError, KeyError, TypeError):
            logger.exception("not a task, dead-lettered: %r", delivery.body)
            session.dead_letter(delivery)
            return
        following, body = next_queue(step), encode_task(scan_id)
        if following == RESULTS_QUEUE:
            body = Result(scan_id, "completed").encode()
        try:
            await self._work(step)
        except CallFailedError as failure:
            if self._stopping.is_set():
                return  # whoever gets it next has all its retries
            following = RESULTS_QUEUE
            body = Result(scan_id, "failed", f"{step.queue}: {failure.code}").encode()
        try:
            await session.publish(following, body)
        except ConnectionLostError:
            return
        except UnroutableError:
            logger.warning("queue %s is gone, starting over", following)
            await session.close()
            return
        session.acknowledge(delivery)

    async def _work(self, step: Step) -> None:
        """Do a step's own work, with the task's retries around the SDK's."""
        if step is RULE:
            await asyncio.sleep(self._settings.rule_seconds)
        elif step is REWARD:
            await asyncio.sleep(self._settings.reward_seconds)
        if step.endpoint is None:
            return None
        for delay in RETRY_DELAYS_SECONDS:
            try:
                return await self._client.call_with_retries(step.endpoint, step.tokens)
            except CallFailedError as failure:
                if self._stopping.is_set():
                    raise
                logger.info("%s failed, next try in %g s: %s", step.queue, delay, failure.code)
                await asyncio.sleep(delay)
        return await self._client.call_with_retries(step.endpoint, step.tokens)


async def work(settings: WorkerSettings) -> None:
    """Run a worker until SIGTERM or SIGINT."""
    client = LLMClient(settings.base_url, settings.api_key, settings.model, consumer=CONSUMER)
    async with client:
        worker = Worker(settings, client)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, worker.stop)
        await worker.run()


def main() -> None:
    """Run as a process, configured by the environment."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    # pika and httpx tell every connection and call; what matters of it is told here.
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    asyncio.run(work(WorkerSettings.from_environment(os.environ)))
