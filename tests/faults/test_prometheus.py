import pytest

from faults.acts import Acts
from faults.cases import prometheus


@pytest.mark.long
class TestPrometheus(Acts):
    cases = prometheus.CASES
