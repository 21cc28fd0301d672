"""A scenario: the world, its load, what happens to it, and the autoscalers to compare on it."""

from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError, model_validator

from scanpool_replay.bounds import Bounds
from scanpool_replay.contenders import Controller, Fixed, Formula, Keda, Scanpool, adapted, merged
from scanpool_replay.events import Event, PipelineEvent, SetMix
from scanpool_replay.settings import (
    ALONE,
    SCAN,
    ClosedLoad,
    Name,
    Nodes,
    OpenLoad,
    Part,
    Provider,
    Retries,
    Stage,
    Telemetry,
    Tenant,
    Worker,
)


class ScenarioError(Exception):
    """A scenario cannot be used; the text says where and why."""


class Scenario(Part):
    """Everything that a run depends on, besides its seed."""

    name: Name
    description: str = ""
    load: ClosedLoad | OpenLoad
    # Several pipelines on the provider's key, each with an autoscaler of its own; none: one.
    pipelines: tuple[Tenant, ...] = ()
    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=20)] = SCAN
    provider: Provider = Provider()
    nodes: Nodes = Nodes()
    worker: Worker = Worker()
    retries: Retries = Retries()
    telemetry: Telemetry = Telemetry()
    controllers: Annotated[tuple[Controller, ...], Field(min_length=1)]
    # Where set: every fixed number of replicas up to it is tried, and the best one reported.
    oracle_max_replicas: Annotated[int, Field(ge=1, le=100)] | None = None
    # Where true: no scan may fail or stay in flight under scanpool.
    every_scan_completes: bool = False
    # Where set: a closed-loop case, that scanpool is judged by.
    bounds: Bounds | None = None
    events: tuple[Event, ...] = ()
    # Autoscalers run this long on an idle pipeline before the load starts.
    lead_seconds: Annotated[float, Field(ge=0, le=3_600)] = 60.0
    # After the load test, until nothing is in flight; at most so long.
    drain_limit_seconds: Annotated[float, Field(ge=0, le=86_400)] = 1_800.0

    @model_validator(mode="after")
    def _queues_are_known(self) -> "Scenario":
        queues = [stage.queue for stage in self.stages]
        if len(set(queues)) != len(queues):
            raise ValueError("each stage needs a queue of its own")
        for controller in self.controllers:
            missing = sorted(set(queues_of(controller)) - set(queues))
            if missing:
                raise ValueError(
                    f"{controller.label} watches {', '.join(missing)}, but the stages use "
                    f"{', '.join(queues)}"
                )
        for event in self.events:
            if isinstance(event, SetMix) and event.queue not in queues:
                raise ValueError(f"setMix names {event.queue}, which is no stage's queue")
        return self

    @model_validator(mode="after")
    def _pipelines_are_known(self) -> "Scenario":
        names = [one.name for one in self.pipelines]
        if len(set(names)) != len(names) or "" in names:
            raise ValueError("each pipeline needs a name of its own")
        for one in self.pipelines:
            queues = {stage.queue for stage in one.stages or self.stages}
            for controller in self.controllers:
                if missing := sorted(set(queues_of(adapted(controller, one))) - queues):
                    raise ValueError(
                        f"{controller.label} watches {', '.join(missing)}, but the stages of "
                        f"pipeline {one.name} use {', '.join(sorted(queues))}"
                    )
        for event in self.events:
            if isinstance(event, PipelineEvent):
                named = event.pipeline
                if named is not None and named not in names:
                    raise ValueError(f"{event.kind} names pipeline {named}, which there is not")
        return self

    @property
    def tenants(self) -> tuple[Tenant, ...]:
        """Its pipelines: at least one."""
        return self.pipelines or (ALONE,)

    @property
    def loads(self) -> tuple[ClosedLoad | OpenLoad, ...]:
        """The load of each pipeline."""
        return tuple(one.load or self.load for one in self.tenants)

    @property
    def end_seconds(self) -> float:
        """When the last load ends."""
        return max(load.end_seconds for load in self.loads)


def queues_of(controller: Fixed | Keda | Formula | Scanpool) -> tuple[str, ...]:
    """Return the names of the queues that an autoscaler watches."""
    match controller:
        case Fixed():
            return ()
        case Scanpool():
            return tuple(queue.name for queue in controller.spec.rabbitmq.queues)
        case Keda() | Formula():
            return tuple(target.queue for target in controller.targets)


def shipped() -> tuple[str, ...]:
    """Return the names of the scenarios that come with the package."""
    found = resources.files("scanpool_replay") / "scenarios"
    return tuple(sorted(one.name.removesuffix(".yaml") for one in found.iterdir() if one.is_file()))


def load(name_or_path: str) -> Scenario:
    """Read a scenario: a file, or one of those that come with the package.

    Raises:
        ScenarioError: if there is none, or if it is not one.

    """
    if name_or_path in shipped():
        return parse(_shipped_text(name_or_path), name_or_path)
    try:
        text = Path(name_or_path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(
            f"{name_or_path}: neither a readable file ({error}) nor one of {', '.join(shipped())}"
        ) from error
    return parse(text, name_or_path)


def parse(text: str, source: str) -> Scenario:
    """Read a scenario from YAML; `source` names it in messages.

    With `extends`, the name of a scenario that comes along, it is a merge patch (RFC 7386) on that.

    Raises:
        ScenarioError: if it is not one; every wrong field is named.

    """
    document = _document(text, source)
    try:
        return Scenario.model_validate(document)
    except ValidationError as error:
        lines = [
            f"  {'.'.join(str(part) for part in one['loc']) or 'scenario'}: "
            f"{one['msg'].removeprefix('Value error, ')}"
            for one in error.errors(include_url=False, include_input=False)
        ]
        raise ScenarioError("\n".join([f"{source} is no valid scenario:", *lines])) from error


def _shipped_text(name: str) -> str:
    file = resources.files("scanpool_replay") / "scenarios" / f"{name}.yaml"
    return file.read_text("utf-8")


def _document(text: str, source: str) -> dict[str, Any]:
    """Return the fields of a scenario and of those that it extends."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ScenarioError(f"{source} is no YAML: {error}") from error
    if not isinstance(document, dict):
        raise ScenarioError(f"{source} is no scenario: it has no fields")
    base = document.pop("extends", None)
    if base is None:
        return document
    if base not in shipped():
        raise ScenarioError(f"{source} extends {base}, which is none of {', '.join(shipped())}")
    found: dict[str, Any] = merged(_document(_shipped_text(base), base), document)
    return found
