"""python -m scanpool_sandbox."""

import sys

from scanpool_sandbox.cli import main

sys.exit(main())
