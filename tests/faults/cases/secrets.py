"""Faults of the Secrets that a pool names."""

from faults.case import Case, Step
from faults.injected import wants_key
from faults.world import Part, World, key
from sandbox.scene import API_KEY, MANAGEMENT_URL
from scanpool.models.conditions import Reason

ROTATED = "sk-rotated/0123456789+abcdef=="
NOT_TEXT = "//79/A=="
"""Bytes that are no UTF-8."""


def case(name: str, injects: str, inject: Step, mend: Step, reason: Reason) -> Case:
    return Case(f"secret-{name}", Part.SECRET, injects, inject, mend, 3, reason=str(reason))


def is_deleted(w: World, name: str) -> None:
    w.scene.kube.delete(f"{w.scene.secrets}/{name}")


def is_there(w: World, name: str) -> None:
    w.scene.create_secret(name, **w.secret(name))


def has(ref: str, encoded: str | None) -> Step:
    return lambda w, name: w.scene.kube.patch(f"{w.scene.secrets}/{name}", {"data": {ref: encoded}})


def is_right(w: World, name: str) -> None:
    w.scene.change_secret(name, **w.secret(name))


def is_rotated(w: World, name: str) -> None:
    w.inject(name, "provider", wants_key(ROTATED))


def follows_the_rotation(w: World, name: str) -> None:
    w.scene.change_secret(name, **{API_KEY: ROTATED})


def names_amqp(w: World, name: str) -> None:
    w.scene.change_secret(name, **{MANAGEMENT_URL: f"amqp://user:{key(name)}@broker:5672/eco2"})


CASES = (
    case("deleted", "the Secret deleted, and made anew", is_deleted, is_there,
         Reason.SECRET_NOT_FOUND),
    case("key-gone", "its key removed", has(API_KEY, None), is_right, Reason.SECRET_KEY_NOT_FOUND),
    case("empty", "an empty value", has(MANAGEMENT_URL, ""), is_right,
         Reason.SECRET_KEY_NOT_FOUND),
    case("not-text", "bytes that are no text", has(API_KEY, NOT_TEXT), is_right,
         Reason.SECRET_KEY_NOT_FOUND),
    case("other-scheme", "an amqp:// URL for the management API", names_amqp, is_right,
         Reason.INVALID_URL),
    case("rotated", "the key rotated at the provider, then in the Secret", is_rotated,
         follows_the_rotation, Reason.PROVIDER_AUTHENTICATION_FAILED),
)  # fmt: skip
