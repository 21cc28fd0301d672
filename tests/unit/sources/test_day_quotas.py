from hypothesis import given
from hypothesis import strategies as st

from scanpool.sources.day_quotas import in_refusal


@given(st.text() | st.from_regex(r"'quotaId': '\w+PerDay\w*', 'quotaValue': '\d+'"))
def test_no_text_breaks_it(text: str) -> None:
    state = in_refusal(text)
    assert state.requests_per_day is None or state.requests_per_day > 0
