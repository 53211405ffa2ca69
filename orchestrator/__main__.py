"""``python -m orchestrator`` is the ``berth`` command."""

import sys

from orchestrator.cli import main

sys.exit(main())
