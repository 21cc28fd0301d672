"""A kind of object as the API serves it."""

from typing import NamedTuple


class Resource(NamedTuple):
    """What objects of a kind are asked for as; `group` is empty for the core one."""

    group: str
    version: str
    kind: str
    plural: str

    @property
    def full_name(self) -> str:
        """The plural with its group, as kubectl takes it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        """The apiVersion of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def path(self) -> str:
        """Where its API is."""
        return f"/{'apis' if self.group else 'api'}/{self.api_version}"


APPS = "apps"
DEPLOYMENTS = Resource(APPS, "v1", "Deployment", "deployments")
