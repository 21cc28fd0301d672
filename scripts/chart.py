"""Writes what the chart takes over from the rest of the repository, and the table of its values.

manifests/ and crds/ are the source: the chart's files/ are copies of them, which its templates lay
values over, so that an object is written down in one place. A chart can hold no file from outside
of its directory. The README's table comes from values.yaml and values.schema.json.

  .venv/bin/python scripts/chart.py
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
CHART = ROOT / "charts" / "scanpool"
FILES, README = CHART / "files", CHART / "README.md"
SOURCES = {
    "base": ROOT / "manifests" / "base",
    "monitoring": ROOT / "manifests" / "monitoring",
    "keda": ROOT / "manifests" / "overlays" / "keda",
    "crds": ROOT / "crds",
}
# What each file of a source would be without: kustomize's own, its patch, and the namespace, which
# Helm makes.
LEFT_OUT = frozenset({"kustomization.yaml", "deployment.json", "namespace.yaml"})
SUFFIXES = frozenset({".yaml", ".json"})
BEGIN, END = "<!-- values: made by `make chart` -->\n", "<!-- end of values -->\n"


def copies() -> dict[Path, str]:
    """Return the content of every file of the chart's files/."""
    return {
        FILES / name / path.relative_to(source): path.read_text()
        for name, source in SOURCES.items()
        for path in sorted(source.rglob("*"))
        if path.suffix in SUFFIXES and path.name not in LEFT_OUT
    }


def readme() -> str:
    """Return the chart's README with the table of values as they are."""
    before, _, rest = README.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    rows = "".join(
        f"| `{path}` | `{json.dumps(default)}` | {words} |\n"
        for path, default, words in described()
    )
    return f"{before}{BEGIN}| value | default | meaning |\n|---|---|---|\n{rows}{END}{after}"


def described() -> Iterator[tuple[str, Any, str]]:
    """Yield each value that the schema describes: its path, its default and what it means."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    yield from _described(schema, values, "")


def _described(
    schema: Mapping[str, Any], values: Mapping[str, Any], within: str
) -> Iterator[tuple[str, Any, str]]:
    for name, field in schema["properties"].items():
        if "description" not in field:
            yield from _described(field, values[name], f"{within}{name}.")
        elif name in values:
            yield f"{within}{name}", values[name], field["description"]


def main() -> None:
    """Write all of it."""
    shutil.rmtree(FILES, ignore_errors=True)
    for path, content in copies().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    README.write_text(readme())


if __name__ == "__main__":
    main()
