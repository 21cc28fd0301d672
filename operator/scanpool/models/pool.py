"""A ScanWorkerPool as the API server sent it, and its spec as it was meant."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from scanpool.models.conditions import Reason
from scanpool.models.pause import Pause
from scanpool.models.reading import Unavailable
from scanpool.models.spec import PoolSpec

# For a spec that cannot be read, whose own interval is unknown.
DEFAULT_INTERVAL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Pool:
    """An object of the API. `spec` says what is wrong with it where it is not valid.

    `pause` is what its annotations say. `version` is another one after every write. `status` is as
    the API server sent it, or as it was read of that.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    spec: PoolSpec | Unavailable
    pause: Pause
    status: object
    version: str = ""

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> "Pool":
        """Take what a tick needs of an object, and parse its spec, once."""
        metadata = body["metadata"]
        return cls(
            namespace=metadata["namespace"],
            name=metadata["name"],
            uid=metadata["uid"],
            generation=metadata.get("generation", 0),
            spec=parse(body.get("spec") or {}),
            pause=Pause.from_annotations(metadata.get("annotations") or {}),
            status=body.get("status") or {},
            version=metadata.get("resourceVersion", ""),
        )

    def changed(self, body: Mapping[str, Any]) -> "Pool":
        """Return the same object as it is now; the spec is parsed only where it is another."""
        if body["metadata"].get("generation", 0) != self.generation:
            return Pool.from_body(body)
        version = body["metadata"].get("resourceVersion", "")
        return replace(
            self,
            pause=Pause.from_annotations(body["metadata"].get("annotations") or {}),
            status=body.get("status") or {},
            version=version,
        )

    def is_of(self, body: Mapping[str, Any]) -> bool:
        """Tell whether this is what a body says."""
        return bool(self.version) and self.version == body["metadata"].get("resourceVersion")

    def is_same(self, other: "Pool") -> bool:
        """Tell whether both are the object as it was after one and the same write."""
        return bool(self.version) and (self.uid, self.version) == (other.uid, other.version)

    @property
    def key(self) -> str:
        """Namespace and name, as people write them."""
        return f"{self.namespace}/{self.name}"

    @property
    def interval_seconds(self) -> float:
        """The time from one tick to the next."""
        if isinstance(self.spec, Unavailable):
            return DEFAULT_INTERVAL_SECONDS
        return float(self.spec.polling_interval_seconds)


def parse(spec: Mapping[str, Any]) -> PoolSpec | Unavailable:
    """Return the spec, or what is wrong with it and where."""
    try:
        return PoolSpec.model_validate(spec)
    except ValidationError as error:
        wrong = "; ".join(
            f"spec{''.join(f'.{part}' for part in one['loc'])}: "
            f"{one['msg'].removeprefix('Value error, ')}"
            for one in error.errors(include_url=False, include_input=False)
        )
        return Unavailable(Reason.INVALID_SPEC, wrong)
