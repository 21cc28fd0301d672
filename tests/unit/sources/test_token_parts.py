import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanpool.sources.exporters import Figure
from scanpool.sources.token_parts import Parts, Tokens, counted

TOTAL, INPUT, OUTPUT = Figure.TOKENS, Figure.INPUT_TOKENS, Figure.OUTPUT_TOKENS
READS, WRITES = Figure.CACHE_READS, Figure.CACHE_WRITES


@pytest.mark.parametrize(
    ("targets", "counting", "leaving_out"),
    [
        ([], Tokens(None, None), Tokens(None, None)),
        ([{READS: 5.0}], Tokens(None, None), Tokens(None, None)),
        ([{INPUT: 7.0}], Tokens(7.0, None), Tokens(7.0, None)),
        ([{OUTPUT: 7.0}], Tokens(7.0, 7.0), Tokens(7.0, 7.0)),
        ([{INPUT: 90.0, OUTPUT: 10.0}], Tokens(100.0, 10.0), Tokens(100.0, 10.0)),
        ([{TOTAL: 100.0, OUTPUT: 10.0}], Tokens(100.0, 10.0), Tokens(100.0, 10.0)),
        # A part of the input.
        ([{INPUT: 90.0, OUTPUT: 10.0, READS: 60.0, WRITES: 20.0}],
         Tokens(100.0, 10.0), Tokens(40.0, 10.0)),
        ([{TOTAL: 100.0, OUTPUT: 10.0, READS: 60.0}], Tokens(100.0, 10.0), Tokens(40.0, 10.0)),
        ([{INPUT: 90.0, READS: 90.5}], Tokens(90.0, None), Tokens(0.0, None)),
        # Beside it.
        ([{INPUT: 90.0, OUTPUT: 10.0, READS: 600.0, WRITES: 20.0}],
         Tokens(720.0, 10.0), Tokens(120.0, 10.0)),
        ([{INPUT: 0.0, READS: 600.0}], Tokens(600.0, None), Tokens(0.0, None)),
        # Each exporter in its own way.
        ([{INPUT: 90.0, READS: 60.0}, {INPUT: 3.0, READS: 50.0}, {INPUT: 200.0}],
         Tokens(343.0, None), Tokens(233.0, None)),
    ],
)  # fmt: skip
def test_what_counts_against_the_limit(
    targets: list[Parts], counting: Tokens, leaving_out: Tokens
) -> None:
    assert counted(targets, with_cache_reads=True) == counting
    assert counted(targets, with_cache_reads=False) == leaving_out


rates = st.floats(0, 1e9)


@given(st.lists(st.dictionaries(st.sampled_from([INPUT, OUTPUT, READS, WRITES]), rates)))
def test_a_limit_that_leaves_cache_reads_out_never_counts_more(targets: list[Parts]) -> None:
    counting = counted(targets, with_cache_reads=True)
    leaving_out = counted(targets, with_cache_reads=False)
    assert counting.output == leaving_out.output
    if counting.all is None or leaving_out.all is None:
        assert counting.all == leaving_out.all
    else:
        reads = sum(parts.get(READS, 0.0) for parts in targets)
        assert (counting.output or 0.0) <= leaving_out.all + 1 <= counting.all + 1
        assert counting.all - leaving_out.all <= reads + 1
