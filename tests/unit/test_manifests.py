"""What a cluster gets: the manifests against Kubernetes' rules, the CRD and the code they start."""

import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from promql import alert_rules
from scanpool import cli, settings
from scanpool.kube import rights
from scanpool.models.conditions import ConditionType, LimitedBy
from scanpool.models.spec import PoolSpec
from scanpool.report.lease_metrics import LeaseMetrics
from scanpool.report.loop_metrics import LoopMetrics
from scanpool.report.metrics import Metrics
from scanpool_sandbox import cli as sandbox_cli

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "manifests"
BASE, SAMPLES, MONITORING = MANIFESTS / "base", MANIFESTS / "samples", MANIFESTS / "monitoring"
KIND = MANIFESTS / "overlays" / "kind"
KEDA = MANIFESTS / "overlays" / "keda"
KUSTOMIZATIONS = (BASE, SAMPLES, MONITORING, KIND, KEDA)
BASES = {KIND: {BASE, SAMPLES}, KEDA: {BASE}}
"""What each overlay takes over."""

NOT_KUSTOMIZED = {SAMPLES / "pool-minimal.yaml", SAMPLES / "chat.yaml", KIND / "users.yaml"}
"""Applied one at a time, by their names."""

GRANTED = {
    ("scan.eco2.io", "scanworkerpools"): {"list", "watch"},
    ("scan.eco2.io", "scanworkerpools/status"): {"patch"},
    ("apps", "deployments"): {"list", "watch"},
    ("apps", "deployments/scale"): {"get", "patch"},
    ("apps", "statefulsets"): {"list", "watch"},
    ("apps", "statefulsets/scale"): {"get", "patch"},
    ("", "nodes"): {"list", "watch"},
    ("", "pods"): {"list", "patch", "watch"},
    ("", "resourcequotas"): {"list", "watch"},
    ("", "limitranges"): {"list", "watch"},
    ("autoscaling", "horizontalpodautoscalers"): {"list", "watch"},
    ("keda.sh", "scaledobjects"): {"list", "watch"},
    ("metrics.k8s.io", "nodes"): {"list"},
    ("metrics.k8s.io", "pods"): {"list"},
    ("", "secrets"): {"get"},
    ("", "events"): {"create"},
}
REAL_LOOKING = re.compile(
    r"sk-(proj-|svcacct-)?[A-Za-z0-9_-]{20,}|AKIA[A-Z0-9]{16}|BEGIN .*PRIVATE"
)

Document = Mapping[str, Any]


def documents_of(path: Path) -> list[Document]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document is not None]


FILES = sorted(
    path
    for path in (*MANIFESTS.rglob("*.yaml"), *(ROOT / "crds").glob("*.yaml"))
    if path.name != "kustomization.yaml"
)
OBJECTS = [(path, document) for path in FILES for document in documents_of(path)]
PODS = [
    pytest.param(document["spec"]["template"]["spec"], id=f"{path.stem}-{document['kind']}")
    for path, document in OBJECTS
    if document["kind"] in {"Deployment", "Job"}
]
POOLS = [
    pytest.param(document, id=path.stem)
    for path, document in OBJECTS
    if document["kind"] == "ScanWorkerPool"
]


def only(kind: str, path: Path) -> Document:
    (found,) = (document for document in documents_of(path) if document["kind"] == kind)
    return found


def every(key: str, document: object) -> Iterator[Any]:
    """Yield every value under a key, at any depth."""
    if isinstance(document, Mapping):
        for name, value in document.items():
            if name == key:
                yield value
            yield from every(key, value)
    elif isinstance(document, list):
        for item in document:
            yield from every(key, item)


def identity(document: Document) -> tuple[str, str, str]:
    # A generated ConfigMap ends in a hash of its content.
    metadata = document["metadata"]
    return document["kind"], metadata.get("namespace", ""), metadata["name"]


@pytest.mark.parametrize(
    "path",
    [
        ROOT / "kind-config.yaml",
        ROOT / ".github" / "workflows" / "ci.yml",
        KIND / "prometheus.yml",
        *(directory / "kustomization.yaml" for directory in KUSTOMIZATIONS),
    ],
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_configuration_is_yaml(path: Path) -> None:
    (document,) = documents_of(path)
    assert isinstance(document, dict)


@pytest.mark.parametrize(
    ("path", "document"), OBJECTS, ids=lambda value: getattr(value, "stem", "")
)
def test_every_document_is_an_object(path: Path, document: Document) -> None:
    assert {"apiVersion", "kind", "metadata"} <= document.keys(), path


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("directory", KUSTOMIZATIONS, ids=lambda path: path.name)
def test_kustomization_builds_all_its_files(directory: Path) -> None:
    built = subprocess.run(
        ["kubectl", "kustomize", directory], capture_output=True, text=True, check=False, timeout=60
    )
    assert built.returncode == 0, built.stderr
    expected = {
        identity(document)
        for path, document in OBJECTS
        if path not in NOT_KUSTOMIZED and path.parent in {directory, *BASES.get(directory, ())}
    }
    objects = {identity(document) for document in yaml.safe_load_all(built.stdout)}
    generated = {found for found in objects if found[0] == "ConfigMap"}
    assert objects - generated == expected
    assert len(generated) == (directory in {KIND, MONITORING})


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_grafanas_sidecar_finds_the_dashboard() -> None:
    built = subprocess.run(
        ["kubectl", "kustomize", MONITORING], capture_output=True, text=True, check=True, timeout=60
    )
    (config,) = (each for each in yaml.safe_load_all(built.stdout) if each["kind"] == "ConfigMap")
    # The label and the name that the chart of Grafana has by default.
    assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert identity(config) == ("ConfigMap", "scanpool-system", "scanpool-dashboard")
    assert config["data"] == {"dashboard.json": (MONITORING / "dashboard.json").read_text()}


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_the_overlay_for_keda_changes_nothing_but_to_answer_it() -> None:
    built = subprocess.run(
        ["kubectl", "kustomize", KEDA], capture_output=True, text=True, check=True, timeout=60
    )
    made = {identity(document): document for document in yaml.safe_load_all(built.stdout)}
    for path, document in OBJECTS:
        if path.parent == BASE and document["kind"] != "Deployment":
            assert made[identity(document)] == document
    deployment = made["Deployment", "scanpool-system", "scanpool"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    told = settings.from_arguments(cli._parser().parse_args(container["args"]))
    service = made["Service", "scanpool-system", "scanpool-keda"]["spec"]

    (port,) = service["ports"]
    (there,) = (one for one in container["ports"] if one["name"] == port["targetPort"])
    assert told == settings.Settings(keda=settings.KedaScaler(there["containerPort"]))
    assert port["port"] == there["containerPort"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["selector"].items() <= labels.items()
    container["args"] = container["args"][:-2]
    container["ports"].remove(there)
    assert deployment == only("Deployment", BASE / "deployment.yaml")


@pytest.mark.parametrize("pool", POOLS)
def test_pool_is_valid(pool: Document) -> None:
    PoolSpec.model_validate(pool["spec"])


@pytest.mark.parametrize("pool", POOLS)
def test_pool_has_no_field_that_the_crd_would_drop(pool: Document) -> None:
    crd = only("CustomResourceDefinition", ROOT / "crds" / "scanworkerpools.yaml")
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert list(unknown_fields(schema, pool["spec"])) == []


def unknown_fields(schema: Document, value: object, place: str = "spec") -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name in schema["properties"]:
                yield from unknown_fields(schema["properties"][name], inner, f"{place}.{name}")
            else:
                yield f"{place}.{name}"
    elif isinstance(value, list):
        for item in value:
            yield from unknown_fields(schema["items"], item, f"{place}[]")


def test_both_sample_pools_are_one_object() -> None:
    # Two pools with one Deployment would fight over it.
    full, minimal = (
        only("ScanWorkerPool", SAMPLES / name) for name in ("pool.yaml", "pool-minimal.yaml")
    )
    assert identity(full) == identity(minimal)


def test_pool_scales_the_sample_deployment() -> None:
    pool = only("ScanWorkerPool", SAMPLES / "pool.yaml")
    worker = only("Deployment", SAMPLES / "deployment.yaml")
    target = pool["spec"]["scaleTargetRef"]["name"]
    assert (pool["metadata"]["namespace"], target) == identity(worker)[1:]


def test_sample_deployment_leaves_replicas_to_the_pool() -> None:
    assert "replicas" not in only("Deployment", SAMPLES / "deployment.yaml")["spec"]


def test_secret_has_the_keys_that_are_asked_for() -> None:
    secrets = {
        document["metadata"]["name"]: document["stringData"].keys()
        for _, document in OBJECTS
        if document["kind"] == "Secret"
    }
    asked = [
        reference
        for _, document in OBJECTS
        if document["kind"] != "CustomResourceDefinition"
        for name in ("secretKeyRef", "urlSecretRef", "managementUrlSecretRef", "apiKeySecretRef")
        for reference in every(name, document)
    ]
    assert asked
    assert {reference["name"] for reference in asked} == secrets.keys()
    assert all(reference["key"] in secrets[reference["name"]] for reference in asked)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_file_holds_a_real_looking_key(path: Path) -> None:
    assert REAL_LOOKING.search(path.read_text()) is None


def test_kind_broker_has_the_user_of_the_secret() -> None:
    broker = only("Deployment", KIND / "rabbitmq.yaml")["spec"]["template"]["spec"]["containers"][0]
    environment = {variable["name"]: variable["value"] for variable in broker["env"]}
    user, password, vhost = (
        environment[f"RABBITMQ_DEFAULT_{x}"] for x in ("USER", "PASS", "VHOST")
    )
    urls = only("Secret", SAMPLES / "secret.yaml")["stringData"]
    for name in ("CELERY_BROKER_URL", "RABBITMQ_API_URL"):
        assert f"//{user}:{password}@" in urls[name]
        assert urls[name].endswith(f"/{vhost}")


def test_cluster_role_grants_exactly_what_is_used() -> None:
    granted: dict[tuple[str, str], set[str]] = {}
    for rule in only("ClusterRole", BASE / "clusterrole.yaml")["rules"]:
        assert rule.keys() == {"apiGroups", "resources", "verbs"}
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                granted.setdefault((group, resource), set()).update(rule["verbs"])
    assert granted == GRANTED


def test_the_rules_of_other_kinds_are_gathered_from_whoever_adds_them() -> None:
    gathering = only("ClusterRole", BASE / "targets-role.yaml")
    # Kubernetes writes them: an apply must not take them away.
    assert "rules" not in gathering
    (selector,) = gathering["aggregationRule"]["clusterRoleSelectors"]
    ((label, value),) = selector["matchLabels"].items()
    assert f'{label}: "{value}"' == rights.AGGREGATED
    samples = sorted((SAMPLES / "targets").glob("*.yaml"))
    assert len(samples) == 2
    for path in samples:
        role = only("ClusterRole", path)
        assert role["metadata"]["labels"] == selector["matchLabels"]
        watched, scaled = role["rules"]
        (group,), (plural,) = watched["apiGroups"], watched["resources"]
        assert watched["verbs"] == ["list", "watch"]
        assert scaled == {
            "apiGroups": [group], "resources": [f"{plural}/scale"], "verbs": ["get", "patch"],
        }  # fmt: skip


@pytest.mark.parametrize(
    ("file", "role"),
    [("clusterrolebinding.yaml", "scanpool"), ("targets-rolebinding.yaml", "scanpool-targets")],
)
def test_cluster_roles_are_bound_to_the_operator(file: str, role: str) -> None:
    binding = only("ClusterRoleBinding", BASE / file)
    account = only("ServiceAccount", BASE / "serviceaccount.yaml")
    operator = only("Deployment", BASE / "deployment.yaml")
    assert binding["roleRef"]["name"] == role
    assert [identity({**subject, "metadata": subject}) for subject in binding["subjects"]] == [
        identity(account)
    ]
    pod = operator["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == account["metadata"]["name"]


@pytest.mark.parametrize("pod", PODS)
def test_pod_meets_the_restricted_standard(pod: Document) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    # A name would leave the kubelet unable to tell that it is not root.
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert "privileged" not in security


@pytest.mark.parametrize("pod", PODS)
def test_pod_says_what_it_takes(pod: Document) -> None:
    for container in pod["containers"]:
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("pod", PODS)
def test_probes_ask_ports_that_exist(pod: Document) -> None:
    for container in pod["containers"]:
        ports = {port["name"] for port in container.get("ports", ())}
        probes = [
            container[name]
            for name in ("startupProbe", "livenessProbe", "readinessProbe")
            if name in container
        ]
        assert set(every("port", probes)) <= ports


def test_operator_serves_the_ports_that_are_named() -> None:
    operator = only("Deployment", BASE / "deployment.yaml")["spec"]
    (container,) = operator["template"]["spec"]["containers"]
    arguments = cli._parser().parse_args(container["args"])
    served = settings.from_arguments(arguments)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"health": served.health_port, "metrics": served.metrics_port}
    assert served.json_logs


def test_operator_has_one_lease_of_its_own() -> None:
    role = only("Role", BASE / "lease-role.yaml")
    granted = {
        (group, resource, verb, *rule.get("resourceNames", ()))
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    lease = settings.Election().lease
    assert granted == {
        ("coordination.k8s.io", "leases", "create"),
        ("coordination.k8s.io", "leases", "get", lease),
        ("coordination.k8s.io", "leases", "update", lease),
    }
    binding = only("RoleBinding", BASE / "lease-rolebinding.yaml")
    account = only("ServiceAccount", BASE / "serviceaccount.yaml")
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert [identity({**each, "metadata": each}) for each in binding["subjects"]] == [
        identity(account)
    ]
    homes = {each["metadata"]["namespace"] for each in (role, binding, account)}
    assert homes == {"scanpool-system"}


def test_operator_loses_one_of_its_two_replicas_at_a_time() -> None:
    operator = only("Deployment", BASE / "deployment.yaml")["spec"]
    assert operator["replicas"] == 2
    rolling = {"maxSurge": 1, "maxUnavailable": 0}
    assert operator["strategy"] == {"type": "RollingUpdate", "rollingUpdate": rolling}
    budget = only("PodDisruptionBudget", BASE / "poddisruptionbudget.yaml")["spec"]
    assert budget["maxUnavailable"] == 1
    (term,) = operator["template"]["spec"]["affinity"]["podAntiAffinity"][
        "preferredDuringSchedulingIgnoredDuringExecution"
    ]
    assert term["podAffinityTerm"]["topologyKey"] == "kubernetes.io/hostname"
    selectors = (budget["selector"], term["podAffinityTerm"]["labelSelector"])
    assert all(selector == operator["selector"] for selector in selectors)


def test_operator_is_a_read_only_process() -> None:
    operator = only("Deployment", BASE / "deployment.yaml")["spec"]
    (container,) = operator["template"]["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {"startupProbe", "livenessProbe", "readinessProbe"} <= container.keys()


@pytest.mark.parametrize(
    "path",
    [BASE, KIND / "rabbitmq.yaml", KIND / "openai.yaml", KIND / "prometheus.yaml"],
    ids=lambda path: path.stem,
)
def test_service_leads_to_its_pods(path: Path) -> None:
    if path.is_dir():
        service = only("Service", path / "service.yaml")
        deployment = only("Deployment", path / "deployment.yaml")
    else:
        service, deployment = only("Service", path), only("Deployment", path)
    template = deployment["spec"]["template"]
    assert service["metadata"]["namespace"] == deployment["metadata"]["namespace"]
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    ports = {port["name"] for port in template["spec"]["containers"][0]["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


@pytest.mark.parametrize("pod", PODS)
def test_sandbox_commands_are_ones_it_knows(pod: Document) -> None:
    for container in pod["containers"]:
        command = [*container.get("command", ()), *container.get("args", ())]
        if command[:1] == ["scanpool-sandbox"]:
            # Leaves with SystemExit, and says why on stderr, where it knows them not.
            sandbox_cli._parser().parse_args(command[1:])


def test_images_are_of_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ours = {
        image
        for _, document in OBJECTS
        for image in every("image", document)
        if isinstance(image, str) and image.startswith("scanpool")
    }
    version = project["version"]
    assert ours == {f"scanpool:{version}", f"scanpool-sandbox:{version}"}
    assert f"readonly VERSION={version}\n" in (ROOT / "scripts" / "kind.sh").read_text()
    assert f'image.version="{version}"' in (ROOT / "Dockerfile").read_text()


def test_alerts_ask_for_metrics_and_labels_that_exist() -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    LoopMetrics(registry)
    LeaseMetrics(registry, "scanpool", lambda: True)
    families = list(registry.collect())
    known = {
        f"{family.name}_total" if family.type == "counter" else family.name for family in families
    }
    expressions = {rule["alert"]: rule["expr"] for rule in alert_rules()}
    labels = {"type": set(ConditionType), "limit": set(LimitedBy)}
    for alert, expression in expressions.items():
        assert set(re.findall(r"\bscanpool_\w+", expression)) <= known, alert
        for label, values in labels.items():
            for match in re.findall(rf'\b{label}=~?"([^"]*)"', expression):
                assert set(match.split("|")) <= values, alert
