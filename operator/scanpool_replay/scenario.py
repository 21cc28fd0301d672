"""A scenario: the world, its load, what happens to it, and the autoscalers to compare on it."""

from importlib import resources
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, ValidationError, model_validator

from scanpool_replay.contenders import Controller, Fixed, Formula, Keda, Scanpool
from scanpool_replay.events import Event
from scanpool_replay.settings import (
    SCAN,
    ClosedLoad,
    Nodes,
    OpenLoad,
    Part,
    Provider,
    Retries,
    Stage,
    Worker,
)


class ScenarioError(Exception):
    """A scenario cannot be used; the text says where and why."""


class Scenario(Part):
    """Everything that a run depends on, besides its seed."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
    description: str = ""
    load: ClosedLoad | OpenLoad
    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=20)] = SCAN
    provider: Provider = Provider()
    nodes: Nodes = Nodes()
    worker: Worker = Worker()
    retries: Retries = Retries()
    controllers: Annotated[tuple[Controller, ...], Field(min_length=1)]
    # Where set: every fixed number of replicas up to it is tried, and the best one reported.
    oracle_max_replicas: Annotated[int, Field(ge=1, le=100)] | None = None
    # Where true: no scan may fail or stay in flight under scanpool.
    every_scan_completes: bool = False
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
        return self


def queues_of(controller: Fixed | Keda | Formula | Scanpool) -> tuple[str, ...]:
    """Return the names of the queues that an autoscaler watches."""
    match controller:
        case Fixed():
            return ()
        case Scanpool():
            return tuple(queue.name for queue in controller.pool.rabbitmq.queues)
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
        file = resources.files("scanpool_replay") / "scenarios" / f"{name_or_path}.yaml"
        return parse(file.read_text("utf-8"), name_or_path)
    try:
        text = Path(name_or_path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(
            f"{name_or_path}: neither a readable file ({error}) nor one of {', '.join(shipped())}"
        ) from error
    return parse(text, name_or_path)


def parse(text: str, source: str) -> Scenario:
    """Read a scenario from YAML; `source` names it in messages.

    Raises:
        ScenarioError: if it is not one; every wrong field is named.

    """
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ScenarioError(f"{source} is no YAML: {error}") from error
    if not isinstance(document, dict):
        raise ScenarioError(f"{source} is no scenario: it has no fields")
    try:
        return Scenario.model_validate(document)
    except ValidationError as error:
        lines = [
            f"  {'.'.join(str(part) for part in one['loc']) or 'scenario'}: "
            f"{one['msg'].removeprefix('Value error, ')}"
            for one in error.errors(include_url=False, include_input=False)
        ]
        raise ScenarioError("\n".join([f"{source} is no valid scenario:", *lines])) from error
