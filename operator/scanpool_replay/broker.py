"""The queues: late acknowledgement, and a prefetch of as many messages as a pod works on at once.

A pod's prefetch spans all its queues. When a pod can take one more message, each queue that has any
is as likely to give it; when a message arrives and several pods wait, they take turns.
"""

from collections import deque
from random import Random
from typing import Protocol

from scanpool_replay.engine import Engine
from scanpool_replay.scans import Task


class Consumer(Protocol):
    """A pod that takes messages."""

    @property
    def free(self) -> int:
        """Return how many more messages it takes."""

    def deliver(self, task: Task) -> None:
        """Take a message."""


class Broker:
    """One queue per stage."""

    def __init__(self, engine: Engine, stages: int, rng: Random) -> None:
        self._engine = engine
        self._rng = rng
        self._queues: list[deque[Task]] = [deque() for _ in range(stages)]
        self._consumers: list[Consumer] = []
        self._turn = 0
        self.unacked = [0] * stages
        self.acked = [0] * stages
        self.published = [0] * stages
        # Messages that were published to be delivered later: retries.
        self.delayed = 0

    def ready(self, stage: int) -> int:
        """Return the messages of a queue that wait."""
        return len(self._queues[stage])

    def depth(self, stage: int) -> int:
        """Return the messages of a queue, ready and unacked."""
        return len(self._queues[stage]) + self.unacked[stage]

    def waiting(self) -> int:
        """Return the messages that no consumer has."""
        return sum(map(len, self._queues))

    def backlog(self) -> int:
        """Return all messages."""
        return self.waiting() + sum(self.unacked)

    def subscribe(self, consumer: Consumer) -> None:
        """Deliver to one more consumer, from now on."""
        self._consumers.append(consumer)
        self.pull(consumer)

    def unsubscribe(self, consumer: Consumer) -> None:
        """Deliver no more to this consumer."""
        if consumer in self._consumers:
            self._consumers.remove(consumer)

    def publish(self, task: Task) -> None:
        """Take a message, and deliver it at once where a consumer has room."""
        self.published[task.stage] += 1
        self._queues[task.stage].append(task)
        self._deliver()

    def delay(self, task: Task, seconds: float) -> None:
        """Take a message that is to be delivered in some seconds, behind those that wait then."""
        self.delayed += 1
        self._engine.after(seconds, self._publish_delayed, task)

    def acknowledge(self, task: Task) -> None:
        """Forget a message that was worked off."""
        self.unacked[task.stage] -= 1
        self.acked[task.stage] += 1

    def requeue(self, tasks: list[Task]) -> None:
        """Put unacknowledged messages back to where they were: the heads of their queues."""
        for task in reversed(tasks):
            self.unacked[task.stage] -= 1
            self._queues[task.stage].appendleft(task)
        self._deliver()

    def pull(self, consumer: Consumer) -> None:
        """Fill a consumer's room with what waits."""
        while consumer.free > 0:
            waiting = [queue for queue in self._queues if queue]
            if not waiting:
                return
            chosen = waiting[0] if len(waiting) == 1 else self._rng.choice(waiting)
            self._hand_over(chosen.popleft(), consumer)

    def _publish_delayed(self, task: Task) -> None:
        self.delayed -= 1
        self.publish(task)

    def _deliver(self) -> None:
        for _ in range(len(self._consumers)):
            self._turn = (self._turn + 1) % len(self._consumers)
            if self._consumers[self._turn].free > 0:
                waiting = [queue for queue in self._queues if queue]
                if not waiting:
                    return
                if len(waiting) == 1 and len(waiting[0]) == 1:
                    self._hand_over(waiting[0].popleft(), self._consumers[self._turn])
                    return
                self.pull(self._consumers[self._turn])

    def _hand_over(self, task: Task, consumer: Consumer) -> None:
        self.unacked[task.stage] += 1
        consumer.deliver(task)
