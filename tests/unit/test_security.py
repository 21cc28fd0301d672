"""docs/security.md against the code: the rights, the options and the bounds that it tells of."""

import re
from itertools import product
from typing import Any

import yaml

from documents import CODE, ROOT
from scanpool import cli
from scanpool.observe import in_time
from scanpool.sources import http, probe, prometheus_session, text

PAGE = ROOT / "docs" / "security.md"
CORE = "(core)"


def section(heading: str) -> str:
    below = PAGE.read_text().partition(f"\n## {heading}\n")[2]
    assert below, f"there is no {heading!r}"
    return below.partition("\n## ")[0]


def rows(heading: str) -> list[list[str]]:
    """Return the cells of a section's table, without its heading."""
    lines = [line for line in section(heading).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def told() -> set[tuple[str, str, str]]:
    found = set()
    for group, resources, verbs, *_ in rows("What each right is for"):
        name = "" if group == CORE else CODE.findall(group)[0]
        bare = re.sub(r" of `.*", "", verbs)
        found |= set(product([name], CODE.findall(resources), re.split(r"[,;] ", bare)))
    return found


def granted() -> set[tuple[str, str, str]]:
    roles: list[dict[str, Any]] = [
        yaml.safe_load((ROOT / "manifests/base" / name).read_text())
        for name in ("clusterrole.yaml", "lease-role.yaml")
    ]
    return {
        grant
        for role in roles
        for rule in role["rules"]
        for grant in product(rule["apiGroups"], rule["resources"], rule["verbs"])
    }


def test_every_right_is_explained_and_no_other() -> None:
    assert told() == granted()


def test_every_right_says_what_it_is_for_and_what_a_thief_could_do() -> None:
    assert all(len(row) == 5 and all(row) for row in rows("What each right is for"))


def test_the_list_of_hosts_is_an_option_of_the_operator() -> None:
    words = CODE.findall(section("Where the operator may be sent"))
    assert "--allow-host" in words
    parsed = cli._parser().parse_args(["run", "--allow-host", "api.openai.com"])
    assert parsed.allow_host == ["api.openai.com"]


def test_the_bounds_are_those_of_the_code() -> None:
    page = " ".join(PAGE.read_text().split())
    assert f"{http.MAX_BODY_BYTES // 2**20} MiB unpacked" in page
    assert f"{prometheus_session.MAX_ANSWER_BYTES // 2**20} MiB of a Prometheus'" in page
    seconds = f"{http.EXCHANGE_SECONDS:.0f} s ({prometheus_session.READING_SECONDS:.0f} s) in all"
    assert seconds in page
    assert f"first {text.MAX_QUOTED_CHARACTERS} characters" in page
    assert f"at most {probe.MOST_TOKENS} by each probe" in page
    # One reading must not outlast what a tick waits for all of them.
    assert http.EXCHANGE_SECONDS < in_time.DEADLINE_SECONDS
    assert re.search(r"\]\(\.\./SECURITY\.md\)", page)
