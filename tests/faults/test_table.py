from collections import Counter

from faults.table import CASES, PAGE, page
from scanpool.models.conditions import ConditionType, Reason

LEAST_CASES = 60
README = PAGE.parents[1] / "README.md"


def test_the_page_shows_the_table_of_the_suite() -> None:
    assert PAGE.read_text() == page(), "make reliability writes it anew"


def test_the_readme_says_how_many_there_are() -> None:
    assert f": {len(CASES)} faults" in README.read_text()


def test_the_table_has_its_cases_each_once() -> None:
    assert len(CASES) >= LEAST_CASES
    assert Counter(case.name for case in CASES).most_common(1)[0][1] == 1


def test_every_case_tells_what_it_injects_and_what_is_to_be_seen() -> None:
    for case in CASES:
        assert case.injects, case.name
        kind, _, status = case.tells.partition("=")
        assert not case.tells or (ConditionType(kind) and status in ("True", "False")), case.name
        assert not case.reason or Reason(case.reason), case.name
        assert bool(case.tells) == bool(case.reason), case.name
