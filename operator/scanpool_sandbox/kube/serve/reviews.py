"""Resources that are answers rather than objects: access reviews, tokens, evictions, bindings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from scanpool_sandbox.kube.access.rbac import Attributes, is_allowed, rules_for
from scanpool_sandbox.kube.objects import rfc3339

if TYPE_CHECKING:
    from scanpool_sandbox.kube.access.users import Tokens, User
    from scanpool_sandbox.kube.objects import Obj
    from scanpool_sandbox.kube.store import Store

_TOKEN_LIFETIME = timedelta(hours=1)


def self_subject_access_review(store: Store, user: User, review: Obj) -> Obj:
    """Answer whether the user may do what the review's spec says."""
    spec = review.get("spec") or {}
    wanted_path = spec.get("nonResourceAttributes")
    wanted = spec.get("resourceAttributes") or {}
    if wanted_path:
        attributes = Attributes(wanted_path.get("verb", ""), path=wanted_path.get("path", ""))
    else:
        attributes = Attributes(
            wanted.get("verb", ""),
            wanted.get("group", ""),
            wanted.get("version", ""),
            wanted.get("resource", ""),
            wanted.get("subresource", ""),
            wanted.get("namespace", ""),
            wanted.get("name", ""),
        )
    return {**review, "status": {"allowed": is_allowed(store, user, attributes)}}


def self_subject_rules_review(store: Store, user: User, review: Obj) -> Obj:
    """List what the user may do in a namespace."""
    namespace = (review.get("spec") or {}).get("namespace", "")
    rules = list(rules_for(store, user, namespace))
    if "system:masters" in user.groups:
        rules.append({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]})
        rules.append({"verbs": ["*"], "nonResourceURLs": ["*"]})
    return {
        **review,
        "status": {
            "incomplete": False,
            "resourceRules": [rule for rule in rules if rule.get("resources")],
            "nonResourceRules": [rule for rule in rules if rule.get("nonResourceURLs")],
        },
    }


def self_subject_review(user: User, review: Obj) -> Obj:
    """Tell the user who they are."""
    info = {"username": user.name, "groups": list(user.groups)}
    return {**review, "status": {"userInfo": info}}


def token_request(tokens: Tokens, namespace: str, name: str, request: Obj) -> Obj:
    """Issue a ServiceAccount's token."""
    return {
        **request,
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "status": {
            "token": tokens.issue(namespace, name),
            "expirationTimestamp": rfc3339(datetime.now(UTC) + _TOKEN_LIFETIME),
        },
    }
