import pytest

from faults.acts import Acts
from faults.cases import provider


@pytest.mark.long
class TestProvider(Acts):
    cases = provider.CASES
