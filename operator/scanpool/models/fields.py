"""Kinds of fields that several parts of a spec have."""

from typing import Annotated, Any

from pydantic import Field

from scanpool.models.base import Model
from scanpool.models.units import WHOLE_PERCENT

# Kubernetes' own bounds for the names of objects and for the keys of a Secret.
ObjectName = Annotated[
    str,
    Field(
        max_length=253, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
    ),
]
SecretKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
HttpUrl = Annotated[str, Field(max_length=2048, pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")]
# Of a server in DNS, as SNI and certificates have it.
HostName = Annotated[
    str, Field(max_length=253, pattern=r"^[A-Za-z0-9_]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")
]
Percent = Annotated[int, Field(ge=1, le=WHOLE_PERCENT)]
# More than any Deployment of the field has.
MOST_REPLICAS = 10_000
# The API server counts in 32 bits for replicas and 64 bits for tokens.
INT32: dict[str, Any] = {"format": "int32"}
INT64: dict[str, Any] = {"format": "int64"}
Count = Annotated[int, Field(json_schema_extra=INT32)]


def whole(least: int, most: int) -> Any:
    """Annotate a whole number of 32 bits with its bounds."""
    return Field(ge=least, le=most, json_schema_extra=INT32)


Replicas = Annotated[int, whole(0, MOST_REPLICAS)]
PerMinute = Annotated[int, Field(ge=1, le=10**12, json_schema_extra=INT64)]
PerDay = PerMinute


class SecretKeyRef(Model):
    """One key of a Secret in the pool's namespace."""

    name: ObjectName
    key: SecretKey
