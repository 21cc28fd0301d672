import pytest

from scanpool.models.error_codes import SLOW_DOWN, Refusals
from scanpool.models.observation import KeyUsage


@pytest.mark.parametrize("code", ["slow_down", "503 slow_down", "SlowDown", "openai.SlowDownError"])
def test_workers_are_asked_to_slow_down_in_any_spelling(code: str) -> None:
    assert KeyUsage(0, refusals=(Refusals(code, 1.0),)).refused_codes == {SLOW_DOWN}


def test_codes_that_are_not_met_are_none() -> None:
    usage = KeyUsage(0, refusals=(Refusals("503", 2.0), Refusals("slow_down", 0.0)))
    assert usage.refused_codes == {"503"}
