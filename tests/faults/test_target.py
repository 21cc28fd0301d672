import pytest

from faults.acts import Acts
from faults.cases import target


@pytest.mark.long
class TestTarget(Acts):
    cases = target.CASES
