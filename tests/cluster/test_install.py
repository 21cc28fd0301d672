"""What an install applies, as the server under contract takes it; nothing is left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from helm import ROOT, Document, rendered

if TYPE_CHECKING:
    from collections.abc import Callable

    from cluster.access import Cluster

NAMESPACE = "scanpool-system"


def base() -> list[Document]:
    """The CRD and manifests/base but for its namespace, which the server would have to have."""
    paths = [*(ROOT / "crds").glob("*.yaml"), *(ROOT / "manifests" / "base").glob("*.yaml")]
    kept = [one for one in paths if one.name not in {"kustomization.yaml", "namespace.yaml"}]
    return [yaml.safe_load(path.read_text()) for path in kept]


@pytest.mark.parametrize("source", [base, rendered], ids=["base", "chart"])
def test_the_server_takes_every_object_and_every_field(
    cluster: Cluster, source: Callable[[], list[Document]]
) -> None:
    documents = source()
    text = yaml.safe_dump_all(documents).replace(NAMESPACE, cluster.namespace)

    said = cluster.kubectl("apply", "--dry-run=server", "-f", "-", stdin=text).splitlines()

    lines = [line for line in said if line.endswith("(server dry run)")]
    assert len(lines) == len(documents)
    assert [line for line in said if "unknown field" in line] == []
    deployment = f"/apis/apps/v1/namespaces/{cluster.namespace}/deployments/scanpool"
    assert cluster.get(deployment).code == 404
