"""OpenTelemetry's metrics of the calls to the provider, as a page for Prometheus."""

import os

from celery.signals import worker_init

PORT = "OTEL_EXPORTER_PROMETHEUS_PORT"
HOST = "OTEL_EXPORTER_PROMETHEUS_HOST"
"""The names that OpenTelemetry gives these settings."""


@worker_init.connect  # type: ignore[untyped-decorator]
def serve_metrics(**_: object) -> None:
    """Measure every call of the SDK and serve the metrics, if a port is set."""
    port = os.environ.get(PORT)
    if port is None:
        return
    # A worker without metrics starts without their libraries.
    from opentelemetry.exporter.prometheus import PrometheusMetricReader  # noqa: PLC0415
    from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor  # noqa: PLC0415
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415
    from prometheus_client import start_http_server  # noqa: PLC0415

    provider = MeterProvider([PrometheusMetricReader()])
    OpenAIInstrumentor().instrument(meter_provider=provider)
    start_http_server(int(port), os.environ.get(HOST, "127.0.0.1"))
