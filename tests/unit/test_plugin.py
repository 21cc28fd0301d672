"""What krew installs: archive and manifest belong together, and the script finds scanpool."""

import hashlib
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
URL = "https://example.com/kubectl-scanpool.tar.gz"
SCRIPT = ROOT / "deploy" / "krew" / "kubectl-scanpool"


def build(directory: Path) -> Path:
    subprocess.run([ROOT / "scripts" / "krew.sh", "0.1.0", URL, directory], check=True, timeout=60)
    return directory / "kubectl-scanpool.tar.gz"


def test_the_manifest_is_about_the_archive(tmp_path: Path) -> None:
    archive = build(tmp_path / "one")

    manifest = yaml.safe_load((tmp_path / "one" / "scanpool.yaml").read_text())
    (platform,) = manifest["spec"]["platforms"]
    assert platform["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert platform["uri"] == URL
    assert manifest["spec"]["version"] == "v0.1.0"
    with tarfile.open(archive) as files:
        assert {one.name for one in files} == {file["from"] for file in platform["files"]}
        assert files.getmember(platform["bin"]).mode & stat.S_IXUSR
    # Else its checksum would change with every build.
    assert build(tmp_path / "two").read_bytes() == archive.read_bytes()


def program(directory: Path, name: str, script: str) -> None:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def run(path: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", SCRIPT, *words],
        env={"PATH": str(path), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_scanpool_of_this_machine_comes_first(tmp_path: Path) -> None:
    program(tmp_path, "scanpool", 'echo "here: $*"')
    program(tmp_path, "kubectl", "echo there")
    assert run(tmp_path, "top", "--once").stdout == "here: top --once\n"


@pytest.mark.parametrize(
    ("words", "environment", "expected"),
    [
        (["top", "-A"], {}, "exec -n scanpool-system deploy/scanpool -- scanpool top -A"),
        (["explain", "x"], {"SCANPOOL_NAMESPACE": "ops"},
         "exec -n ops deploy/scanpool -- scanpool explain x"),
        (["convert", "--observe", "-f", "-"], {},
         "exec -i -n scanpool-system deploy/scanpool -- scanpool convert --observe -f -"),
    ],
)  # fmt: skip
def test_else_the_operators_own_runs(
    tmp_path: Path, words: list[str], environment: dict[str, str], expected: str
) -> None:
    program(tmp_path, "kubectl", 'echo "$*"')
    assert run(tmp_path, *words, **environment).stdout.strip() == expected


@pytest.mark.parametrize(
    ("words", "told"), [(["plan", "-f", "x"], "pip"), (["convert", "-f", "x.yaml"], "stdin only")]
)
def test_what_the_pod_cannot_do_is_said(tmp_path: Path, words: list[str], told: str) -> None:
    program(tmp_path, "kubectl", "echo there")
    done = run(tmp_path, *words)
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stdout == ""
