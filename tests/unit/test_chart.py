"""The chart against manifests/base, Kubernetes' OpenAPI and what its values promise."""

import json
import re
import runpy
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from helm import CHART, ROOT, Document, check_against_openapi, helm, identity, rendered
from scanpool import cli, settings
from scanpool.kube.accounts import NAME

BASE, MONITORING, CRDS = (
    ROOT / path for path in ("manifests/base", "manifests/monitoring", "crds")
)
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "chart.py"))
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())

REUSE = "--reset-then-reuse-values"
KEEP = {"helm.sh/resource-policy": "keep"}
DIGEST = f"sha256:{'0123456789abcdef' * 4}"
OF_THE_CLUSTER = {"nodes"}
"""The resources, of those that the operator may ever ask for, that are in no namespace."""
EVERYTHING: dict[str, Any] = {
    "commonLabels": {"team": "scan"},
    "podAnnotations": {"note": "1"},
    "imagePullSecrets": [{"name": "registry"}],
    "image": {"repository": "r.example/scanpool", "digest": DIGEST, "pullPolicy": "Always"},
    "resources": {"limits": {"memory": "512Mi"}},
    "env": [{"name": "SSL_CERT_FILE", "value": "/ca/bundle.pem"}],
    "volumes": [{"name": "ca", "configMap": {"name": "ca"}}],
    "volumeMounts": [{"name": "ca", "mountPath": "/ca"}],
    "nodeSelector": {"pool": "system"},
    "tolerations": [{"key": "system", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "system-cluster-critical",
    "podDisruptionBudget": {"maxUnavailable": 0},
    "networkPolicy": {
        "enabled": True,
        "metricsFrom": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}],
    },
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
    "dashboard": {"enabled": True, "annotations": {"folder": "LLM"}},
}
TARGETS = [
    {"group": "argoproj.io", "plural": "rollouts"},
    {"group": "", "plural": "replicationcontrollers"},
]
NAMESPACED: dict[str, Any] = {"watchNamespaces": ["scan", "chat"]}
KEDA: dict[str, Any] = {
    "kedaScaler": {"enabled": True, "tlsSecretName": "keda-tls", "clientCertificates": True},
    "networkPolicy": {
        "enabled": True,
        "kedaFrom": [{"namespaceSelector": {"matchLabels": {"name": "keda"}}}],
    },
}


def documents_in(directory: Path) -> list[Document]:
    return [
        document
        for path in sorted(directory.glob("*.yaml"))
        if path.name != "kustomization.yaml"
        for document in yaml.safe_load_all(path.read_text())
    ]


def only(kind: str, documents: list[Document]) -> Document:
    (found,) = (document for document in documents if document["kind"] == kind)
    return found


def called(name: str, kind: str, documents: list[Document]) -> Document:
    return only(kind, [one for one in documents if one["metadata"]["name"] == name])


def container_of(documents: list[Document]) -> Document:
    (container,) = only("Deployment", documents)["spec"]["template"]["spec"]["containers"]
    return dict(container)


def grants(rules: list[Document]) -> set[tuple[str, str, str]]:
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_files_and_readme_are_those_that_make_chart_writes() -> None:
    copies = SCRIPT["copies"]()
    there = {path for path in (CHART / "files").rglob("*") if path.is_file()}
    assert there == set(copies), "run `make chart`"
    for path, content in copies.items():
        assert path.read_text() == content, f"{path.name}: run `make chart`"
    assert (CHART / "README.md").read_text() == SCRIPT["readme"](), "run `make chart`"


def test_the_default_install_is_the_base_and_the_crds() -> None:
    # The namespace is the release's: helm makes it, and `kubectl apply -k` takes it from the base.
    expected = {
        identity(document): document
        for document in (*documents_in(BASE), *documents_in(CRDS))
        if document["kind"] != "Namespace"
    }
    made = {identity(document): document for document in rendered()}
    for document in made.values():
        if document["kind"] == "CustomResourceDefinition":
            assert document["metadata"].pop("annotations") == KEEP
    assert made.keys() == expected.keys()
    for name, document in made.items():
        assert document == expected[name]


@pytest.mark.parametrize(
    "values", [{}, EVERYTHING, NAMESPACED, {**NAMESPACED, "rbac.nodes": True}, KEDA]
)
def test_every_object_is_one_that_kubernetes_takes(values: Mapping[str, Any]) -> None:
    for document in rendered(values):
        check_against_openapi(document)


def test_the_check_of_objects_knows_a_wrong_field() -> None:
    deployment = only("Deployment", rendered())
    deployment["spec"]["template"]["spec"]["containers"][0]["imagePolicy"] = "Always"
    with pytest.raises(Exception, match="imagePolicy"):
        check_against_openapi(deployment)


@pytest.mark.parametrize("path", sorted(Path(ROOT, "manifests").rglob("*.yaml")), ids=str)
def test_every_manifest_is_one_that_kubernetes_takes(path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text()):
        if document["kind"] != "Kustomization":
            check_against_openapi(document)


@pytest.mark.parametrize("values", [{}, EVERYTHING, NAMESPACED, KEDA])
def test_helm_finds_nothing_to_complain_of(values: Mapping[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "values.yaml"
    path.write_text(yaml.safe_dump(dict(values)))
    checked = helm("lint", "--strict", CHART, "--values", path)
    assert checked.returncode == 0, checked.stdout
    assert "[WARNING]" not in checked.stdout


def test_every_value_does_something() -> None:
    # With one value changed, something else is made. `replicas` and the rest are below.
    plain = rendered()
    for name, value in EVERYTHING.items():
        if name != "dashboard":
            assert rendered({name: value}) != plain, name


def test_every_value_is_described_and_every_description_has_a_value() -> None:
    described = {path: default for path, default, _ in SCRIPT["described"]()}

    def leaves(values: Mapping[str, Any], within: str = "") -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in values.items():
            path = f"{within}{name}"
            if path not in described and isinstance(value, dict):
                found |= leaves(value, f"{path}.")
            else:
                found[path] = value
        return found

    assert leaves(VALUES) == described


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"replicas": -1}, "/replicas"),
        ({"shards": {"A b": "shard=a"}}, "'A b' does not match pattern"),
        ({"shards": {"a": ""}}, "/shards/a"),
        ({"replicas": "1"}, "/replicas"),
        ({"imagee": {}}, "imagee"),
        ({"image": {"digest": "latest"}}, "/image/digest"),
        ({"image": {"repository": ""}}, "/image/repository"),
        ({"watchNamespaces": ["Scan"]}, "/watchNamespaces/0"),
        ({"targets": [{"plural": "rollouts"}]}, "/targets/0"),
        ({"targets": [{"group": "argoproj.io", "plural": "rollouts/scale"}]}, "/targets/0/plural"),
        ({"targets": [{"group": "*", "plural": "rollouts"}]}, "/targets/0/group"),
        ({"watchNamespaces": ["scan", "scan"]}, "/watchNamespaces"),
        ({"watchNamespaces": "scan"}, "/watchNamespaces"),
        ({"networkPolicy": {"egress": {"dns": {"ports": []}}}}, "/networkPolicy/egress/dns/ports"),
        ({"networkPolicy": {"egress": {"redis": {}}}}, "redis"),
        ({"networkPolicy": {"metricsFrom": [{}]}}, "/networkPolicy/metricsFrom/0"),
        ({"env": [{"value": "1"}]}, "/env/0"),
        (
            {"podDisruptionBudget": {"maxUnavailable": "150%"}},
            "/podDisruptionBudget/maxUnavailable",
        ),
        # Nothing of it is left to do without.
        ({"image": None}, "'image'"),
        ({"image": {"repository": None}}, "'repository'"),
        ({"replicas": None}, "'replicas'"),
        ({"podDisruptionBudget": {"maxUnavailable": None}}, "'maxUnavailable'"),
        ({"kedaScaler": {"port": 1}}, "port"),
        (
            {"kedaScaler": {"enabled": True, "clientCertificates": True}},
            "kedaScaler.clientCertificates needs kedaScaler.tlsSecretName",
        ),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(
    values: Mapping[str, Any], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "values.yaml"
    path.write_text(yaml.safe_dump(dict(values)))
    refused = helm("template", "scanpool", CHART, "--values", path)
    assert refused.returncode != 0
    assert words in refused.stderr


def test_the_operator_can_be_stopped() -> None:
    assert only("Deployment", rendered({"replicas": 0}))["spec"]["replicas"] == 0


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ({}, "scanpool:0.1.0"),
        ({"repository": "r.example/a/scanpool"}, "r.example/a/scanpool:0.1.0"),
        ({"tag": "edge"}, "scanpool:edge"),
        ({"tag": "edge", "digest": DIGEST}, f"scanpool@{DIGEST}"),
    ],
)
def test_image(image: Mapping[str, str], expected: str) -> None:
    assert container_of(rendered({"image": image}))["image"] == expected


def test_what_is_not_told_stays_as_in_the_base() -> None:
    made = container_of(rendered(EVERYTHING))
    (base,) = only("Deployment", documents_in(BASE))["spec"]["template"]["spec"]["containers"]
    assert made["resources"] == {**base["resources"], "limits": {"memory": "512Mi"}}
    assert {**base, **made} == made


NEEDED = {"image", "replicas"}
"""What a chart cannot do without."""
INNER_NULLS: dict[str, Any] = {
    "image": {"tag": None, "digest": None, "pullPolicy": None},
    "rbac": {"nodes": None, "secretNames": None},
    "crds": {"install": None},
    "podDisruptionBudget": {"enabled": None},
    "networkPolicy": {
        "enabled": True,
        "metricsFrom": None,
        "kedaFrom": None,
        "egress": {"dns": None},
    },
    "kedaScaler": {"enabled": True, "tlsSecretName": None, "clientCertificates": None},
    "serviceMonitor": {"enabled": True, "labels": None},
    "prometheusRule": {"enabled": True, "labels": None},
    "dashboard": {"enabled": True, "labels": None, "annotations": None},
}


@pytest.mark.parametrize("values", [dict.fromkeys(VALUES.keys() - NEEDED), INNER_NULLS])
def test_a_null_takes_a_value_away_and_leaves_the_rest_whole(values: Mapping[str, Any]) -> None:
    made = rendered(values)
    assert {"Deployment", "Service"} <= {each["kind"] for each in made}
    for document in made:
        check_against_openapi(document)
        assert not nulls(document)


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (None, {"requests": {"cpu", "memory"}, "limits": {"memory"}}),
        ({"limits": None}, {"requests": {"cpu", "memory"}}),
        (
            {"limits": {"memory": None, "cpu": 1}},
            {"requests": {"cpu", "memory"}, "limits": {"cpu"}},
        ),
        ({"requests": {"cpu": None}}, {"requests": {"memory"}, "limits": {"memory"}}),
    ],
)
def test_resources_can_be_taken_away(resources: object, expected: Mapping[str, set[str]]) -> None:
    made = container_of(rendered({"resources": resources}))["resources"]
    assert {kind: set(amounts) for kind, amounts in made.items()} == expected


def nulls(found: object) -> bool:
    if isinstance(found, dict):
        return any(map(nulls, found.values()))
    return any(map(nulls, found)) if isinstance(found, list) else found is None


def test_common_labels_are_on_every_object_and_never_select() -> None:
    for document in rendered(EVERYTHING):
        labels = document["metadata"]["labels"]
        if document["kind"] != "ConfigMap":
            assert labels["team"] == "scan", identity(document)
    selectors = [
        only("Deployment", rendered(EVERYTHING))["spec"]["selector"]["matchLabels"],
        only("Service", rendered(EVERYTHING))["spec"]["selector"],
    ]
    assert selectors == [{"app.kubernetes.io/name": "scanpool"}] * 2


def test_the_release_has_its_objects_in_its_namespace_whatever_it_is_called() -> None:
    made = rendered(EVERYTHING, namespace="tools", release="mine")
    assert {identity(document)[1] for document in made} == {"", "tools"}
    bindings = [document for document in made if document["kind"] == "ClusterRoleBinding"]
    assert len(bindings) == 2
    for binding in bindings:
        (subject,) = binding["subjects"]
        assert (subject["namespace"], subject["name"]) == ("tools", "scanpool")


def test_named_namespaces_get_a_role_each_and_the_cluster_none() -> None:
    made = rendered(NAMESPACED)
    kinds = [(document["kind"], document["metadata"].get("namespace")) for document in made]
    assert not {"ClusterRole", "ClusterRoleBinding"} & {kind for kind, _ in kinds}
    for namespace in NAMESPACED["watchNamespaces"]:
        here = [each for each in made if each["metadata"].get("namespace") == namespace]
        role, binding = only("Role", here), only("RoleBinding", here)
        assert len(here) == 2
        assert binding["roleRef"] == {
            "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "scanpool",
        }  # fmt: skip
        assert binding["subjects"][0]["namespace"] == "scanpool-system"
        base = grants(called("scanpool", "ClusterRole", documents_in(BASE))["rules"])
        assert grants(role["rules"]) == {each for each in base if each[1] not in OF_THE_CLUSTER}


def test_named_namespaces_reach_the_operator() -> None:
    arguments = cli._parser().parse_args(container_of(rendered(NAMESPACED))["args"])
    assert settings.from_arguments(arguments).namespaces == ("scan", "chat")


def test_nodes_can_be_seen_beside_named_namespaces() -> None:
    role = only("ClusterRole", rendered({**NAMESPACED, "rbac.nodes": True}))
    assert grants(role["rules"]) == {
        (group, resource, verb)
        for group, verb in (("", "list"), ("", "watch"), ("metrics.k8s.io", "list"))
        for resource in ("nodes", "pods")
    }


def granting_targets() -> set[tuple[str, str, str]]:
    """What the values TARGETS let the operator do."""
    return {
        (group, f"{plural}{part}", verb)
        for group, plural in (("argoproj.io", "rollouts"), ("", "replicationcontrollers"))
        for part, verbs in (("", ("list", "watch")), ("/scale", ("get", "patch")))
        for verb in verbs
    }


def test_other_targets_are_granted_by_a_cluster_role_that_is_gathered() -> None:
    plain, made = rendered(), rendered({"targets": TARGETS})
    gathering = called("scanpool-targets", "ClusterRole", plain)
    assert (
        gathering["aggregationRule"]
        == (called("scanpool-targets", "ClusterRole", documents_in(BASE))["aggregationRule"])
    )
    assert "rules" not in gathering
    (added,) = [one for one in made if identity(one) not in {identity(each) for each in plain}]
    assert added["kind"] == "ClusterRole"
    assert "aggregationRule" not in added
    (selector,) = gathering["aggregationRule"]["clusterRoleSelectors"]
    assert selector["matchLabels"].items() <= added["metadata"]["labels"].items()
    assert grants(added["rules"]) == granting_targets()
    check_against_openapi(added)


def test_other_targets_are_granted_in_each_of_the_named_namespaces() -> None:
    plain, made = rendered(NAMESPACED), rendered({**NAMESPACED, "targets": TARGETS})
    assert [identity(one) for one in made] == [identity(one) for one in plain]
    for namespace in NAMESPACED["watchNamespaces"]:
        before, after = (
            only("Role", [one for one in those if one["metadata"].get("namespace") == namespace])
            for those in (plain, made)
        )
        assert grants(after["rules"]) - grants(before["rules"]) == granting_targets()
        assert grants(before["rules"]) <= grants(after["rules"])


@pytest.mark.parametrize("values", [{}, NAMESPACED])
def test_secrets_can_be_named(values: Mapping[str, Any]) -> None:
    made = rendered({**values, "rbac.secretNames": ["scan-secret"]})
    roles = [document for document in made if document["kind"] in {"ClusterRole", "Role"}]
    roles = [role for role in roles if role["metadata"]["name"] == "scanpool"]
    assert roles
    for role in roles:
        named = {tuple(rule["resources"]): rule.get("resourceNames") for rule in role["rules"]}
        assert named.pop(("secrets",)) == ["scan-secret"]
        assert set(named.values()) == {None}


def test_shards_part_the_pools_and_the_leases_between_them() -> None:
    made = rendered({"shards": {"a": "shard=a", "b": "shard in (b,c)"}})
    for document in made:
        check_against_openapi(document)
    seen = set()
    for deployment in (one for one in made if one["kind"] == "Deployment"):
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        told = settings.from_arguments(cli._parser().parse_args(container["args"]))
        assert told.shard is not None
        assert told.shard.name == deployment["metadata"]["name"]
        assert told.election == settings.Election(told.shard.name)
        labels = deployment["spec"]["selector"]["matchLabels"]
        assert labels.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
        (budget,) = (
            one
            for one in made
            if one["kind"] == "PodDisruptionBudget" and one["metadata"]["name"] == told.shard.name
        )
        assert budget["spec"]["selector"]["matchLabels"] == labels
        seen.add((told.shard.name, *labels.values()))
    assert seen == {("scanpool-a", "scanpool", "a"), ("scanpool-b", "scanpool", "b")}

    lease = next(one for one in made if one["metadata"]["name"] == "scanpool-lease")
    assert lease["kind"] == "Role"
    named = {
        (tuple(rule["resources"]), tuple(rule["verbs"])): rule.get("resourceNames")
        for rule in lease["rules"]
    }
    assert named == {
        (("leases",), ("create",)): None,
        (("leases",), ("get", "update")): ["scanpool-a", "scanpool-b"],
        (("configmaps",), ("create",)): None,
        (("configmaps",), ("get", "patch")): [NAME],
    }


def keda_service(documents: list[Document], name: str = "scanpool-keda") -> Document:
    (found,) = (one for one in documents if one["metadata"]["name"] == name)
    return found


def test_keda_is_answered_where_it_is_asked_for() -> None:
    made = rendered({"kedaScaler.enabled": True})

    container = container_of(made)
    told = settings.from_arguments(cli._parser().parse_args(container["args"]))
    service = keda_service(made)
    (port,) = service["spec"]["ports"]
    (there,) = (one for one in container["ports"] if one["name"] == port["targetPort"])
    assert told.keda == settings.KedaScaler(there["containerPort"])
    # And by the chart as by the overlay of kustomize.
    assert [service] == documents_in(ROOT / "manifests" / "overlays" / "keda")
    assert keda_service(rendered(KEDA, namespace="tools"))["metadata"]["namespace"] == "tools"


def test_keda_is_answered_with_the_certificate_of_a_secret_beside_other_volumes() -> None:
    own = {name: EVERYTHING[name] for name in ("volumes", "volumeMounts")}
    made = rendered({**KEDA, **own})

    container, pod = container_of(made), only("Deployment", made)["spec"]["template"]["spec"]
    told = settings.from_arguments(cli._parser().parse_args(container["args"])).keda
    assert told is not None
    ours, mount = container["volumeMounts"]
    assert ours == own["volumeMounts"][0]
    assert (str(told.tls), str(told.client_ca)) == (mount["mountPath"], "/keda-tls/ca.crt")
    assert mount["readOnly"]
    secret = {"name": mount["name"], "secret": {"secretName": "keda-tls"}}
    assert pod["volumes"] == [*own["volumes"], secret]

    plain = rendered({"kedaScaler": {"enabled": True, "tlsSecretName": "keda-tls"}})
    told = settings.from_arguments(cli._parser().parse_args(container_of(plain)["args"])).keda
    assert told is not None
    assert told.client_ca is None


def test_keda_reaches_the_shard_of_a_pool_by_its_own_service() -> None:
    made = rendered({"kedaScaler.enabled": True, "shards": {"a": "shard=a", "b": "shard=b"}})

    for shard in ("a", "b"):
        check_against_openapi(keda_service(made, f"scanpool-keda-{shard}"))
        selector = keda_service(made, f"scanpool-keda-{shard}")["spec"]["selector"]
        found = [
            one["metadata"]["name"]
            for one in made
            if one["kind"] == "Deployment"
            and selector.items() <= one["spec"]["template"]["metadata"]["labels"].items()
        ]
        assert found == [f"scanpool-{shard}"]


def test_network_policy_lets_keda_in_where_it_is_answered() -> None:
    _, rule = only("NetworkPolicy", rendered(KEDA))["spec"]["ingress"]
    assert rule == {
        "ports": [{"port": "keda", "protocol": "TCP"}],
        "from": KEDA["networkPolicy"]["kedaFrom"],
    }
    quiet = only("NetworkPolicy", rendered({"networkPolicy": KEDA["networkPolicy"]}))
    assert len(quiet["spec"]["ingress"]) == 1


def test_the_crd_can_be_left_to_somebody_else() -> None:
    made = rendered({"crds.install": False})
    assert "CustomResourceDefinition" not in {document["kind"] for document in made}


def test_network_policy_lets_through_what_the_operator_needs_and_nothing_else() -> None:
    broker = [{"podSelector": {"matchLabels": {"app": "rabbitmq"}}}]
    made = rendered(
        {
            "networkPolicy.enabled": True,
            "networkPolicy.egress.brokers": {"ports": [5672], "to": broker},
            "networkPolicy.metricsFrom": broker,
        }
    )
    policy, service = only("NetworkPolicy", made)["spec"], only("Service", made)["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["podSelector"]["matchLabels"] == service["selector"]
    assert policy["ingress"] == [
        {"ports": [{"port": service["ports"][0]["targetPort"], "protocol": "TCP"}], "from": broker}
    ]
    allowed = {
        (port["protocol"], port["port"], json.dumps(rule.get("to")))
        for rule in policy["egress"]
        for port in rule["ports"]
    }
    anywhere = json.dumps(None)
    assert allowed == {
        ("UDP", 53, anywhere), ("TCP", 53, anywhere), ("TCP", 443, anywhere),
        ("TCP", 6443, anywhere), ("TCP", 9090, anywhere), ("TCP", 5672, json.dumps(broker)),
    }  # fmt: skip


@pytest.mark.parametrize("most", [2, "50%"])
def test_a_disruption_budget_is_about_the_operator(most: int | str) -> None:
    made = rendered({"podDisruptionBudget.maxUnavailable": most})
    budget = only("PodDisruptionBudget", made)["spec"]
    assert budget["maxUnavailable"] == most
    assert budget["selector"] == only("Deployment", made)["spec"]["selector"]


@pytest.mark.parametrize("kind", ["ServiceMonitor", "PrometheusRule"])
def test_monitoring_is_that_of_the_manifests(kind: str) -> None:
    switch = f"{kind[0].lower()}{kind[1:]}"
    made = rendered({f"{switch}.enabled": True, f"{switch}.labels": {"release": "prom"}})
    added = [each for each in made if each["apiVersion"].startswith("monitoring.coreos.com/")]
    expected = [each for each in documents_in(MONITORING) if each["kind"] == kind]
    for document in added:
        assert document["metadata"]["labels"].pop("release") == "prom"
    assert added == expected
    assert len(added) == 1


def test_whatever_dashboard_the_manifests_have_becomes_a_config_map(tmp_path: Path) -> None:
    chart = tmp_path / "scanpool"
    shutil.copytree(CHART, chart)
    text = json.dumps({"title": "t", "legend": "{{pool}}", "text": 'a "b"\nc'}, indent=2) + "\n"
    for name in ("scanpool.json", "dashboards/scanpool-keys.json"):
        path = chart / "files" / "monitoring" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    made = {
        document["metadata"]["name"]: document
        for document in rendered({"dashboard.enabled": True}, chart=chart)
        if document["kind"] == "ConfigMap"
    }
    own = {path.name for path in (CHART / "files" / "monitoring").rglob("*.json")}
    assert {name for each in made.values() for name in each["data"]} == {
        "scanpool.json", "scanpool-keys.json", *own,
    }  # fmt: skip
    for document in made.values():
        check_against_openapi(document)
        assert document["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert made["scanpool-keys"]["data"] == {"scanpool-keys.json": text}


def test_what_is_off_is_not_there() -> None:
    kinds = {document["kind"] for document in rendered()}
    assert not kinds & {
        "NetworkPolicy", "ServiceMonitor", "PrometheusRule", "ConfigMap",
    }  # fmt: skip
    fewer = {document["kind"] for document in rendered({"podDisruptionBudget.enabled": False})}
    assert kinds - fewer == {"PodDisruptionBudget"}


def test_the_notes_say_where_memory_ceilings_cannot_work() -> None:
    def notes(*options: str) -> str:
        told = helm("install", "scanpool", CHART, "--dry-run=client", *options)
        assert told.returncode == 0, told.stderr
        return told.stdout.partition("NOTES:")[2]

    assert "memory.enabled: false" in notes("--set", "watchNamespaces={scan}")
    assert "memory.enabled" not in notes(
        "--set", "watchNamespaces={scan}", "--set", "rbac.nodes=true"
    )
    assert re.search(r"ScanWorkerPools of\s+all namespaces", notes())


def shown_commands() -> list[list[str]]:
    """Return the arguments of each `helm install` and `helm upgrade` that a document shows."""
    texts = (path.read_text() for path in (CHART / "README.md", ROOT / "docs" / "install.md"))
    lines = re.findall(r"^\$ helm (?:install|upgrade) (.*)$", "\n".join(texts), re.MULTILINE)
    return [shlex.split(line.replace("$REGISTRY", "r.example")) for line in lines]


@pytest.mark.parametrize("words", shown_commands(), ids=" ".join)
def test_shown_commands_make_objects(words: list[str]) -> None:
    release, chart, *options = words
    assert chart in {"charts/scanpool", "oci://r.example/charts/scanpool"}
    # What only an install has a use for.
    known = [each for each in options if each not in {"--create-namespace", REUSE}]
    made = helm("template", release, CHART, *known)
    assert made.returncode == 0, made.stderr


def test_the_shown_network_policy_is_one() -> None:
    text = (ROOT / "docs" / "install.md").read_text()
    (shown,) = re.findall(r"^```yaml\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    policy = only("NetworkPolicy", rendered(yaml.safe_load(shown)))
    check_against_openapi(policy)
    assert policy["spec"]["ingress"][0]["from"]
