"""What the stand-ins need stays out of the operator's image."""

import re
import tomllib
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKERS = ("celery", "gevent", "kombu", "openai")


def closure(requirements: list[str]) -> set[str]:
    """Names of what is installed with these requirements."""
    found: set[str] = set()
    todo = [Requirement(text) for text in requirements]
    while todo:
        requirement = todo.pop()
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        extras = requirement.extras or {""}
        markers = [requirement.marker] if requirement.marker else []
        if name in found or not all(marker.evaluate() for marker in markers):
            continue
        found.add(name)
        for text in requires(name) or []:
            needed = Requirement(text)
            wanted = needed.marker is None or any(
                needed.marker.evaluate({"extra": extra}) for extra in extras
            )
            if wanted:
                needed.marker = None
                todo.append(needed)
    return found


def is_a_workers(name: str) -> bool:
    return name in WORKERS or name.startswith("opentelemetry-")


def test_the_operator_needs_nothing_of_its_workers() -> None:
    stand_ins = closure(PROJECT["optional-dependencies"]["sandbox"])
    assert {*WORKERS, "opentelemetry-sdk"} <= stand_ins

    assert not {name for name in closure(PROJECT["dependencies"]) if is_a_workers(name)}


def test_only_the_image_of_the_stand_ins_is_built_with_their_extra() -> None:
    stages = re.split(r"(?m)^FROM ", (ROOT / "Dockerfile").read_text())
    built = [stage.split()[2] for stage in stages if ".[sandbox]" in stage]

    assert built == ["build-sandbox"]
