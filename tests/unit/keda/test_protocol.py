"""The protocol as KEDA's documentation has it ("External Scalers"), and the code that is made."""

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor import FieldDescriptor

from scanpool.keda import externalscaler_pb2 as made

OPERATOR = Path(__file__).parents[3] / "operator"
PROTO = "scanpool/keda/externalscaler.proto"
TEXT, INTEGER, DOUBLE, TRUTH, MESSAGE = (
    FieldDescriptor.TYPE_STRING,
    FieldDescriptor.TYPE_INT64,
    FieldDescriptor.TYPE_DOUBLE,
    FieldDescriptor.TYPE_BOOL,
    FieldDescriptor.TYPE_MESSAGE,
)
MESSAGES = {
    "ScaledObjectRef": {
        "name": (1, TEXT), "namespace": (2, TEXT), "scalerMetadata": (3, MESSAGE),
    },
    "IsActiveResponse": {"result": (1, TRUTH)},
    "GetMetricSpecResponse": {"metricSpecs": (1, MESSAGE)},
    "MetricSpec": {
        "metricName": (1, TEXT), "targetSize": (2, INTEGER), "targetSizeFloat": (3, DOUBLE),
    },
    "GetMetricsRequest": {"scaledObjectRef": (1, MESSAGE), "metricName": (2, TEXT)},
    "GetMetricsResponse": {"metricValues": (1, MESSAGE)},
    "MetricValue": {
        "metricName": (1, TEXT), "metricValue": (2, INTEGER), "metricValueFloat": (3, DOUBLE),
    },
}  # fmt: skip
REPEATED = {"metricSpecs", "metricValues", "scalerMetadata"}
CALLS = {
    "IsActive": ("ScaledObjectRef", "IsActiveResponse", False),
    "StreamIsActive": ("ScaledObjectRef", "IsActiveResponse", True),
    "GetMetricSpec": ("ScaledObjectRef", "GetMetricSpecResponse", False),
    "GetMetrics": ("GetMetricsRequest", "GetMetricsResponse", False),
}


def test_the_messages_are_those_of_kedas_documentation() -> None:
    found = {
        name: {field.name: (field.number, field.type) for field in message.fields}
        for name, message in made.DESCRIPTOR.message_types_by_name.items()
    }
    repeated = {
        field.name
        for message in made.DESCRIPTOR.message_types_by_name.values()
        for field in message.fields
        if field.is_repeated
    }

    assert (found, repeated) == (MESSAGES, REPEATED)


def test_the_calls_are_those_of_kedas_documentation() -> None:
    service = made.DESCRIPTOR.services_by_name["ExternalScaler"]

    assert service.full_name == "externalscaler.ExternalScaler"
    assert {
        one.name: (one.input_type.name, one.output_type.name, one.server_streaming)
        for one in service.methods
    } == CALLS
    assert not any(one.client_streaming for one in service.methods)


@pytest.mark.parametrize(
    ("message", "sent"),
    [
        pytest.param(
            made.ScaledObjectRef(name="a", namespace="b", scalerMetadata={"pool": "c"}),
            b"\x0a\x01a\x12\x01b\x1a\x09\x0a\x04pool\x12\x01c",
            id="who-asks",
        ),
        pytest.param(
            made.MetricValue(metricName="m", metricValue=3, metricValueFloat=3),
            b"\x0a\x01m\x10\x03\x19\x00\x00\x00\x00\x00\x00\x08\x40",
            id="a-value",
        ),
        pytest.param(made.IsActiveResponse(result=True), b"\x08\x01", id="the-activity"),
    ],
)
def test_what_goes_over_the_wire(message: made.ScaledObjectRef, sent: bytes) -> None:
    assert message.SerializeToString() == sent
    assert type(message).FromString(sent) == message


def test_the_code_is_what_make_protocol_writes(tmp_path: Path) -> None:
    subprocess.run(
        [
            sys.executable, "-m", "grpc_tools.protoc", "-I.", f"--python_out={tmp_path}",
            f"--pyi_out={tmp_path}", PROTO,
        ],
        cwd=OPERATOR, check=True, timeout=60,
    )  # fmt: skip

    for suffix in (".py", ".pyi"):
        name = f"scanpool/keda/externalscaler_pb2{suffix}"
        assert (tmp_path / name).read_text() == (OPERATOR / name).read_text(), "run `make protocol`"
