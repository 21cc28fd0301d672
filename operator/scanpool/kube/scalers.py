"""What means to scale a target: HPAs, the ScaledObjects of KEDA, and pools. Each names its target.

They are kept by the target, since none of them can be found by what it scales.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from scanpool.kube.indices import At, at
from scanpool.models.names import KIND
from scanpool.models.rivals import Rival, RivalKind
from scanpool.models.spec import Mode, ScaleTargetRef
from scanpool.models.units import epoch

Json = Mapping[str, Any]

# What a ScaledObject or a pool scales where it does not say.
DEFAULT_API_VERSION, DEFAULT_KIND = "apps/v1", "Deployment"
# With one of these KEDA scales nothing of its own accord, or takes nothing back that a pool adds,
# as in docs/migration.md. From its documentation, 2.20.
KEDA_PAUSES = (
    "autoscaling.keda.sh/paused",
    "autoscaling.keda.sh/paused-replicas",
    "autoscaling.keda.sh/paused-scale-in",
)


class Scaled(NamedTuple):
    """What is scaled; `group` is of its API, without the version, which may differ."""

    namespace: str
    group: str
    kind: str
    name: str

    @classmethod
    def of(cls, namespace: str, ref: ScaleTargetRef) -> "Scaled":
        """Return what a pool's spec names."""
        return cls(namespace, _group(ref.api_version), ref.kind, ref.name)


@dataclass(frozen=True, slots=True)
class Scaler:
    """An object that means to scale something."""

    rival: Rival
    target: Scaled


class Scalers:
    """The objects of one kind that mean to scale something, by what that is.

    `scaler` makes one of an object, or None of an object that scales nothing now.
    """

    def __init__(self, scaler: Callable[[Json], Scaler | None]) -> None:
        self._scaler = scaler
        self._kept: dict[At, Scaler] = {}
        self._of: defaultdict[Scaled, dict[At, Rival]] = defaultdict(dict)

    async def replace(self, namespace: str, objects: Iterable[Json]) -> None:
        """Take what there is in a namespace, in all of them if it is empty."""
        there = {at(one): self._scaler(one) for one in objects}
        for key in [key for key in self._kept if namespace in ("", key[0]) and key not in there]:
            self._take(key, None)
        for key, scaler in there.items():
            self._take(key, scaler)

    async def put(self, obj: Json) -> None:
        """Take one that is new or has changed."""
        self._take(at(obj), self._scaler(obj))

    async def drop(self, obj: Json) -> None:
        """Let go of one that is gone."""
        self._take(at(obj), None)

    def of(self, target: Scaled) -> tuple[Rival, ...]:
        """Return those that mean to scale a target, by their names."""
        return tuple(rival for _, rival in sorted(self._of.get(target, {}).items()))

    def older(self, target: Scaled, name: str) -> tuple[Rival, ...]:
        """Return those that are older than the one of this name in the target's namespace.

        Of two that were made within the same second the one whose name comes first is the older.
        """
        own = (target.namespace, name)
        there = self._of.get(target, {})
        if own not in there:
            return ()
        mine = (there[own].since, own)
        return tuple(one for key, one in sorted(there.items()) if (one.since, key) < mine)

    def _take(self, key: At, scaler: Scaler | None) -> None:
        before = self._kept.pop(key, None)
        if before is not None:
            del self._of[before.target][key]
            if not self._of[before.target]:
                del self._of[before.target]
        if scaler is not None:
            self._kept[key] = scaler
            self._of[scaler.target][key] = scaler.rival


def hpa(obj: Json) -> Scaler | None:
    """Return an HPA, unless it was made on behalf of a ScaledObject, which is named itself."""
    owners = obj["metadata"].get("ownerReferences") or ()
    if any(owner.get("kind") == "ScaledObject" for owner in owners):
        return None
    return _scaler(RivalKind.AUTOSCALER, "HorizontalPodAutoscaler", obj)


def scaled_object(obj: Json) -> Scaler | None:
    """Return a ScaledObject that is not paused."""
    annotations = obj["metadata"].get("annotations") or {}
    if any(annotations.get(name, "false") != "false" for name in KEDA_PAUSES):
        return None
    return _scaler(RivalKind.AUTOSCALER, "ScaledObject", obj)


def pool(obj: Json) -> Scaler | None:
    """Return a pool that does not only observe."""
    if (obj.get("spec") or {}).get("mode", Mode.ENFORCE) != Mode.ENFORCE:
        return None
    return _scaler(RivalKind.POOL, KIND, obj)


def _scaler(rival: RivalKind, kind: str, obj: Json) -> Scaler | None:
    metadata, ref = obj["metadata"], (obj.get("spec") or {}).get("scaleTargetRef")
    if not isinstance(ref, Mapping):
        return None
    group = _group(ref.get("apiVersion") or DEFAULT_API_VERSION)
    name = f"{kind} {metadata['namespace']}/{metadata['name']}"
    return Scaler(
        Rival(rival, name, epoch(metadata["creationTimestamp"])),
        Scaled(
            metadata["namespace"], group, ref.get("kind") or DEFAULT_KIND, ref.get("name") or ""
        ),
    )


def _group(api_version: str) -> str:
    """Return the group of an apiVersion; empty for the core one."""
    return api_version.rpartition("/")[0]
