"""A ScaledObject to a pool: the parts put together, and held against the pool's own rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scanpool.convert import scaling
from scanpool.convert.broker import FIELDS, Broker, Protocol, broker
from scanpool.convert.documents import Given
from scanpool.convert.keda import RABBITMQ, ScaledObject, ScaleTarget, Trigger
from scanpool.convert.notes import Effect, Note, Notes, RefusedError, printable, shown
from scanpool.convert.queues import QUEUES, Wanted, wanted
from scanpool.convert.queues import RABBITMQ as BROKER
from scanpool.models.names import GROUP, KIND, VERSION
from scanpool.models.pool import parse
from scanpool.models.reading import Unavailable
from scanpool.models.spec import Mode

GRANTED = frozenset({("apps/v1", "Deployment"), ("apps/v1", "StatefulSet")})
"""What the operator may scale without another rule."""
OF_KEDA = ("scaledobject.keda.sh/", "validations.keda.sh/")
"""Labels and annotations that are about KEDA's own objects."""


@dataclass(frozen=True, slots=True)
class Converted:
    """What became of one ScaledObject: a pool, or the reason why there is none."""

    name: str
    pool: Mapping[str, Any] | None
    notes: tuple[Note, ...]
    refusal: str = ""

    def count(self, effect: Effect) -> int:
        """Return the number of notes with this effect."""
        return sum(note.effect is effect for note in self.notes)


@dataclass(frozen=True, slots=True)
class _Followed:
    """A trigger that the pool follows: its broker and its queues."""

    trigger: Trigger
    where: str
    broker: Broker
    queues: tuple[Wanted, ...]


def convert(scaled: ScaledObject, given: Given, mode: Mode | None = None) -> Converted:
    """Return the pool that decides as the ScaledObject does, with notes where it cannot.

    `mode` is the pool's, whatever the ScaledObject's annotations say.
    """
    name = scaled.metadata.full_name
    notes = Notes()
    try:
        spec = _spec(scaled, given, mode, notes)
    except RefusedError as refusal:
        return Converted(printable(name), None, (), printable(str(refusal)))
    parsed = parse(spec)
    if isinstance(parsed, Unavailable):
        told = f"the pool would not be valid: {parsed.message}"
        return Converted(printable(name), None, (), printable(told))
    metadata: dict[str, Any] = {"name": scaled.metadata.name}
    if scaled.metadata.has_namespace:
        metadata["namespace"] = scaled.metadata.namespace
    labels = {
        name: value
        for name, value in scaled.metadata.labels.items()
        if not name.startswith(OF_KEDA)
    }
    if labels:
        metadata["labels"] = labels
    annotations = scaling.pauses(scaled, notes)
    if annotations:
        metadata["annotations"] = annotations
    pool = {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "metadata": metadata,
        "spec": spec,
    }
    return Converted(printable(name), pool, tuple(notes))


def _spec(scaled: ScaledObject, given: Given, mode: Mode | None, notes: Notes) -> dict[str, Any]:
    spec = scaled.spec
    rules = scaling.behavior(scaled, notes)
    found: dict[str, Any] = {
        "scaleTargetRef": _target(spec.scale_target_ref, notes),
        "mode": (mode or Mode.ENFORCE).value,
        **scaling.bounds(scaled, notes),
        **scaling.cooldown(scaled, notes),
        "pollingIntervalSeconds": scaling.polling(spec, notes),
        "rabbitmq": _rabbitmq(scaled, given, notes),
        "memory": {"enabled": False},
    }
    kept = scaling.fallback(spec.fallback, notes)
    if kept is not None:
        found["fallback"] = kept
    if rules:
        found["behavior"] = rules
    _remark(scaled, notes)
    return found


def _target(target: ScaleTarget, notes: Notes) -> dict[str, str]:
    """Return what is scaled; where it is no Deployment, with its kind."""
    if (target.api_version, target.kind) not in GRANTED:
        notes.ask(
            ("spec", "scaleTargetRef"),
            f"let the operator scale kind {shown(target.kind)} of {shown(target.api_version)}: "
            "until then the pool's condition Ready names the rules that it takes",
        )
    given = {"apiVersion": target.api_version, "kind": target.kind, "name": target.name}
    usual = ScaleTarget(name=target.name)
    is_usual = (target.api_version, target.kind) == (usual.api_version, usual.kind)
    return {"name": target.name} if is_usual else given


def _rabbitmq(scaled: ScaledObject, given: Given, notes: Notes) -> dict[str, Any]:
    followed = [one for one in _followed(scaled, given, notes) if one.queues]
    if not followed:
        kinds = sorted({shown(one.type) for one in scaled.spec.triggers})
        raise RefusedError(
            f"none of its triggers ({', '.join(kinds)}) tells the depth of a RabbitMQ queue: keep "
            "the ScaledObject"
        )
    first, read = followed[0], {followed[0].broker.protocol: followed[0].broker}
    for one in list(followed):
        if not _is_read_with(one.broker, read):
            notes.warn(
                BROKER,
                f"{one.where} reads another broker, vhost or URL than {first.where}, and a pool "
                "reads one: its queues are left out",
            )
            followed.remove(one)
            continue
        read.setdefault(one.broker.protocol, one.broker)
    if Protocol.HTTP not in read:
        notes.say(
            (*BROKER, FIELDS[Protocol.HTTP]),
            "by AMQP a pool counts ready messages only, as KEDA does. Name the URL of the "
            "management API here, and the unacked ones count as well",
        )
    return {
        **_access(first.broker, read),
        "queues": [queue.written for queue in _joined(followed, read).values()],
    }


def _joined(followed: list[_Followed], read: Mapping[Protocol, Broker]) -> Mapping[str, Wanted]:
    """Return what the pool follows, by name; of two triggers for one queue one entry."""
    queues: dict[str, Wanted] = {}
    for one in followed:
        is_by_amqp = one.broker.protocol is Protocol.AMQP and Protocol.HTTP in read
        for queue in one.queues:
            counted = queue.ready_only() if is_by_amqp else queue
            queues[queue.name] = queues.get(queue.name, counted).beside(counted)
    return queues


def _access(first: Broker, read: Mapping[Protocol, Broker]) -> dict[str, Any]:
    """Return how the pool reaches the broker."""
    found: dict[str, Any] = {
        FIELDS[protocol]: read[protocol].url.model_dump()
        for protocol in Protocol
        if protocol in read
    }
    if first.vhost is not None:
        found["vhost"] = first.vhost
    for one in read.values():
        if one.ca is not None:
            found["caSecretRef"] = one.ca.model_dump()
        if one.certificate:
            found["clientCertificate"] = {
                name: ref.model_dump() for name, ref in one.certificate.items()
            }
    return found


def _is_read_with(one: Broker, read: Mapping[Protocol, Broker]) -> bool:
    """Tell whether a pool can read a broker together with those that it reads already."""
    same = read.get(one.protocol)
    if same is not None:
        return one.place == same.place
    return all(one.vhost == other.vhost for other in read.values())


def _followed(scaled: ScaledObject, given: Given, notes: Notes) -> list[_Followed]:
    found = []
    for number, trigger in enumerate(scaled.spec.triggers):
        where = f"triggers[{number}]"
        if trigger.type != RABBITMQ:
            notes.warn(
                BROKER,
                f"{where} is of type {shown(trigger.type)}, which has no counterpart: the pool "
                "does not follow it",
            )
            continue
        queues = wanted(trigger, where, given, notes)
        if not queues:
            continue
        read = broker(trigger, where, scaled, given, notes)
        found.append(_Followed(trigger, where, read, queues))
        _compare(trigger, where, notes)
    return found


def _compare(trigger: Trigger, where: str, notes: Notes) -> None:
    """Say what a trigger has that a queue of a pool has not.

    Raises:
        RefusedError: if KEDA refuses it, too.

    """
    if trigger.metric_type == "Utilization":
        raise RefusedError(
            f"{where} has metricType Utilization, which KEDA has for CPU and memory only"
        )
    if trigger.metric_type == "Value":
        notes.warn(
            QUEUES,
            f"{where} has metricType Value: KEDA multiplies the replicas by messages / value; the "
            "pool divides the messages by messagesPerReplica",
        )


def _remark(scaled: ScaledObject, notes: Notes) -> None:
    """Say what has no counterpart, and name what a pool offers beyond."""
    spec = scaled.spec
    notes.say(
        ("spec", "memory"),
        "KEDA has no such ceiling. true caps the replicas by the room on the nodes that exist; "
        "leave it off where a cluster autoscaler adds nodes",
    )
    notes.say(
        ("spec", "llm"),
        "KEDA has no such ceiling either: llm names the provider, and caps the replicas by what "
        "is left of its token limit",
    )
    if spec.advanced.scaling_modifiers:
        notes.warn(
            QUEUES,
            "advanced.scalingModifiers has no counterpart: the pool takes the largest that any "
            "queue asks for, by the value of its own trigger",
        )
    if spec.advanced.restore_to_original_replica_count:
        notes.say(
            ("spec", "scaleTargetRef"),
            "restoreToOriginalReplicaCount is true: set it to false before you delete the "
            "ScaledObject, which would else change the replicas. A deleted pool leaves them",
        )
    if spec.advanced.horizontal_pod_autoscaler_config.name is not None:
        notes.say(("spec", "behavior"), "there is no HPA, and none to name")
    for name in scaled.metadata.annotations:
        if name.startswith(OF_KEDA):
            notes.say(("metadata", "annotations"), f"{shown(name)} is about KEDA's HPA")
    parts = {
        "spec": spec,
        "spec.scaleTargetRef": spec.scale_target_ref,
        "spec.fallback": spec.fallback,
        "spec.advanced": spec.advanced,
        "spec.advanced.horizontalPodAutoscalerConfig": (
            spec.advanced.horizontal_pod_autoscaler_config
        ),
        **{f"spec.triggers[{number}]": one for number, one in enumerate(spec.triggers)},
    }
    for where, part in parts.items():
        for name in () if part is None else part.unknown:
            notes.warn(
                ("spec", "scaleTargetRef"),
                f"{where} has the field {shown(name)}, which no KEDA up to 2.20 has",
            )
