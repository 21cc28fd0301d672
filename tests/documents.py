"""The project's documents, and what can be read of one."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = (
    *sorted(ROOT.glob("*.md")),
    *(
        path
        for room in ("docs", "charts", "examples", ".github")
        for path in sorted((ROOT / room).rglob("*.md"))
    ),
)
FENCE = re.compile(r"^( *)```(?P<kind>\w*)\n(?P<text>.*?)^\1```$", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"`([^`]+)`")


def label(path: Path) -> str:
    """Return a document's name within the repository."""
    return str(path.relative_to(ROOT))


def prose(path: Path) -> str:
    """Return a document without its blocks of code."""
    return FENCE.sub("", path.read_text())


def spans(path: Path) -> list[str]:
    """Return what stands in code quotes, each on one line."""
    return [" ".join(one.split()) for one in CODE.findall(prose(path))]


def slug(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    kept = "".join(each for each in heading.lower() if each.isalnum() or each in "-_ ")
    return kept.strip().replace(" ", "-")


def anchors(path: Path) -> set[str]:
    """Return the anchors of a document's headings."""
    return {slug(line.lstrip("#")) for line in prose(path).splitlines() if line.startswith("#")}
