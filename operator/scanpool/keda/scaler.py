"""What KEDA is answered as an external scaler: from memory, at once, and never a guess.

a pool of its namespace, in mode Observe, whose ceiling is known           | the ceiling
its ceiling is unknown, its last tick is too old, or another process leads | UNAVAILABLE
no such pool, or none of its ticks has ended yet                           | NOT_FOUND
a pool in mode Enforce: it scales the target itself                        | FAILED_PRECONDITION
a pool of another namespace                                                | PERMISSION_DENIED
"""

from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import grpc

from scanpool.decide.permit import Permit
from scanpool.keda.externalscaler_pb2 import (
    DESCRIPTOR,
    GetMetricSpecResponse,
    GetMetricsRequest,
    GetMetricsResponse,
    IsActiveResponse,
    MetricSpec,
    MetricValue,
    ScaledObjectRef,
)
from scanpool.keda.permits import Permits, Told
from scanpool.models.conditions import Reason

SERVICE = DESCRIPTOR.services_by_name["ExternalScaler"].full_name
# In replicas: with a target of one each the HPA asks for as many as the metric says.
METRIC, TARGET = "ceiling", 1
# The trigger's metadata that names the pool.
POOL, NAMESPACE = "pool", "namespace"
# The longest name that Kubernetes gives: no more of another is told back.
NAME_CHARACTERS = 253

Context = grpc.aio.ServicerContext[Any, Any]


class Refusal(NamedTuple):
    """Why a call is not answered. KEDA takes any as a failed reading, and none as a value."""

    code: grpc.StatusCode
    words: str


FOLLOWS = Refusal(
    grpc.StatusCode.UNAVAILABLE, "this replica of the operator stands by; the one that leads knows"
)


class Scaler:
    """The four calls of the protocol. `leads` tells whether this process is the one that acts."""

    def __init__(self, permits: Permits, leads: Callable[[], bool]) -> None:
        self._permits, self._leads = permits, leads

    def handler(self) -> grpc.GenericRpcHandler:
        """Return what a gRPC server takes."""
        ref, answer = ScaledObjectRef.FromString, IsActiveResponse.SerializeToString
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "IsActive": grpc.unary_unary_rpc_method_handler(self.is_active, ref, answer),
                "StreamIsActive": grpc.unary_stream_rpc_method_handler(
                    self.stream_is_active, ref, answer
                ),
                "GetMetricSpec": grpc.unary_unary_rpc_method_handler(
                    self.get_metric_spec, ref, GetMetricSpecResponse.SerializeToString
                ),
                "GetMetrics": grpc.unary_unary_rpc_method_handler(
                    self.get_metrics,
                    GetMetricsRequest.FromString,
                    GetMetricsResponse.SerializeToString,
                ),
            },
        )

    async def is_active(self, asked: ScaledObjectRef, context: Context) -> IsActiveResponse:
        """Tell whether the pool would have any replica: a ceiling alone asks for none."""
        found = self._answer(asked)
        if isinstance(found, Refusal):
            await context.abort(*found)
        return IsActiveResponse(result=found.would_have_any)

    async def stream_is_active(
        self, asked: ScaledObjectRef, context: Context
    ) -> AsyncIterator[IsActiveResponse]:
        """Tell the same whenever it changes. While it is unknown, nothing is told."""
        last = None
        while True:
            told = self._told(asked)
            if isinstance(told, Refusal):
                await context.abort(*told)
            found = told.found
            if isinstance(found, Permit) and found.would_have_any is not last:
                last = found.would_have_any
                yield IsActiveResponse(result=last)
            await told.is_old.wait()

    async def get_metric_spec(
        self, asked: ScaledObjectRef, context: Context
    ) -> GetMetricSpecResponse:
        """Tell the metric and its target, which are the same whatever is known.

        KEDA makes no HPA before it has heard them.
        """
        pool = _pool(asked)
        if isinstance(pool, Refusal):
            await context.abort(*pool)
        spec = MetricSpec(metricName=METRIC, targetSize=TARGET, targetSizeFloat=TARGET)
        return GetMetricSpecResponse(metricSpecs=[spec])

    async def get_metrics(self, asked: GetMetricsRequest, context: Context) -> GetMetricsResponse:
        """Tell the most replicas that the pool may have."""
        if asked.metricName != METRIC:
            words = f"there is no metric {_shown(asked.metricName)}, only {METRIC}"
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, words)
        found = self._answer(asked.scaledObjectRef)
        if isinstance(found, Refusal):
            await context.abort(*found)
        most = found.replicas
        value = MetricValue(metricName=METRIC, metricValue=most, metricValueFloat=most)
        return GetMetricsResponse(metricValues=[value])

    def _answer(self, asked: ScaledObjectRef) -> Permit | Refusal:
        told = self._told(asked)
        if isinstance(told, Refusal):
            return told
        if isinstance(told.found, Permit):
            return told.found
        acts = told.found.reason is Reason.SCALING_ENABLED
        code = grpc.StatusCode.FAILED_PRECONDITION if acts else grpc.StatusCode.UNAVAILABLE
        return Refusal(code, f"{told.found.reason}: {told.found.message}")

    def _told(self, asked: ScaledObjectRef) -> Told | Refusal:
        """Return what the pool's last tick told, as far as the ScaledObject may hear it."""
        if not self._leads():
            return FOLLOWS
        pool = _pool(asked)
        if isinstance(pool, Refusal):
            return pool
        if (told := self._permits.told(*pool)) is None:
            words = f"no pool {_shown('/'.join(pool))} is known, or its first tick has not ended"
            return Refusal(grpc.StatusCode.NOT_FOUND, words)
        return told


def _pool(asked: ScaledObjectRef) -> tuple[str, str] | Refusal:
    """Return namespace and name of the pool that a trigger is about; its own ones by default."""
    namespace = asked.scalerMetadata.get(NAMESPACE, asked.namespace)
    if namespace != asked.namespace:
        theirs, its = _shown(namespace), _shown(asked.namespace)
        words = f"a ScaledObject of {its} asks for a pool of {theirs}: name one of its namespace"
        return Refusal(grpc.StatusCode.PERMISSION_DENIED, words)
    return namespace, asked.scalerMetadata.get(POOL, asked.name)


def _shown(text: str) -> str:
    return repr(text[:NAME_CHARACTERS])
