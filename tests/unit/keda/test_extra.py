"""gRPC is in the operator's image, and not in the plugin of kubectl that pip installs."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=~]", text)[0] for text in requirements}


def test_grpc_is_an_extra() -> None:
    assert names(PROJECT["optional-dependencies"]["keda"]) == {"grpcio", "protobuf"}
    assert not names(PROJECT["dependencies"]) & {"grpcio", "protobuf"}


def test_the_operators_image_has_it() -> None:
    stages = re.split(r"(?m)^FROM ", (ROOT / "Dockerfile").read_text())
    assert [stage.split()[2] for stage in stages if ".[keda]" in stage] == ["build-scanpool"]
