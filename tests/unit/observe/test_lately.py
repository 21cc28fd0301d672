from scanpool.observe.lately import Lately


def test_what_nobody_wants_any_more_is_told_once_and_forgotten() -> None:
    lately: Lately[str] = Lately(10.0)
    assert lately.want("a", 0.0) == []
    assert lately.want("b", 5.0) == []
    assert lately.want("a", 9.0) == []

    assert lately.want("c", 15.0) == ["b"]
    assert len(lately) == 2
    assert lately.want("c", 100.0) == ["a"]
    assert lately.want("b", 100.0) == []


def test_a_clock_that_is_set_back_forgets_nothing() -> None:
    lately: Lately[str] = Lately(10.0)
    lately.want("a", 100.0)

    assert lately.want("b", 0.0) == []
    assert len(lately) == 2
