"""Triggers to queues: which queue, and how many messages a replica is meant to have of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from scanpool.convert.documents import Given
from scanpool.convert.keda import Trigger
from scanpool.convert.notes import Notes, Path, RefusedError, shown
from scanpool.convert.regex import EndlessError, alternatives, matching

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


@dataclass(frozen=True, slots=True)
class Wanted:
    """A queue, and messages of it that one replica is meant to have."""

    name: str
    messages_per_replica: int


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
    if is_on(trigger, where, "useRegex"):
        names = _expanded(queue, trigger, where, given, notes)
    per_replica = max(int(value), 1)
    for name in names:
        if per_replica != value:
            notes.warn(
                (*QUEUES, name),
                f"{where} has value {value:g}, and messages are counted whole: at "
                f"{per_replica} per replica the pool asks for {_more(per_replica, value)} replicas",
            )
    return tuple(Wanted(name, per_replica) for name in names)


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


def _expanded(
    expression: str, trigger: Trigger, where: str, given: Given, notes: Notes
) -> tuple[str, ...]:
    """Return the queues that a regular expression stands for, and say what that loses."""
    if given.queue_names is None:
        try:
            names = alternatives(expression)
        except EndlessError:
            raise RefusedError(
                f"{where}.metadata.queueName is the regular expression {shown(expression)}, and a "
                "pool names its queues: give their names with --queues, such as "
                "`rabbitmqctl list_queues --silent -p VHOST name` prints them"
            ) from None
    else:
        names = _present(expression, where, given.queue_names)
        notes.warn(
            QUEUES,
            f"{where} follows every queue that matches {shown(expression)}, later ones too; the "
            "pool follows those that there are now: add others by hand",
        )
    notes.say(
        QUEUES,
        f"{where} has useRegex with {shown(expression)}. A queue that does not exist is skipped "
        "by KEDA; the pool holds, with the reason QueueNotFound",
    )
    operation = trigger.metadata.get("operation", "sum")
    if operation not in {"sum", "avg", "max"}:
        raise RefusedError(f"{where}.metadata.operation is {shown(operation)}: sum, avg or max")
    if len(names) > 1 and operation != "max":
        fewer = f"up to {len(names)} times fewer" if operation == "sum" else "more"
        notes.warn(
            QUEUES,
            f"{where} has operation {operation} over {len(names)} queues; the pool takes the "
            f"largest of them, and so asks for {fewer} replicas: change messagesPerReplica to "
            "suit",
        )
    if "pageSize" in trigger.metadata:
        notes.say(QUEUES, f"{where} has a pageSize: the pool reads all queues at once")
    return names


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
