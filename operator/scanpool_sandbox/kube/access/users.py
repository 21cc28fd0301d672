"""Authentication: no credentials is the administrator, a bearer token a ServiceAccount."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scanpool_sandbox.kube.errors import unauthorized

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PREFIX = "system:serviceaccount:"


@dataclass(frozen=True)
class User:
    """A user as RBAC sees one."""

    name: str
    groups: tuple[str, ...] = ()


ADMIN = User("kubernetes-admin", ("system:masters", "system:authenticated"))


def service_account(namespace: str, name: str) -> User:
    """Return the user that a ServiceAccount is."""
    return User(
        f"{_PREFIX}{namespace}:{name}",
        (
            "system:serviceaccounts",
            f"system:serviceaccounts:{namespace}",
            "system:authenticated",
        ),
    )


class Tokens:
    """Bearer tokens given out, each for one ServiceAccount, valid as long as this runs."""

    def __init__(self) -> None:
        self._users: dict[str, User] = {}

    def issue(self, namespace: str, name: str) -> str:
        """Return a new token for a ServiceAccount."""
        token = secrets.token_urlsafe(24)
        self._users[token] = service_account(namespace, name)
        return token

    def authenticate(self, headers: Mapping[str, str]) -> User:
        """Return who sends these headers, before impersonation; raises 401."""
        authorization = headers.get("Authorization", "")
        if not authorization:
            return ADMIN
        scheme, _, token = authorization.partition(" ")
        user = self._users.get(token.strip()) if scheme.lower() == "bearer" else None
        if user is None:
            raise unauthorized()
        return user


def impersonated(name: str, groups: Sequence[str]) -> User:
    """Return the user named by impersonation headers."""
    if name.startswith(_PREFIX) and not groups:
        namespace, _, account = name.removeprefix(_PREFIX).partition(":")
        return service_account(namespace, account)
    extra = () if "system:authenticated" in groups else ("system:authenticated",)
    return User(name, (*groups, *extra))
