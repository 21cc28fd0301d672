"""What a release is checked for, and the files that it attaches. Standard library only.

scripts/release.py check v0.1.0
fails unless every file says this version, and the CHANGELOG dates it
scripts/release.py files --image ghcr.io/OWNER/scanpool@sha256:... --to dist
writes the chart and install.yaml that name this image, and the notes
"""

import argparse
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SAID = {
    "pyproject.toml": r'^version = "(.*)"$',
    "CHANGELOG.md": r"^## (\S+) - ",
    "Dockerfile": r'image\.version="(.*?)"',
    "charts/scanpool/Chart.yaml": r"^version: (.*)$",
    "charts/scanpool/Chart.yaml, the app's": r"^appVersion: (.*)$",
    "crds/scanworkerpools.yaml": r"^    app\.kubernetes\.io/version: (.*)$",
    "manifests/base/deployment.yaml": r"^ +image: scanpool:(.*)$",
    "scripts/kind.sh": r"^readonly VERSION=(.*)$",
}
"""Where the version is written, as a pattern; the first match counts."""
DATED = r"^## {} - \d{{4}}-\d\d-\d\d$"
IMAGE = re.compile(r"(?P<repository>[^@\s]+)@(?P<digest>sha256:[0-9a-f]{64})")
BASE, VALUES = "manifests/base", "charts/scanpool/values.yaml"


def versions(root: Path = ROOT) -> dict[str, str]:
    """Return the version that each file says; empty where it says none."""
    found = {}
    for place, pattern in SAID.items():
        text = (root / place.partition(",")[0]).read_text()
        match = re.search(pattern, text, re.MULTILINE)
        found[place] = match[1] if match else ""
    return found


def complaints(tag: str, root: Path = ROOT) -> Iterator[str]:
    """Yield what keeps a tag from being released."""
    wanted = tag.removeprefix("v")
    if tag == wanted:
        yield f"the tag {tag} does not begin with v"
    for place, said in versions(root).items():
        if said != wanted:
            yield f"{place} says version {said or 'nothing'}, and the tag {wanted}"
    changes = (root / "CHANGELOG.md").read_text()
    if not re.search(DATED.format(re.escape(wanted)), changes, re.MULTILINE):
        yield f"CHANGELOG.md has no heading '## {wanted} - YYYY-MM-DD'"


def notes(root: Path = ROOT) -> str:
    """Return what the CHANGELOG says of its newest version."""
    newest = (root / "CHANGELOG.md").read_text().split("\n## ")[1]
    return newest.partition("\n")[2].strip() + "\n"


def install_yaml(image: str, root: Path = ROOT) -> str:
    """Return the CRD and the objects of manifests/base in one file, with this image."""
    kustomization = (root / BASE / "kustomization.yaml").read_text()
    names = re.findall(r"^- (.+\.yaml)$", kustomization, re.MULTILINE)
    paths = [*sorted((root / "crds").glob("*.yaml")), *(root / BASE / name for name in names)]
    text = "---\n".join(path.read_text() for path in paths)
    return _replaced(text, r"^( +image: )scanpool:.*$", rf"\g<1>{image}")


def values_yaml(repository: str, digest: str, root: Path = ROOT) -> str:
    """Return the chart's values with this image."""
    text = (root / VALUES).read_text()
    named = _replaced(text, r"^(  repository: )scanpool$", rf"\g<1>{repository}")
    return _replaced(named, r'^(  digest: )""$', rf'\g<1>"{digest}"')


def write_files(image: str, to: Path, root: Path = ROOT) -> None:
    """Write the chart, install.yaml and the notes of a release whose image this is."""
    named = IMAGE.fullmatch(image)
    if named is None:
        raise ValueError(f"{image} is no image with a digest, REPOSITORY@sha256:...")
    to.mkdir(parents=True, exist_ok=True)
    shutil.copytree((root / VALUES).parent, to / "scanpool")
    (to / "scanpool" / "values.yaml").write_text(
        values_yaml(named["repository"], named["digest"], root)
    )
    (to / "install.yaml").write_text(install_yaml(image, root))
    (to / "notes.md").write_text(notes(root))


def _replaced(text: str, pattern: str, by: str) -> str:
    replaced, count = re.subn(pattern, by, text, flags=re.MULTILINE)
    if count != 1:
        raise ValueError(f"{pattern} is there {count} times, and not once")
    return replaced


def main() -> None:
    """Carry out a command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check").add_argument("tag")
    files = commands.add_parser("files")
    files.add_argument("--image", required=True)
    files.add_argument("--to", type=Path, required=True)
    arguments = parser.parse_args()
    if arguments.command == "files":
        write_files(arguments.image, arguments.to)
        return
    found = list(complaints(arguments.tag))
    for complaint in found:
        print(complaint, file=sys.stderr)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
