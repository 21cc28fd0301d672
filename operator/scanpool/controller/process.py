"""What the process as a whole needs: garbage that is looked for seldom, and an end in time."""

import gc
import logging
import os
import signal
import sys
import threading

# A healthy stop takes one or two.
STOP_SECONDS = 4.0
# How many objects more than at the last look make Python look for garbage among the young ones, and
# how many looks among the older, and among all. Hardly anything that a tick leaves behind is in a
# cycle. By Python's own 700, looking at what lives for one interval took 8% of the CPU with 1,000
# pools, and a look at all, twice in ten seconds, stopped everything for half a second. By these
# there is one look in a minute, of 0.2 s; 50,000 objects are some megabytes.
COLLECTIONS = (50_000, 10, 1_000)


def collect_seldom() -> None:
    """Look for garbage seldom, and never in what is loaded for good."""
    gc.freeze()
    gc.set_threshold(*COLLECTIONS)


def end_at_once() -> None:
    """End the process, all of whose parts are closed.

    Python would take apart what is left object by object: with 1,000 pools that takes a second, in
    which no timer of the process can end it.
    """
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


def end_in_time() -> None:
    """Let SIGTERM end the process after STOP_SECONDS, whatever it is busy with or waits for.

    kopf hears of the signal by the event loop, which may have much to do first, and calls that
    block cannot be ended. Nothing is lost that matters: every write is a single request, and
    conditional where it has to be.
    """

    def begin(*_: object) -> None:
        last = threading.Timer(STOP_SECONDS, os._exit, (0,))
        last.daemon = True
        last.start()

    if threading.current_thread() is threading.main_thread():
        # The loop is woken all the same: that is the wakeup descriptor's doing, not the handler's.
        signal.signal(signal.SIGTERM, begin)
