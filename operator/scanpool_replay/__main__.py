"""Run as `python -m scanpool_replay`."""

import sys

from scanpool_replay.cli import main

if __name__ == "__main__":
    sys.exit(main())
