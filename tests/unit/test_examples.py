"""The examples: pools that the CRD takes, values that the chart takes, replicas left to pools."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from helm import CHART, ROOT, Document, check_against_openapi, identity, rendered
from scanpool.models.llm import Provider
from scanpool.models.spec import PoolSpec
from scanpool_sandbox.kube import KubeEmulator
from scanpool_sandbox.kube.errors import ApiError

EXAMPLES = ROOT / "examples"
FILES = sorted(EXAMPLES.rglob("*.yaml"))
OBJECTS = [
    pytest.param(document, id=f"{path.relative_to(EXAMPLES)}-{document['kind']}-{number}")
    for path in FILES
    for number, document in enumerate(yaml.safe_load_all(path.read_text()))
]
POOLS = [each for each in OBJECTS if each.values[0]["kind"] == "ScanWorkerPool"]
VERSION = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]


def documents(name: str) -> list[Document]:
    return list(yaml.safe_load_all((EXAMPLES / name).read_text()))


def only(kind: str, name: str) -> Document:
    (found,) = (each for each in documents(name) if each["kind"] == kind)
    return found


def test_the_readme_shows_every_example() -> None:
    shown = re.findall(r"\]\(([\w/-]+\.yaml)\)", (EXAMPLES / "README.md").read_text())
    assert sorted(shown) == [str(path.relative_to(EXAMPLES)) for path in FILES]


@pytest.mark.parametrize("document", OBJECTS)
def test_every_object_is_one_that_kubernetes_takes(document: Document) -> None:
    assert {"apiVersion", "kind", "metadata", "spec"} <= document.keys()
    check_against_openapi(document)


@pytest.fixture
async def kube() -> Any:
    async with KubeEmulator() as emulator:
        definitions = emulator.api.resource("customresourcedefinitions", "apiextensions.k8s.io")
        crd = yaml.safe_load((ROOT / "crds" / "scanworkerpools.yaml").read_text())
        emulator.api.create(definitions, "", crd)
        yield emulator


def create(kube: KubeEmulator, pool: Document) -> Document:
    namespace = pool["metadata"]["namespace"]
    namespaces = kube.api.resource("namespaces")
    kube.api.create(namespaces, "", {"metadata": {"name": namespace}})
    pools = kube.api.resource("scanworkerpools", "scan.eco2.io")
    return dict(kube.api.create(pools, namespace, pool))


@pytest.mark.parametrize("pool", POOLS)
async def test_every_pool_is_one_that_the_crd_takes_whole(
    kube: KubeEmulator, pool: Document
) -> None:
    stored = create(kube, pool)
    assert holds(stored["spec"], pool["spec"]), "the CRD drops a field"
    PoolSpec.model_validate(pool["spec"])


def holds(stored: Any, told: Any) -> bool:
    """Whether everything that was told is there; defaults may be beside it."""
    if isinstance(told, dict):
        return all(name in stored and holds(stored[name], each) for name, each in told.items())
    if isinstance(told, list):
        return len(told) == len(stored) and all(map(holds, stored, told))
    return bool(stored == told)


async def test_a_pool_that_breaks_a_rule_would_be_refused(kube: KubeEmulator) -> None:
    pool = only("ScanWorkerPool", "pools/azure-openai.yaml")
    del pool["spec"]["llm"]["baseUrl"]
    with pytest.raises(ApiError, match="Azure has no common address"):
        create(kube, pool)


def test_there_is_a_pool_for_every_provider() -> None:
    told = {
        only("ScanWorkerPool", f"pools/{name}.yaml")["spec"]["llm"]["provider"] for name in Provider
    }
    assert told == set(Provider)


def test_the_shared_key_is_shared() -> None:
    one, other = (each["spec"]["llm"] for each in documents("shared-key/pools.yaml"))
    assert one["model"] == other["model"]
    assert one["apiKeySecretRef"]["key"] == other["apiKeySecretRef"]["key"]
    assert one["weight"] != other["weight"]
    assert one["usage"]["prometheus"]["ownLabels"] != other["usage"]["prometheus"]["ownLabels"]


def test_without_metrics_the_broker_and_the_bucket_tell_of_a_shared_key() -> None:
    pools = documents("no-metrics/pools.yaml")
    scan, chat = (PoolSpec.model_validate(each["spec"]) for each in pools)
    assert {each["metadata"]["namespace"] for each in pools} == {"scan", "chat"}
    assert scan.llm is not None
    assert chat.llm is not None
    assert (scan.llm.provider, scan.llm.model) == (chat.llm.provider, chat.llm.model)
    told = {"queues", "nodes", "rules", "rates", "paces", "provider"}
    assert scan.readings == chat.readings == told


SAMPLES = [
    document
    for path in (*FILES, *sorted((ROOT / "manifests" / "samples").glob("*.yaml")))
    for document in yaml.safe_load_all(path.read_text())
    if document["kind"] == "ScanWorkerPool"
]


@pytest.mark.parametrize("name", ["scan.rule", "scan.reward"])
def test_a_queue_that_calls_no_llm_costs_no_tokens_in_any_sample(name: str) -> None:
    queues = [
        queue
        for document in SAMPLES
        for queue in PoolSpec.model_validate(document["spec"]).rabbitmq.queues
        if queue.name == name
    ]
    assert queues
    assert all(sum(queue.costs.values()) == 0 for queue in queues)


def test_the_two_models_are_priced_by_name() -> None:
    spec = PoolSpec.model_validate(only("ScanWorkerPool", "two-models/pool.yaml")["spec"])
    assert {
        name for one in spec.rabbitmq.queues for name, each in one.costs.items() if each
    } == set(spec.limits)


def test_the_sample_stays_as_short_as_one_limit_needs() -> None:
    path = ROOT / "manifests" / "samples" / "pool-minimal.yaml"
    spec = yaml.safe_load(path.read_text())["spec"]
    assert set(spec) == {"scaleTargetRef", "maxReplicas", "rabbitmq", "llm"}
    assert set(spec["llm"]) == {"model", "apiKeySecretRef"}


def test_the_celery_pool_scales_the_celery_worker() -> None:
    worker, pool = (
        only("Deployment", "celery/worker.yaml"),
        only("ScanWorkerPool", "celery/pool.yaml"),
    )
    target = pool["spec"]["scaleTargetRef"]["name"]
    assert identity(worker)[1:] == (pool["metadata"]["namespace"], target)
    assert "replicas" not in worker["spec"]
    (container,) = worker["spec"]["template"]["spec"]["containers"]
    assert "livenessProbe" not in container
    queues = [queue["name"] for queue in pool["spec"]["rabbitmq"]["queues"]]
    assert f"--queues={','.join(queues)}" in container["args"]


def test_the_first_day_changes_nothing() -> None:
    assert only("ScanWorkerPool", "observe-first/pool.yaml")["spec"]["mode"] == "Observe"


def test_gitops_installs_this_chart_with_values_that_it_takes() -> None:
    application = only("Application", "argocd/scanpool.yaml")["spec"]
    release = only("HelmRelease", "flux/scanpool.yaml")["spec"]
    source = only("OCIRepository", "flux/scanpool.yaml")
    assert application["source"]["chart"] == source["spec"]["url"].rpartition("/")[2] == CHART.name
    assert application["source"]["targetRevision"] == source["spec"]["ref"]["tag"] == VERSION
    assert release["chartRef"] == {"kind": "OCIRepository", "name": source["metadata"]["name"]}
    subject = source["spec"]["verify"]["matchOIDCIdentity"][0]["subject"]
    assert subject.endswith(f"@refs/tags/v{re.escape(VERSION)}$")
    assert (ROOT / ".github" / "workflows" / "release.yml").exists()
    for values, namespace in (
        (application["source"]["helm"]["valuesObject"], application["destination"]["namespace"]),
        (release["values"], release["targetNamespace"]),
    ):
        made = rendered(values, namespace=namespace)
        assert {"ServiceMonitor", "PrometheusRule"} <= {each["kind"] for each in made}


def test_argo_cd_leaves_replicas_alone_when_it_looks_and_when_it_syncs() -> None:
    application = only("Application", "argocd/workers.yaml")["spec"]
    (ignored,) = application["ignoreDifferences"]
    assert (ignored["group"], ignored["kind"]) == ("apps", "Deployment")
    assert ignored["jsonPointers"] == ["/spec/replicas"]
    assert "RespectIgnoreDifferences=true" in application["syncPolicy"]["syncOptions"]


def test_flux_takes_replicas_out_of_the_manifest() -> None:
    (patch,) = only("Kustomization", "flux/workers.yaml")["spec"]["patches"]
    assert patch["target"]["kind"] == "Deployment"
    assert yaml.safe_load(patch["patch"]) == [{"op": "remove", "path": "/spec/replicas"}]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_no_example_holds_a_secret(path: Path) -> None:
    text = path.read_text()
    assert "kind: Secret" not in text
    assert not re.search(
        r"sk-[A-Za-z0-9_-]{8,}|://[^/\s]*:[^/\s]*@", text.replace("user:password@", "")
    )
