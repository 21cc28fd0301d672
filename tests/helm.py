"""The chart as helm sees it; `make test` puts helm where it is looked for."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

ROOT = Path(__file__).parents[1]
CHART = ROOT / "charts" / "scanpool"
SECONDS = 120.0

OLDEST, NEWEST = "1.25", "1.37"
"""The oldest Kubernetes that takes the CRD, and the newest that the schemas are there for."""
# Kinds of CRDs: Kubernetes' own OpenAPI knows nothing of them.
FOREIGN = frozenset(
    {"monitoring.coreos.com", "scan.eco2.io", "argoproj.io", "helm.toolkit.fluxcd.io",
     "kustomize.toolkit.fluxcd.io", "source.toolkit.fluxcd.io"}
)  # fmt: skip

Document = dict[str, Any]


def helm(*words: str | Path, kubeconfig: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run helm with nothing of this machine's settings."""
    command = shutil.which(
        "helm", path=f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}"
    )
    assert command is not None, "there is no helm: run scripts/helm.py, as `make test` does"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HELM_")}
    # A kubeconfig that is not there: what needs no cluster must not find one by chance.
    environment["KUBECONFIG"] = str(kubeconfig or CHART / "no-kubeconfig")
    return subprocess.run(
        [command, *words], env=environment, capture_output=True, text=True, timeout=SECONDS,
        check=False,
    )  # fmt: skip


def rendered(
    values: Mapping[str, Any] | None = None,
    *,
    namespace: str = "scanpool-system",
    chart: Path = CHART,
    release: str = "scanpool",
) -> list[Document]:
    """Return the objects that `helm template` makes."""
    told = [
        word
        for name, value in (values or {}).items()
        for word in ("--set-json", f"{name}={json.dumps(value)}")
    ]
    made = helm("template", release, chart, "--namespace", namespace, *told)
    assert made.returncode == 0, made.stderr
    return [document for document in yaml.safe_load_all(made.stdout) if document is not None]


def identity(document: Document) -> tuple[str, str, str]:
    """Return an object's kind, namespace and name."""
    metadata = document["metadata"]
    return document["kind"], metadata.get("namespace", ""), metadata["name"]


def check_against_openapi(document: Document) -> None:
    """Raise unless both versions of Kubernetes know every field of an object, and its type."""
    if document["apiVersion"].partition("/")[0] in FOREIGN:
        return
    for version in (OLDEST, NEWEST):
        kubernetes_validate.validate(document, version, strict=True)
