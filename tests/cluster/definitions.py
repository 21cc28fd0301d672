"""The CRD the contract suite works on, with one of everything the product's CRD uses."""

from __future__ import annotations

from typing import Any

Obj = dict[str, Any]

_CONDITION = {
    "type": "object",
    "required": ["type", "status"],
    "properties": {"type": {"type": "string"}, "status": {"type": "string"}},
}
_ITEM = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 20},
        "weight": {"type": "integer", "default": 1, "minimum": 0},
    },
    "x-kubernetes-validations": [{"rule": "self.weight < 100", "message": "weight is too large"}],
}
SPEC: Obj = {
    "type": "object",
    "description": "What the widget should be.",
    "required": ["size"],
    "properties": {
        "size": {"type": "integer", "minimum": 1, "description": "How large it is."},
        "max": {"type": "integer", "default": 100, "maximum": 1000},
        "replicas": {"type": "integer", "minimum": 0},
        "mode": {"type": "string", "enum": ["Fast", "Slow"], "default": "Fast"},
        "code": {"type": "string", "pattern": "^[a-z]+$"},
        "ratio": {
            "type": "number",
            "minimum": 0,
            "exclusiveMinimum": True,
            "maximum": 1,
        },
        "port": {"x-kubernetes-int-or-string": True},
        "note": {"type": "string", "nullable": True},
        "fixed": {
            "type": "string",
            "x-kubernetes-validations": [
                {"rule": "self == oldSelf", "message": "fixed cannot be changed"}
            ],
        },
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "limits": {
            "type": "object",
            "default": {},
            "properties": {"depth": {"type": "integer", "default": 7}},
        },
        "tags": {
            "type": "array",
            "x-kubernetes-list-type": "set",
            "maxItems": 5,
            "items": {"type": "string", "maxLength": 10},
        },
        "items": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "maxItems": 4,
            "items": _ITEM,
        },
    },
    "x-kubernetes-validations": [
        {
            "rule": "self.size <= self.max",
            "message": "size must not be larger than max",
        },
        {
            "rule": "!has(self.replicas) || self.replicas <= self.size",
            "message": "replicas must not be larger than size",
        },
    ],
}
SCHEMA: Obj = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "spec": SPEC,
        "status": {
            "type": "object",
            "properties": {
                "replicas": {"type": "integer"},
                "selector": {"type": "string"},
                "conditions": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["type"],
                    "items": _CONDITION,
                },
            },
        },
    },
}
COLUMNS = [
    {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
    {
        "name": "Ready",
        "type": "string",
        "jsonPath": '.status.conditions[?(@.type=="Ready")].status',
    },
    {"name": "Mode", "type": "string", "jsonPath": ".spec.mode", "priority": 1},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
]


def definition(group: str, plural: str, kind: str, schema: Obj) -> Obj:
    """A CRD with /status, one version and the schema."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}},
                }
            ],
        },
    }


def widgets(group: str) -> Obj:
    """The suite's main CRD."""
    crd = definition(group, "widgets", "Widget", SCHEMA)
    crd["spec"]["names"]["shortNames"] = ["wdg"]
    version = crd["spec"]["versions"][0]
    version["additionalPrinterColumns"] = COLUMNS
    version["subresources"]["scale"] = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    return crd
