"""From KEDA: ScaledObjects with RabbitMQ triggers to ScanWorkerPools, field by field. Pure."""

from scanpool.convert.documents import Given, UnreadableError, read
from scanpool.convert.pool import Converted, convert
from scanpool.convert.text import render

__all__ = ["Converted", "Given", "UnreadableError", "convert", "read", "render"]
