"""Which resources the emulator serves: one declarative table, to which CRDs are added."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from scanpool_sandbox.kube.objects import Obj

ALL_VERBS = (
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
)
READ_ONLY = ("get", "list")

Key = tuple[str, str]
"""(group, plural): what objects are stored under, whatever version they are asked for in."""


@dataclass(frozen=True)
class Resource:
    """One resource in one version of its group.

    `stored_as` names the resource whose objects are served here too (events are in two groups).
    `schema` and `printer_columns` come from a CRD; built-ins have their own code for both.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    singular: str = ""
    list_kind: str = ""
    stored_as: Key | None = None
    schema: Obj | None = None
    printer_columns: tuple[Obj, ...] | None = None
    scale_paths: Obj = field(default_factory=dict)
    is_custom: bool = False

    @property
    def key(self) -> Key:
        """Where its objects are stored."""
        return self.stored_as or (self.group, self.plural)

    @property
    def group_version(self) -> str:
        """The apiVersion of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def list_name(self) -> str:
        """The kind of a list of them."""
        return self.list_kind or f"{self.kind}List"


BUILT_IN = (
    Resource("", "v1", "namespaces", "Namespace", False, ("ns",), (), ("status", "finalize")),
    Resource("", "v1", "nodes", "Node", False, ("no",), (), ("status",)),
    Resource(
        "", "v1", "pods", "Pod", True, ("po",), ("all",), ("status", "log", "eviction", "binding")
    ),
    Resource("", "v1", "services", "Service", True, ("svc",), ("all",), ("status",)),
    Resource("", "v1", "secrets", "Secret"),
    Resource("", "v1", "configmaps", "ConfigMap", True, ("cm",)),
    Resource("", "v1", "resourcequotas", "ResourceQuota", True, ("quota",), (), ("status",)),
    Resource("", "v1", "limitranges", "LimitRange", True, ("limits",)),
    Resource("", "v1", "serviceaccounts", "ServiceAccount", True, ("sa",), (), ("token",)),
    Resource("", "v1", "events", "Event", True, ("ev",)),
    Resource(
        "events.k8s.io", "v1", "events", "Event", True, ("ev",), stored_as=("", "events")
    ),
    Resource(
        "apps", "v1", "deployments", "Deployment", True, ("deploy",), ("all",), ("status", "scale")
    ),
    Resource(
        "apps", "v1", "replicasets", "ReplicaSet", True, ("rs",), ("all",), ("status", "scale")
    ),
    Resource(
        "apps", "v1", "statefulsets", "StatefulSet", True, ("sts",), ("all",), ("status", "scale")
    ),
    Resource("rbac.authorization.k8s.io", "v1", "roles", "Role"),
    Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding"),
    Resource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", False),
    Resource("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", False),
    Resource("coordination.k8s.io", "v1", "leases", "Lease"),
    Resource(
        "policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", True, ("pdb",), (),
        ("status",),
    ),
    Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", True, ("netpol",)),
    Resource(
        "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition",
        False, ("crd", "crds"), ("api-extensions",), ("status",),
    ),
    Resource("metrics.k8s.io", "v1beta1", "pods", "PodMetrics", verbs=READ_ONLY),
    Resource("metrics.k8s.io", "v1beta1", "nodes", "NodeMetrics", False, verbs=READ_ONLY),
    Resource(
        "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", False,
        verbs=("create",),
    ),
    Resource(
        "authorization.k8s.io", "v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview", False,
        verbs=("create",),
    ),
    Resource(
        "authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", False,
        verbs=("create",),
    ),
)  # fmt: skip


class Registry:
    """The resources served at this moment; CRDs come and go."""

    def __init__(self, resources: Iterable[Resource] = BUILT_IN) -> None:
        self._served: dict[tuple[str, str, str], Resource] = {}
        for resource in resources:
            self.add(resource)

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._served.values())

    def add(self, resource: Resource) -> None:
        """Serve it from now on, in place of its earlier definition."""
        self._served[resource.group, resource.version, resource.plural] = resource

    def remove_group_resource(self, key: Key) -> None:
        """Stop serving all versions of it."""
        for served in [known for known in self._served if (known[0], known[2]) == key]:
            del self._served[served]

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """Return the resource behind a URL, if it is served."""
        return self._served.get((group, version, plural))

    def stored(self, key: Key) -> Resource:
        """Return any served version of what is stored under `key`; KeyError if there is none."""
        for resource in self._served.values():
            if (resource.group, resource.plural) == key:
                return resource
        raise KeyError(key)

    def of_kind(self, group: str, kind: str) -> Resource | None:
        """Return the resource whose objects are of that kind."""
        return next((r for r in self if r.group == group and r.kind == kind), None)

    def groups(self) -> dict[str, list[str]]:
        """List the served versions of each group, the preferred one first."""
        groups: dict[str, list[str]] = {}
        for resource in self:
            versions = groups.setdefault(resource.group, [])
            if resource.version not in versions:
                versions.append(resource.version)
        return groups
