import pytest

from scanpool_sandbox.llm_client import sdk_delay_seconds


@pytest.mark.parametrize("told", [None, 0.0, -1.0, 60.1])
@pytest.mark.parametrize(("attempt", "longest"), [(0, 0.5), (1, 1.0), (2, 2.0), (9, 8.0)])
def test_delays_double_up_to_eight_seconds_less_a_quarter(
    attempt: int, longest: float, told: float | None
) -> None:
    for _ in range(100):
        assert 0.75 * longest <= sdk_delay_seconds(attempt, told) <= longest


@pytest.mark.parametrize("told", [0.044, 9.816, 60.0])
def test_a_wait_of_at_most_a_minute_is_obeyed(told: float) -> None:
    assert sdk_delay_seconds(0, told) == told
