import pytest

from faults.acts import Acts
from faults.cases import broker


@pytest.mark.long
class TestBroker(Acts):
    cases = broker.CASES
