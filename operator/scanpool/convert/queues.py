"""Triggers to queues: which queue, and how many messages a replica is meant to have of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import floor
from typing import Any

from scanpool.convert.documents import Given
from scanpool.convert.keda import Trigger
from scanpool.convert.notes import Notes, Path, RefusedError, shown
from scanpool.convert.regex import matching
from scanpool.models.broker import Operation

QUEUES: Path = ("spec", "rabbitmq", "queues")
RABBITMQ: Path = ("spec", "rabbitmq")
DEFAULT_VALUE = 20.0
"""KEDA's, where a trigger names neither mode nor value."""
QUEUE_LENGTH = "QueueLength"
RATE_MODES = {
    "MessageRate": "the rate at which messages are published",
    "DeliverGetRate": "the rate at which messages are delivered",
    "PublishedToDeliveredRatio": "the ratio of published to delivered messages",
    "ExpectedQueueConsumptionTime": "the time in which the queue would be empty",
}
TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


OPERATIONS = {"sum": Operation.SUM, "max": Operation.MAX, "avg": Operation.AVG}
"""KEDA's, the one that asks for the most first: no queue has less than nothing."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A queue, or those that an expression matches, and messages that one replica is meant to have.

    `operation` joins the depths of several; None for one that is named. `activation` is how many
    messages do not start a pool at zero.
    """

    name: str
    messages_per_replica: int
    operation: Operation | None = None
    leaves_out_unacked: bool = False
    activation: int = 0

    def ready_only(self) -> "Wanted":
        """Return the same by ready messages, which are all that AMQP shows."""
        return replace(self, leaves_out_unacked=True)

    def beside(self, other: "Wanted") -> "Wanted":
        """Return what follows both triggers for one queue: of two the larger demand counts."""
        joined = {self.operation, other.operation}
        return replace(
            self,
            messages_per_replica=min(self.messages_per_replica, other.messages_per_replica),
            operation=next((one for one in OPERATIONS.values() if one in joined), None),
            leaves_out_unacked=self.leaves_out_unacked and other.leaves_out_unacked,
            activation=min(self.activation, other.activation),
        )

    @property
    def written(self) -> dict[str, Any]:
        """The entry of the pool's queues, without what is usual."""
        found: dict[str, Any] = {"name": self.name}
        if self.operation is not None:
            found |= {"useRegex": True, "operation": self.operation.value}
        found["messagesPerReplica"] = self.messages_per_replica
        if self.activation:
            found["activationMessages"] = self.activation
        if self.leaves_out_unacked:
            found["excludeUnacknowledged"] = True
        return found


def is_on(trigger: Trigger, where: str, name: str) -> bool:
    """Return a switch of a trigger's metadata; off where it is not there."""
    value = trigger.metadata.get(name, "false")
    if value not in TRUE | FALSE:
        raise RefusedError(
            f"{where}.metadata.{name} is {shown(value)}: KEDA takes true or false only"
        )
    return value in TRUE


def wanted(trigger: Trigger, where: str, given: Given, notes: Notes) -> tuple[Wanted, ...]:
    """Return the queues that a RabbitMQ trigger follows; none if it follows no depth.

    Raises:
        RefusedError: if KEDA would not take the trigger, or its queues are not known.

    """
    metadata = trigger.metadata
    value = _value(metadata, where)
    mode = metadata.get("mode", QUEUE_LENGTH)
    if mode in RATE_MODES:
        notes.warn(
            RABBITMQ,
            f"{where} has mode {mode}: a pool follows the depth of queues, and not "
            f"{RATE_MODES[mode]}; this trigger has no counterpart",
        )
        return ()
    if mode != QUEUE_LENGTH:
        raise RefusedError(f"{where}.metadata.mode is {shown(mode)}, which KEDA does not know")
    queue = metadata.get("queueName")
    if not queue:
        raise RefusedError(f"{where}.metadata.queueName is missing: name the queue")
    names: tuple[str, ...] = (queue,)
    operation = None
    if is_on(trigger, where, "useRegex"):
        operation = _operation(metadata, where)
        if given.queue_names is not None:
            names = _present(queue, where, given.queue_names)
            _say_what_names_lose(queue, names, operation, where, notes)
            operation = None
        if "pageSize" in metadata:
            notes.say(QUEUES, f"{where} has a pageSize: the pool reads 500 queues at once")
    per_replica = max(int(value), 1)
    for name in names:
        if per_replica != value:
            notes.warn(
                (*QUEUES, name),
                f"{where} has value {value:g}, and messages are counted whole: at "
                f"{per_replica} per replica the pool asks for {_more(per_replica, value)} replicas",
            )
    leaves_out = is_on(trigger, where, "excludeUnacknowledged")
    activation = _activation(metadata, where)
    return tuple(Wanted(name, per_replica, operation, leaves_out, activation) for name in names)


def _more(per_replica: int, value: float) -> str:
    return "more" if per_replica < value else "fewer"


def _value(metadata: Mapping[str, str], where: str) -> float:
    """Return messages per replica, by KEDA's rules for mode, value and the older queueLength."""
    old = metadata.get("queueLength")
    if old is not None:
        if "mode" in metadata or "value" in metadata:
            raise RefusedError(
                f"{where}.metadata has queueLength beside mode or value, which KEDA refuses: "
                "take queueLength out"
            )
        return _number(old, f"{where}.metadata.queueLength")
    if "mode" not in metadata and "value" not in metadata:
        return DEFAULT_VALUE
    for name in ("mode", "value"):
        if name not in metadata:
            raise RefusedError(f"{where}.metadata.{name} is missing, and KEDA wants it")
    return _number(metadata["value"], f"{where}.metadata.value")


def _number(text: str, where: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise RefusedError(f"{where} is {shown(text)}: it has to be a number above 0")
    return number


def _activation(metadata: Mapping[str, str], where: str) -> int:
    """Return the most whole messages that do not activate: KEDA wants more than activationValue."""
    text = metadata.get("activationValue", "0")
    try:
        return max(floor(float(text)), 0)
    except (ValueError, OverflowError):
        raise RefusedError(
            f"{where}.metadata.activationValue is {shown(text)}: it has to be a number"
        ) from None


def _operation(metadata: Mapping[str, str], where: str) -> Operation:
    told = metadata.get("operation", "sum")
    if told not in OPERATIONS:
        raise RefusedError(f"{where}.metadata.operation is {shown(told)}: sum, avg or max")
    return OPERATIONS[told]


def _say_what_names_lose(
    expression: str, names: tuple[str, ...], operation: Operation, where: str, notes: Notes
) -> None:
    """Say what is lost where names stand for the expression, as --queues asks for."""
    notes.warn(
        QUEUES,
        f"{where} follows every queue that matches {shown(expression)}, later ones too; the "
        "pool follows those that there are now: add others by hand, or leave --queues out",
    )
    if len(names) > 1 and operation is not Operation.MAX:
        fewer = f"up to {len(names)} times fewer" if operation is Operation.SUM else "more"
        notes.warn(
            QUEUES,
            f"{where} has operation {operation.lower()} over {len(names)} queues; the pool takes "
            f"the largest of them, and so asks for {fewer} replicas: change messagesPerReplica "
            "to suit, or leave --queues out",
        )


def _present(expression: str, where: str, present: tuple[str, ...]) -> tuple[str, ...]:
    try:
        names = matching(expression, present)
    except re.error as error:
        raise RefusedError(
            f"{where}.metadata.queueName {shown(expression)} is no regular expression: {error}"
        ) from None
    if not names:
        raise RefusedError(
            f"{where}.metadata.queueName {shown(expression)} matches none of the names that "
            "--queues gives"
        )
    return names
