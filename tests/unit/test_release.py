"""A release: every file says the same version, and what is attached names the image by digest."""

import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from helm import ROOT, Document, check_against_openapi, helm, identity, rendered

SCRIPT = ROOT / "scripts" / "release.py"
RELEASE = runpy.run_path(str(SCRIPT))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
REPOSITORY, DIGEST = "r.example/owner/scanpool", f"sha256:{'0123456789abcdef' * 4}"
IMAGE = f"{REPOSITORY}@{DIGEST}"
VERSION: str = RELEASE["versions"]()["pyproject.toml"]
COPIED = sorted({place.partition(",")[0] for place in RELEASE["SAID"]})


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that name a version, as for a release of today's version."""
    for name in COPIED:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, path)
    changes = tmp_path / "CHANGELOG.md"
    dated = re.sub(r"^## \S+ - .*$", f"## {VERSION} - 2026-12-01", changes.read_text(), count=1,
                   flags=re.MULTILINE)  # fmt: skip
    changes.write_text(dated)
    return tmp_path


def test_every_file_says_the_same_version() -> None:
    said = RELEASE["versions"]()
    assert set(said.values()) == {VERSION}, said


def test_a_release_whose_files_agree_is_let_through(checkout: Path) -> None:
    assert list(RELEASE["complaints"](f"v{VERSION}", checkout)) == []


@pytest.mark.parametrize("place", COPIED)
def test_a_file_of_another_version_is_named(checkout: Path, place: str) -> None:
    path = checkout / place
    path.write_text(path.read_text().replace(VERSION, "0.0.9"))
    assert any(place in each for each in RELEASE["complaints"](f"v{VERSION}", checkout))


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        (VERSION, "does not begin with v"),
        ("v99.0.0", "CHANGELOG.md has no heading '## 99.0.0 - YYYY-MM-DD'"),
    ],
)
def test_a_tag_that_fits_nothing_is_refused(checkout: Path, tag: str, words: str) -> None:
    assert any(words in each for each in RELEASE["complaints"](tag, checkout))


def test_what_is_not_dated_is_not_released(checkout: Path) -> None:
    path = checkout / "CHANGELOG.md"
    path.write_text(path.read_text().replace("2026-12-01", "Unreleased"))
    (complaint,) = RELEASE["complaints"](f"v{VERSION}", checkout)
    assert "CHANGELOG.md" in complaint


def test_the_check_is_a_command() -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "check", "v99.0.0"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "pyproject.toml says version" in done.stderr


@pytest.fixture
def attached(tmp_path: Path) -> Path:
    command = [sys.executable, SCRIPT, "files", "--image", IMAGE, "--to", tmp_path / "dist"]
    subprocess.run(command, check=True)
    return tmp_path / "dist"


def named(documents: list[Document]) -> dict[Any, Document]:
    return {identity(document): document for document in documents}


def test_install_yaml_is_the_base_and_the_crds_with_the_image(attached: Path) -> None:
    made = list(yaml.safe_load_all((attached / "install.yaml").read_text()))
    kinds = [document["kind"] for document in made]
    assert kinds[:2] == ["CustomResourceDefinition", "Namespace"]
    for document in made:
        check_against_openapi(document)
    expected = named(rendered({"image.repository": REPOSITORY, "image.digest": DIGEST}))
    for document in expected.values():
        document["metadata"].pop("annotations", None)
    assert {
        name: each for name, each in named(made).items() if each["kind"] != "Namespace"
    } == expected


def test_the_released_chart_names_the_image_by_digest(attached: Path) -> None:
    assert helm("lint", "--strict", attached / "scanpool").returncode == 0
    packed = helm("package", attached / "scanpool", "--destination", attached)
    assert packed.returncode == 0, packed.stderr
    (deployment,) = (
        each
        for each in rendered(chart=attached / f"scanpool-{VERSION}.tgz")
        if each["kind"] == "Deployment"
    )
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == IMAGE


def test_the_notes_are_the_newest_changes(attached: Path) -> None:
    notes = (attached / "notes.md").read_text()
    assert notes.startswith("### ")
    assert "\n## " not in notes
    assert notes in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("image", ["scanpool:0.1.0", "r.example/scanpool@sha256:abc", "@"])
def test_an_image_without_a_digest_is_refused(image: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="digest"):
        RELEASE["write_files"](image, tmp_path / "dist")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_named_by_commit(path: Path) -> None:
    used = re.findall(r"uses: (.*)$", path.read_text(), re.MULTILINE)
    assert used
    for action in used:
        assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_only_the_job_that_publishes_may_write_and_it_comes_after_the_check() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())
    assert workflow["permissions"] == {"contents": "read"}
    assert "permissions" not in workflow["jobs"]["check"]
    publish = workflow["jobs"]["publish"]
    assert publish["needs"] == "check"
    assert publish["permissions"] == {"contents": "write", "packages": "write", "id-token": "write"}
    (build,) = (step for step in publish["steps"] if "build-push-action" in step.get("uses", ""))
    assert build["with"]["platforms"] == "linux/amd64,linux/arm64"
    assert build["with"]["sbom"] is True
    assert build["with"]["provenance"] == "mode=max"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_scripts_of_workflows_take_what_others_chose_from_the_environment(path: Path) -> None:
    # An expression is pasted into a script before the shell reads it: a name could be a command.
    for job in yaml.safe_load(path.read_text())["jobs"].values():
        for step in job["steps"]:
            script = step.get("run", "")
            assert "${{" not in script
            checked = subprocess.run(
                ["bash", "-n"], input=script, capture_output=True, text=True, check=False
            )
            assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_issue_forms_ask_for_something(path: Path) -> None:
    form = yaml.safe_load(path.read_text())
    if path.stem != "config":
        assert {"name", "description", "body"} <= form.keys()
        fields = [each for each in form["body"] if each["type"] != "markdown"]
        assert len({each["id"] for each in fields}) == len(fields) > 0
        assert all(each["attributes"]["label"] for each in fields)


def test_dependabot_looks_after_what_the_repository_has() -> None:
    told = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text())
    assert {each["package-ecosystem"] for each in told["updates"]} == {"github-actions", "pip"}
