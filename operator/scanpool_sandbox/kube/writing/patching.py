"""JSON patch, JSON merge patch and strategic merge patch."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import jsonpatch

from scanpool_sandbox.kube.errors import ApiError, bad_request
from scanpool_sandbox.kube.objects import Obj, copied

if TYPE_CHECKING:
    from scanpool_sandbox.kube.writing.listtypes import Shape

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


def json_patched(obj: Obj, operations: Any) -> Obj:
    """Apply RFC 6902 operations, in place; a failing `test` or a missing path is a 422."""
    if not isinstance(operations, list):
        raise bad_request("a JSON patch is a list of operations")
    try:
        return dict(jsonpatch.apply_patch(obj, operations, in_place=True))
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        raise ApiError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "Invalid",
            "the server rejected our request due to an error in our request",
            {"causes": [{"reason": "FieldValueInvalid", "message": str(error)}]},
        ) from error
    except (TypeError, KeyError) as error:
        raise bad_request(f"malformed JSON patch: {error}") from error


def merge_patched(target: Any, patch: Any) -> Any:
    """Apply an RFC 7386 merge patch: null removes, lists are replaced."""
    if not isinstance(patch, dict):
        return copied(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patched(result.get(name), value)
    return result


_DIRECTIVE = "$patch"
_ORDER = "$setElementOrder/"
_DELETE_PRIMITIVES = "$deleteFromPrimitiveList/"
_RETAIN_KEYS = "$retainKeys"


def strategic_patched(target: Any, patch: Obj, shape: Shape) -> Any:
    """Merge as kubectl means it for built-in types: lists by key, with `$` directives."""
    directive = patch.get(_DIRECTIVE)
    if directive == "replace":
        return {key: copied(value) for key, value in patch.items() if key != _DIRECTIVE}
    if directive == "delete":
        return {}
    result = dict(target) if isinstance(target, dict) else {}
    if _RETAIN_KEYS in patch:
        result = {key: value for key, value in result.items() if key in patch[_RETAIN_KEYS]}
    for name, value in patch.items():
        if name.startswith(_DELETE_PRIMITIVES):
            field = name.removeprefix(_DELETE_PRIMITIVES)
            result[field] = [item for item in result.get(field) or [] if item not in value]
        elif not name.startswith("$"):
            _merge_field(result, name, value, shape.field(name))
    for name, order in patch.items():
        field = name.removeprefix(_ORDER)
        if name.startswith(_ORDER) and field in result:
            key = _merge_key(shape.field(field), result[field])
            result[field] = _ordered(result[field], order, key)
    return result


def _merge_field(holder: Obj, name: str, value: Any, shape: Shape) -> None:
    if value is None:
        holder.pop(name, None)
    elif isinstance(value, dict):
        holder[name] = strategic_patched(holder.get(name), value, shape)
    elif isinstance(value, list):
        holder[name] = _merged_list(holder.get(name) or [], value, shape)
    else:
        holder[name] = value


def _merge_key(shape: Shape, items: list[Any]) -> str | None:
    """Return the one key strategic merge knows a list by: the first of server-side apply's."""
    keys = shape.keys_of(items)
    return keys[0] if keys else None


def _merged_list(target: list[Any], patch: list[Any], shape: Shape) -> list[Any]:
    if shape.is_set:
        return target + [item for item in patch if item not in target]
    sample = [
        item for item in [*target, *patch] if not (isinstance(item, dict) and "$patch" in item)
    ]
    key = _merge_key(shape, sample or target or patch)
    if key is None:
        return [copied(item) for item in patch]
    if any(isinstance(item, dict) and item == {_DIRECTIVE: "replace"} for item in patch):
        return [copied(item) for item in patch if item != {_DIRECTIVE: "replace"}]
    result = list(target)
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise bad_request(f"map does not contain declared merge key: {key}")
        position = next((i for i, old in enumerate(result) if old.get(key) == item[key]), None)
        if item.get(_DIRECTIVE) == "delete":
            if position is not None:
                del result[position]
        elif position is None:
            result.append(strategic_patched({}, item, shape.item()))
        else:
            result[position] = strategic_patched(result[position], item, shape.item())
    return result


def _ordered(items: list[Any], order: list[Any], key: str | None) -> list[Any]:
    """Put the listed items in the listed order; others keep their place behind them."""

    def rank(item: Any) -> int:
        wanted = [entry.get(key) if key else entry for entry in order]
        identity = item.get(key) if key else item
        return wanted.index(identity) if identity in wanted else len(wanted)

    return sorted(items, key=rank)
