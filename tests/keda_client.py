"""KEDA's side of an external scaler, for channels that block and for those that are awaited."""

from typing import Any

import grpc
from google.protobuf.message_factory import GetMessageClass

from scanpool.keda.externalscaler_pb2 import DESCRIPTOR, GetMetricsRequest, ScaledObjectRef

SERVICE = DESCRIPTOR.services_by_name["ExternalScaler"]


class KedaClient:
    """Calls by the names that the protocol has them by."""

    def __init__(self, channel: grpc.Channel | grpc.aio.Channel) -> None:
        self.channel: Any = channel

    def call(self, method: str, request: Any, **options: Any) -> Any:
        """Begin a call; what comes back is the answer, or is awaited, or is iterated over."""
        described = SERVICE.methods_by_name[method]
        kind = "unary_stream" if described.server_streaming else "unary_unary"
        begin = getattr(self.channel, kind)(
            f"/{SERVICE.full_name}/{method}",
            request_serializer=GetMessageClass(described.input_type).SerializeToString,
            response_deserializer=GetMessageClass(described.output_type).FromString,
        )
        return begin(request, **options)

    def metrics(self, asked: ScaledObjectRef, name: str = "ceiling", **options: Any) -> Any:
        """Ask for a metric."""
        request = GetMetricsRequest(scaledObjectRef=asked, metricName=name)
        return self.call("GetMetrics", request, **options)


def scaled_object(namespace: str, name: str, /, **metadata: str) -> ScaledObjectRef:
    """Return how KEDA tells who asks: the trigger's metadata, with the address in it."""
    told = {"scalerAddress": "scanpool-keda:9091", **metadata}
    return ScaledObjectRef(name=name, namespace=namespace, scalerMetadata=told)
