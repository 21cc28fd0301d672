"""Kubeconfig files that point at the emulator."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CONTEXT = "scanpool-sandbox"


def write_kubeconfig(
    path: Path, url: str, token: str | None = None, namespace: str = "default"
) -> Path:
    """Write a kubeconfig, readable by its owner alone; without a token it is the admin's.

    `namespace` counts where a command or a program names none.
    """
    context = {"cluster": CONTEXT, "user": CONTEXT, "namespace": namespace}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CONTEXT, "cluster": {"server": url}}],
        "users": [{"name": CONTEXT, "user": {"token": token} if token else {}}],
        "contexts": [{"name": CONTEXT, "context": context}],
        "current-context": CONTEXT,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    return path
