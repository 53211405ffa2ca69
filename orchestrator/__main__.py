"""``python -m orchestrator`` is the ``berth`` command."""

import sys

try:
    from orchestrator.cli import main

    code = main()
except KeyboardInterrupt:
    # Ctrl-C while it is still being read.
    code = 130
sys.exit(code)
