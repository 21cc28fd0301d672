"""Every command that a document shows, and who runs it: a test, or what it would take."""

import re
from functools import cache

from documents import DOCUMENTS, FENCE, spans

PROGRAM = re.compile(
    r"(kubectl|scanpool(-replay)?|helm|make|docker|rabbitmqctl|cosign|pip|git|python3|pytest"
    r"|scripts/\S+|SCANPOOL_\w+=\S+) "
)
SHOWN = re.compile(r"^\$ (.+)$", re.MULTILINE)
NOTE = re.compile(r"\s+# .*$")
# A document that tells what was, and the decisions, which are never changed.
HISTORY = ("CHANGELOG.md", "decisions")

OWN = "tests/sandbox/test_documented_commands.py"
INSTALL = f"{OWN}::test_an_install_goes_as_it_is_told"
LOOK = f"{OWN}::test_a_pool_can_be_looked_at_as_it_is_told"
OFFLINE = "tests/unit/test_commands.py::test_what_needs_no_cluster_runs"
HELM = "tests/unit/test_chart.py::test_shown_commands_make_objects"
RELEASE = "tests/sandbox/test_chart_install.py::test_the_crd_and_the_pools_outlive_an_upgrade_and_the_release"  # noqa: E501
MOVE = (
    "tests/sandbox/test_migration.py::test_the_move_leaves_no_moment_without_a_scaler_or_with_two"
)
BACK = "tests/sandbox/test_migration.py::test_the_way_back_is_as_safe"
SHARDS = (
    "tests/sandbox/test_operator_shards.py::test_each_works_its_pools_and_a_key_in_two_is_told_of"
)
QUEUES = "tests/unit/convert/test_command.py::test_names_of_queues_come_from_a_file"
PLUGIN = "tests/sandbox/test_operator_top.py::test_a_person_sees_the_pools_that_they_may_see"
KREW = "tests/unit/test_plugin.py::test_the_manifest_is_about_the_archive"
CASES = "tests/unit/replay/test_closed_loop.py::test_the_command_prints_a_table_and_fails_where_a_bound_is_broken"  # noqa: E501
REPLAY = "tests/unit/replay/test_report.py::test_run_writes_its_documents"
PLAN = "tests/unit/replay/test_report.py::test_a_plan_names_the_limit_and_what_it_would_take"
CHECK = "tests/unit/test_release.py::test_the_check_is_a_command"

# By expression: the first that is all of a command counts.
RUN_BY = {
    r"kubectl apply --server-side -f crds/": INSTALL,
    r"kubectl apply -k manifests/(base|monitoring|overlays/keda)": INSTALL,
    r"kubectl apply --server-side -f install\.yaml": INSTALL,
    r"kubectl apply -f manifests/samples/(pool(-minimal)?|targets/argo-rollouts)\.yaml": INSTALL,
    r"kubectl -n scanpool-system (set image|rollout|get pods)\b.*": INSTALL,
    r"kubectl label namespace scanpool-system .*": INSTALL,
    r"kubectl explain swp\S*( --recursive)?": INSTALL,
    r"kubectl delete (--ignore-not-found -k manifests/base|-f crds/|crd \S+)": INSTALL,
    r"kubectl (-n \S+ )?get swp( -A)?( -o wide)?": LOOK,
    r"kubectl (-n \S+ )?describe (swp|secret|pod)( \S+)?": LOOK,
    r"kubectl get deployment NAME -o yaml --show-managed-fields": LOOK,
    r"kubectl -n scanpool-system get lease scanpool( -o yaml)?": LOOK,
    r"kubectl scale (swp NAME --replicas=\w+|deployment)": LOOK,
    r"kubectl -n NAMESPACE annotate secret scan-secret .*": LOOK,
    r"scanpool explain -n (NAMESPACE|scan) \S+": LOOK,
    r"scanpool (--version|dashboard)": OFFLINE,
    r"scanpool run --selector \S+ --lease \S+": SHARDS,
    r"scanpool-replay list": OFFLINE,
    r"scanpool(-replay)? plan -f \S+ --vus \d+ --drain-seconds \d+": PLAN,
    r"scanpool-replay( run \S+)?( --html \S+)?": REPLAY,
    r"scanpool-replay cases( --markdown FILE)?": CASES,
    r"helm (install|upgrade|upgrade --install) scanpool (oci|charts)\S+ .*": HELM,
    r"helm (uninstall scanpool -n scanpool-system|upgrade|uninstall)": RELEASE,
    r"rabbitmqctl list_queues .*\| scanpool convert .*": QUEUES,
    r"(kubectl )?scanpool (top|explain)( NAME| --once -A)?": PLUGIN,
    r"(kubectl )?scanpool plan": PLAN,
    r"(kubectl )?scanpool convert": MOVE,
    r"scripts/krew\.sh .*": KREW,
    r"python3 scripts/release\.py check vX\.Y\.Z": CHECK,
    r"kubectl -n shop .*paused-scale-in-|kubectl -n shop .*paused-": BACK,
    r"kubectl -n shop .*(Paused=False|\"Observe\").*": BACK,
    r"kubectl -n shop .*|kubectl (apply|replace) -f (observe|pool)\.yaml": MOVE,
    r"scanpool (convert|explain) .*": MOVE,
}  # fmt: skip

DOCKER = "docker"
CLUSTER = "a cluster: the stand-in of the Kubernetes API has neither exec nor logs"
NETWORK = "the network: a registry, or what somebody has published"
KIND = "docker and kind: the workflow ci runs it"
ITSELF = "it runs these tests, or is run before them"
LONG = "minutes: it installs, or plays everything; what it does is tested in parts"
CHANGE = "a change of models or manifests: tests hold what it has written"
NEEDS = {
    r"docker .*": DOCKER,
    r"make kind-(up|e2e|down)": KIND,
    r"make (test|lint)": ITSELF,
    r"pytest .*|SCANPOOL_\S+ .*": ITSELF,
    r"make (demo( KEEP=1)?|replay|dashboard-picture|constraints|long|faults|fuzz|takeovers)": LONG,
    r"make bench( POOLS=\d+ KEYS=\d+)?": LONG,
    r"make (crd|chart|dashboard|protocol)": CHANGE,
    r"kubectl (-n scanpool-system )?exec .*": CLUSTER,
    r"kubectl -n scanpool-system logs .*": CLUSTER,
    r"kubectl -n scan get swp -w": "a person who watches, until Ctrl-C",
    r"kubectl krew install .*": NETWORK,
    r"pip install .*|git clone .*|cosign .*": NETWORK,
    r"helm install scanpool charts/scanpool \.\.\.": "the values that somebody chooses",
}


def command(text: str) -> str:
    """Return a command as it is typed: on one line, without a note, from wherever it is."""
    return NOTE.sub("", " ".join(text.split())).removeprefix(".venv/bin/")


@cache
def commands() -> tuple[str, ...]:
    """Return every command once: lines with a prompt, and in code quotes what names a program."""
    found: dict[str, None] = {}
    for path in DOCUMENTS:
        if {path.name, path.parent.name} & set(HISTORY):
            continue
        for fence in FENCE.finditer(path.read_text()):
            found |= dict.fromkeys(NOTE.sub("", one) for one in SHOWN.findall(fence["text"]))
        for span in spans(path):
            one = command(span)
            if PROGRAM.match(one):
                found[one] = None
    return tuple(dict.fromkeys(map(command, found)))


def run_by(test: str) -> list[str]:
    """Return the commands that a test is said to run, in the order of the documents."""
    return [one for one in commands() if whose(one) == test]


def whose(text: str) -> str:
    """Return the test that runs a command, or what it needs; empty if nobody has said."""
    return next(
        (who for expression, who in {**NEEDS, **RUN_BY}.items() if re.fullmatch(expression, text)),
        "",
    )
