"""Who owns a target's replicas, by its metadata.managedFields. Pure."""

from collections.abc import Mapping
from typing import Any

from scanpool.models.rivals import Writer
from scanpool.models.units import epoch

Json = Mapping[str, Any]
SCALE = "scale"


def writers(obj: Json) -> tuple[Writer, ...]:
    """Return the field managers that own the replicas of an object, in the order of its list.

    Whoever writes through /scale writes nothing else, wherever a kind keeps its replicas.
    """
    return tuple(
        Writer(entry.get("manager", ""), entry.get("subresource", ""), epoch(entry["time"]))
        for entry in obj["metadata"].get("managedFields") or ()
        if "time" in entry and (entry.get("subresource") == SCALE or _owns_replicas(entry))
    )


def _owns_replicas(entry: Json) -> bool:
    spec = (entry.get("fieldsV1") or {}).get("f:spec")
    return isinstance(spec, Mapping) and "f:replicas" in spec
