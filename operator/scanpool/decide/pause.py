"""A pause: the person's word on top of every rule, until they take it back.

paused-replicas | paused | paused-scale-in | paused-scale-out | replicas
N               | any    | any             | any              | N
-               | yes    | any             | any              | those that are there
-               | -      | yes             | yes              | those that are there
-               | -      | yes             | -                | no fewer than there are
-               | -      | -               | yes              | no more than there are
"""

from scanpool.models.pause import Pause


def hold(pause: Pause, current: int, wanted: int) -> int:
    """Return what a pool of `current` replicas may have of the `wanted` ones."""
    if pause.replicas is not None:
        return pause.replicas
    wanted = wanted if pause.scales_in else max(wanted, current)
    return wanted if pause.scales_out else min(wanted, current)


def reason(pause: Pause) -> str:
    """Say who paused what, and how to go on."""
    if pause.trouble:
        return f"paused, as far as can be read: {pause.trouble}"
    what = {
        (True, False): "scaling out is paused",
        (False, True): "scaling in is paused",
        (False, False): "scaling is paused",
    }[pause.scales_in, pause.scales_out]
    at = "" if pause.replicas is None else f" at {pause.replicas} replicas"
    names = ", ".join(pause.by)
    one = "the annotation" if len(pause.by) == 1 else "the annotations"
    return f"{what}{at} by {one} {names}: remove {'it' if len(pause.by) == 1 else 'them'} to go on"
