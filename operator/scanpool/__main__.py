"""Run the command line as `python -m scanpool`."""

import sys

from scanpool.cli import main

sys.exit(main())
