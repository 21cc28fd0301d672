"""Whatever leads somewhere: links and anchors of documents, paths that they name, and the pages
that manifests, charts, messages and comments send people to."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from documents import DOCUMENTS, ROOT, anchors, label, prose, spans

LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)", re.DOTALL)
IMAGE = re.compile(r'src="([^"]+)"')
# A page of ours as anything but a document names it, with or without the repository's address.
PAGE = re.compile(r"(?<![\w/.-])(?P<page>docs/[\w./-]+\.(?:md|svg))(?:#(?P<anchor>[\w-]+))?")
OWN = "https://github.com/eco2-team/scanpool/blob/main/"
SENDERS = (
    "Makefile", "Dockerfile", "pyproject.toml", ".github", "manifests", "crds", "charts",
    "examples", "scripts", "deploy", "operator", "tests",
)  # fmt: skip
ROOMS = ("", "operator/scanpool", "operator", "docs")
"""What paths in code quotes are relative to."""
FILE = re.compile(r"[\w.-]+(?:/[\w.-]+)*/?")
PLACEHOLDER = "NAME"
SUFFIXES = frozenset({".md", ".py", ".yaml", ".json", ".svg", ".toml", ".sh", ".txt"})


def where_to(path: Path, target: str) -> tuple[Path, str]:
    """Return the file that a relative link of a document leads to, and the anchor in it."""
    file, _, anchor = target.partition("#")
    return ((path.parent / file).resolve() if file else path), anchor


@pytest.mark.parametrize("path", DOCUMENTS, ids=label)
def test_links_lead_somewhere(path: Path) -> None:
    text = prose(path)
    for target in [*(one["target"] for one in LINK.finditer(text)), *IMAGE.findall(text)]:
        address = urlsplit(target)
        if address.scheme:
            # Nothing of the network is asked here: a page may move while this text stays the same.
            assert address.scheme == "https", f"{label(path)} links to {target}"
            assert "." in address.netloc, f"{label(path)} links to {target}"
            continue
        found, anchor = where_to(path, target)
        assert found.is_relative_to(ROOT), f"{label(path)} links out of the repository: {target}"
        assert found.exists(), f"{label(path)} links to {target}"
        if anchor:
            assert anchor in anchors(found), f"{label(path)} links to {target}"


def senders() -> list[Path]:
    found = []
    for start in SENDERS:
        root = ROOT / start
        found += (
            [root] if root.is_file() else sorted(one for one in root.rglob("*") if one.is_file())
        )
    return [one for one in found if "__pycache__" not in one.parts]


def test_pages_that_code_and_manifests_name_are_there() -> None:
    sent = 0
    for path in senders():
        text = path.read_text("utf-8", errors="replace").replace(OWN, "")
        for one in PAGE.finditer(text):
            page = ROOT / one["page"]
            assert page.exists(), f"{label(path)} sends to {one[0]}"
            if one["anchor"]:
                assert one["anchor"] in anchors(page), f"{label(path)} sends to {one[0]}"
            sent += 1
    assert sent > 20, "the alerts alone have nine of them, twice"


def is_path(span: str) -> bool:
    """Tell whether a span in code quotes is a path of ours: by its room, or by its suffix."""
    if "/" not in span or PLACEHOLDER in span or not FILE.fullmatch(span):
        return False
    first = span.partition("/")[0]
    return Path(span).suffix in SUFFIXES or any((ROOT / one / first).is_dir() for one in ROOMS)


@pytest.mark.parametrize("path", DOCUMENTS, ids=label)
def test_paths_that_documents_name_are_there(path: Path) -> None:
    rooms = [path.parent, *(ROOT / room for room in ROOMS)]
    named = [one for one in spans(path) if is_path(one)]
    assert [one for one in named if not any((room / one).exists() for room in rooms)] == []


def test_every_page_of_the_docs_is_led_to_from_the_readme() -> None:
    led, to_see = set(), [ROOT / "README.md"]
    while to_see:
        path = to_see.pop()
        led.add(path)
        if path.suffix != ".md":
            continue
        for one in LINK.finditer(prose(path)):
            found, _ = where_to(path, one["target"])
            more = sorted(found.glob("*.md")) if found.is_dir() else [found]
            to_see += [each for each in more if each.is_file() and each not in led]
    pages = {*(ROOT / "docs").rglob("*.md"), *(ROOT / "docs").glob("*.svg")}
    assert sorted(map(label, pages - led)) == []
