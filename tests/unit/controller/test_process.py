import gc

from scanpool.controller import process


def test_objects_that_come_and_go_are_not_gone_through_for_garbage() -> None:
    """A tick makes thousands, and takes as many away again: only what stays counts."""
    usual = gc.get_threshold()
    looks = list[int]()

    def look(phase: str, info: dict[str, int]) -> None:
        if phase == "stop":
            looks.append(info["generation"])

    try:
        process.collect_seldom()
        gc.callbacks.append(look)
        kept: list[list[object]] = [[] for _ in range(1_000)]
        for number in range(20_000):
            kept[number % 1_000] = [[] for _ in range(5)]
        assert looks == []
        assert gc.get_freeze_count() > 0

        bitten: list[list[object]] = [[] for _ in range(60_000)]
        assert looks == [0]
        del bitten
    finally:
        gc.callbacks.remove(look)
        gc.unfreeze()
        gc.set_threshold(*usual)
